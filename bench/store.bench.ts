// What a durable message costs: the store's engine alone, with what its thread does around it, and with the caller's part
// too, against a plain loop over node:sqlite that commits as many rows at a time on the same disk.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '../src/lib/clock.ts'
import { createLogger } from '../src/observe/logger.ts'
import { CALL_AT, OUTCOME, type SendRecord } from '../src/ring/call-record.ts'
import { createEngine } from '../src/store/create-engine.ts'
import { MessageWriter } from '../src/store/message-record.ts'
import { StoreClient } from '../src/store/store-client.ts'
import type { StoreCall, StoreEngine } from '../src/store/store-engine.ts'
import { STORE_LIMITS, StoreHost } from '../src/store/store-host.ts'
import { OPERATIONS, STORE_RECORD, STORE_TAG } from '../src/store/store-record.ts'
import { createNodeWheel } from '../src/timer/node-wheel.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'

const BATCHES = [1, 10, 50, 500] as const
const CONTENT = 'A message of some eighty bytes, as people write them in chats all day long, or so.'
const ROUNDS = 7
/** Of one sample: long enough for some hundred commits, and a checkpoint now and then. */
const SAMPLE_MS = 300
const SAMPLE_MS_SMOKE = 5
const SILENT = createLogger({ level: 'silent', write: () => {}, base: { thread: 'bench' } })

/** A thread that calls. */
const SOURCE = 8
const TITLES = [
  ['peer', 'plain node:sqlite'],
  ['engine', 'engine'],
  ['host', 'host and engine'],
  ['all', 'client, host and engine in one thread'],
] as const

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

function engineAlone(engine: StoreEngine): Subject {
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

interface Host {
  readonly host: StoreHost
  /** Runs what was received. */
  step(): void
}

function hostOf(engine: StoreEngine, reply: SendRecord): Host {
  const scheduled: (() => void)[] = []
  const host = new StoreHost({
    engine,
    reply: (_thread, ...record) => reply(...record),
    commitSeconds: { observe: () => {} },
    batchSize: { observe: () => {} },
    log: SILENT,
    clock: systemClock,
    limits: STORE_LIMITS,
    schedule: (batch) => scheduled.push(batch),
  })
  return {
    host,
    step: () => {
      for (const batch of scheduled.splice(0)) batch()
    },
  }
}

/** What the store's thread does: records in, records out. */
function hostAlone(engine: StoreEngine): Subject {
  let stored = 0
  const { host, step } = hostOf(engine, (_kind, head) => {
    if (head[CALL_AT.what] !== OUTCOME.ok) throw new Error('not stored')
    stored++
    return true
  })
  const writer = new MessageWriter()
  const head = Buffer.from([1, 0, 0, 0, OPERATIONS.indexOf('addMessage'), STORE_TAG.message])
  const record = Buffer.concat([head, writer.bytes.subarray(0, writer.write(argument))])
  return {
    commit: (size) => {
      for (let index = 0; index < size; index++) host.receive(SOURCE, STORE_RECORD.call, record)
      step()
    },
    close: async () => {
      await host.close()
      return stored
    },
  }
}

/** All of it in one thread, promises included. */
function clientAndHost(engine: StoreEngine): Subject {
  const calls: [number, Buffer][] = []
  const answers: [number, Buffer][] = []
  const wheel = createNodeWheel(systemClock)
  const client = new StoreClient({
    send: postTo(calls),
    clock: systemClock,
    wheel,
    timeoutMs: 60_000,
    callsMax: 10_000,
  })
  const { host, step } = hostOf(engine, postTo(answers))
  let stored = 0
  return {
    commit: async (size) => {
      const acks: Promise<unknown>[] = []
      for (let index = 0; index < size; index++) acks.push(client.store.addMessage(argument))
      for (const [kind, record] of calls.splice(0)) host.receive(SOURCE, kind, record)
      step()
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

function postTo(queue: [number, Buffer][]): SendRecord {
  return (kind, head, headBytes, body, start, bytes) => {
    const record = Buffer.allocUnsafe(headBytes + bytes)
    record.set(head)
    record.set(body.subarray(start, start + bytes), headBytes)
    queue.push([kind, record])
    return true
  }
}

interface Sample {
  readonly perSecond: number
  readonly cpuMicroseconds: number
}

/** Of one message. */
async function sample({ commit }: Subject, size: number, sampleMs: number): Promise<Sample> {
  const startMs = performance.now()
  const startCpu = process.cpuUsage()
  let messages = 0
  do {
    await commit(size)
    messages += size
  } while (performance.now() - startMs < sampleMs)
  const { user, system } = process.cpuUsage(startCpu)
  const perSecond = (messages / (performance.now() - startMs)) * 1_000
  return { perSecond, cpuMicroseconds: (user + system) / messages }
}

export const bench = defineBench({
  question: 'What does a message cost that is on disk before it is acknowledged?',
  run: async ({ smoke, log }) => {
    const folder = mkdtempSync(join(tmpdir(), 'polyloop-bench-'))
    const sampleMs = smoke ? SAMPLE_MS_SMOKE : SAMPLE_MS
    const peer = plainLoop(join(folder, 'plain.db'))
    const open = (name: string): StoreEngine =>
      createEngine({ kind: 'sqlite', path: join(folder, name), log: SILENT, clock: systemClock })
    const engine = engineAlone(open('engine.db'))
    const host = hostAlone(open('host.db'))
    const all = clientAndHost(open('all.db'))
    const subjects = { peer, engine, host, all }
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let hash = 0
    try {
      for (const size of BATCHES) {
        log(`batches of ${size}`)
        for (const one of Object.values(subjects)) await sample(one, size, sampleMs / 4)
        const cpu: Record<keyof typeof subjects, number[]> = { peer: [], engine: [], host: [], all: [] }
        const measure = (name: keyof typeof subjects) => async (): Promise<number> => {
          const { perSecond, cpuMicroseconds } = await sample(subjects[name], size, sampleMs)
          cpu[name].push(cpuMicroseconds)
          return perSecond
        }
        const samples = await interleave(smoke ? 1 : ROUNDS, {
          peer: measure('peer'),
          engine: measure('engine'),
          host: measure('host'),
          all: measure('all'),
        })
        for (const [which, title] of TITLES) {
          const values = samples[which]
          figures.push(
            { name: `${title}, ${size} a commit`, value: median(values), unit: 'messages/s' },
            { name: `${title}, ${size} a commit: CPU of one message`, value: median(cpu[which]), unit: 'µs' },
          )
          if (which === 'peer') continue
          ratios.push({
            name: `${title} / plain node:sqlite, ${size} a commit: messages per second`,
            value: ratioOf(values, samples.peer),
            ...(which === 'all' ? {} : { atLeast: 0.5 }),
          })
        }
      }
    } finally {
      for (const one of Object.values(subjects)) hash += await one.close()
      rmSync(folder, { recursive: true, force: true })
    }
    return { ratios, figures, hash }
  },
})
