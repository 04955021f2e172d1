// What a durable message costs: the store's engine, and the same behind client and host, against a plain loop over
// node:sqlite that commits as many rows at a time on the same disk.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '../src/lib/clock.ts'
import { createLogger } from '../src/observe/logger.ts'
import { createEngine } from '../src/store/create-engine.ts'
import { StoreClient } from '../src/store/store-client.ts'
import type { StoreCall, StoreEngine } from '../src/store/store-engine.ts'
import { STORE_LIMITS, StoreHost } from '../src/store/store-host.ts'
import { createNodeWheel } from '../src/timer/node-wheel.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'

const BATCHES = [1, 10, 50, 500] as const
const CONTENT = 'A message of some eighty bytes, as people write them in chats all day long, or so.'
const ROUNDS = 7
/** Of one sample: long enough for some hundred commits, and a checkpoint now and then. */
const SAMPLE_MS = 300
const SAMPLE_MS_SMOKE = 5
const SILENT = createLogger({ level: 'silent', write: () => {}, base: { thread: 'bench' } })

const argument = { chatId: 1, senderId: 1, content: CONTENT, type: 'Text', createSender: false } as const

interface Subject {
  /** Commits one batch. */
  commit(size: number): void | Promise<void>
  /** Messages stored. */
  close(): number | Promise<number>
}

function plainLoop(path: string): Subject {
  const database = new DatabaseSync(path)
  database.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
     CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, chat_id INTEGER NOT NULL, sender_id INTEGER NOT NULL,
       content TEXT NOT NULL, type TEXT NOT NULL, created_at INTEGER NOT NULL)`,
  )
  const insert = database.prepare(
    'INSERT INTO messages (chat_id, sender_id, content, type, created_at) VALUES (?, ?, ?, ?, ?)',
  )
  const begin = database.prepare('BEGIN')
  const commit = database.prepare('COMMIT')
  let stored = 0
  return {
    commit: (size) => {
      begin.run()
      for (let index = 0; index < size; index++) {
        insert.run(1, 1, CONTENT, 'Text', Math.floor(Date.now() / 1_000))
      }
      commit.run()
      stored += size
    },
    close: () => {
      database.close()
      return stored
    },
  }
}

function engineAlone(path: string): Subject {
  const engine = createEngine({ kind: 'sqlite', path, log: SILENT, clock: systemClock })
  let stored = 0
  return {
    commit: (size) => {
      const calls: StoreCall[] = []
      for (let index = 0; index < size; index++) calls.push({ operation: 'addMessage', argument })
      const outcomes = engine.run(calls)
      if (!Array.isArray(outcomes) || !outcomes.every(({ ok }) => ok)) throw new Error('not stored')
      stored += size
    },
    close: () => {
      void engine.close()
      return stored
    },
  }
}

function clientAndHost(engine: StoreEngine): Subject {
  const queue: [number, Buffer][] = []
  const answers: [number, Buffer][] = []
  const post =
    (to: [number, Buffer][]) =>
    (kind: number, head: Uint8Array, headBytes: number, body: Uint8Array, start: number, bytes: number): boolean => {
      const record = Buffer.allocUnsafe(headBytes + bytes)
      record.set(head)
      record.set(body.subarray(start, start + bytes), headBytes)
      to.push([kind, record])
      return true
    }
  const wheel = createNodeWheel(systemClock)
  const client = new StoreClient({
    send: post(queue),
    clock: systemClock,
    wheel,
    timeoutMs: 60_000,
    callsMax: 10_000,
  })
  const reply = post(answers)
  const host = new StoreHost({
    engine,
    reply: (_thread, ...record) => reply(...record),
    commitSeconds: { observe: () => {} },
    batchSize: { observe: () => {} },
    log: SILENT,
    clock: systemClock,
    limits: STORE_LIMITS,
    schedule: (batch) => batches.push(batch),
  })
  const batches: (() => void)[] = []
  let stored = 0
  return {
    commit: async (size) => {
      const acks: Promise<unknown>[] = []
      for (let index = 0; index < size; index++) acks.push(client.store.addMessage(argument))
      for (const [kind, record] of queue.splice(0)) host.receive(8, kind, record)
      for (const batch of batches.splice(0)) batch()
      for (const [kind, record] of answers.splice(0)) client.receive(kind, record)
      await Promise.all(acks)
      stored += size
    },
    close: async () => {
      await host.close()
      wheel.close()
      return stored
    },
  }
}

/** Messages per second. */
async function rate({ commit }: Subject, size: number, sampleMs: number): Promise<number> {
  const startMs = performance.now()
  let messages = 0
  do {
    await commit(size)
    messages += size
  } while (performance.now() - startMs < sampleMs)
  return (messages / (performance.now() - startMs)) * 1_000
}

export const bench = defineBench({
  question: 'What does a message cost that is on disk before it is acknowledged?',
  run: async ({ smoke, log }) => {
    const folder = mkdtempSync(join(tmpdir(), 'polyloop-bench-'))
    const sampleMs = smoke ? SAMPLE_MS_SMOKE : SAMPLE_MS
    const peer = plainLoop(join(folder, 'plain.db'))
    const engine = engineAlone(join(folder, 'engine.db'))
    const both = clientAndHost(
      createEngine({ kind: 'sqlite', path: join(folder, 'host.db'), log: SILENT, clock: systemClock }),
    )
    const memory = clientAndHost(createEngine({ kind: 'memory', path: '', log: SILENT, clock: systemClock }))
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let hash = 0
    try {
      for (const size of BATCHES) {
        log(`batches of ${size}`)
        for (const one of [peer, engine, both, memory]) await rate(one, size, sampleMs / 4)
        const samples = await interleave(smoke ? 1 : ROUNDS, {
          peer: () => rate(peer, size, sampleMs),
          engine: () => rate(engine, size, sampleMs),
          both: () => rate(both, size, sampleMs),
          memory: () => rate(memory, size, sampleMs / 4),
        })
        const name = `messages per second, ${size} a commit`
        ratios.push(
          { name: `engine / plain node:sqlite: ${name}`, value: ratioOf(samples.engine, samples.peer), atLeast: 0.5 },
          {
            name: `client, host and engine / plain node:sqlite: ${name}`,
            value: ratioOf(samples.both, samples.peer),
            atLeast: 0.5,
          },
        )
        for (const [which, title] of [
          ['peer', 'plain node:sqlite'],
          ['engine', 'engine'],
          ['both', 'client, host and engine'],
          ['memory', 'client, host and memory'],
        ] as const) {
          figures.push({ name: `${title}, ${size} a commit`, value: median(samples[which]), unit: 'messages/s' })
        }
      }
    } finally {
      for (const one of [peer, engine, both, memory]) hash += await one.close()
      rmSync(folder, { recursive: true, force: true })
    }
    return { ratios, figures, hash }
  },
})
