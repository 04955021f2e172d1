// The bridge's thread ends or hangs under load: calls end with typed errors, whoever listens is told of the gap and hears
// everything that is said behind it, and no other thread notices more than that.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { BridgeTalker } from '../harness/bridge-talker.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { type Server, startServer } from '../harness/server.ts'
import { cause, threadFaults } from '../harness/thread-fault.ts'
import { waitUntil } from '../harness/wait.ts'

const LISTENERS = 8
const KILLS = 3
/** Messages heard between two faults. */
const HEARD_MIN = 50
const HANG_LIMIT_MS = 2_000
const FAILURES_EXPECTED = ['BRIDGE_LOST', 'BRIDGE_DOWN', 'BRIDGE_TIMEOUT']

const folder = mkdtempSync(join(tmpdir(), 'polyloop-bridge-'))
let redis: RedisServer
let server: Server

before(async () => {
  redis = await startRedis()
  server = await startServer({
    shards: 2,
    modules: ['test/harness/bridge-service.ts'],
    settings: { 'shard.hangLimit': `${HANG_LIMIT_MS}ms`, 'shard.restartBackoff.max': '200ms' },
    environment: { ...threadFaults(folder), REDIS_URL: redis.url },
  })
  await waitUntil('it is healthy', () => server.isHealthy())
})

after(async () => {
  await server[Symbol.asyncDispose]()
  await redis[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

function open(): Promise<BridgeTalker> {
  return BridgeTalker.open(server.port('crier.tcp'))
}

async function restarts(): Promise<number> {
  return (await server.metrics()).sum('polyloop_shard_restarts_total', { shard: 'bridge' })
}

/** Says one number after another on a channel until it is told to stop. */
class Speaker {
  /** Numbers whose publish was answered. */
  readonly said: number[] = []
  readonly failures = new Set<string>()
  readonly #channel: string
  readonly #done: Promise<void>
  #count = 0
  #isStopping = false

  constructor(talker: BridgeTalker, channel: string) {
    this.#channel = channel
    this.#done = this.#run(talker)
  }

  /** The next number. */
  get next(): number {
    return this.#count
  }

  stop(): Promise<void> {
    this.#isStopping = true
    return this.#done
  }

  async #run(talker: BridgeTalker): Promise<void> {
    while (!this.#isStopping) {
      const number = this.#count++
      const answer = await talker.ask(`say ${this.#channel} ${number}`)
      if (/^\d+$/.test(answer)) this.said.push(number)
      else this.failures.add(answer)
    }
  }
}

/** What a listener heard is in order, at most once, and complete from the last gap on. */
function checkHeard({ heard }: BridgeTalker, said: readonly number[], from: number): void {
  const numbers = heard.map((text) => Number(text.split(' ')[1]))
  assert.deepEqual(
    numbers,
    [...new Set(numbers)].toSorted((a, b) => a - b),
  )
  const known = new Set(numbers)
  assert.deepEqual(
    said.filter((number) => number >= from && !known.has(number)),
    [],
  )
}

/** Faults while somebody speaks; each listener is told of `gaps` gaps, and hears all that is said behind the last. */
async function underLoad(
  channel: string,
  gaps: number,
  faults: (heard: () => Promise<void>) => Promise<void>,
): Promise<Speaker> {
  const listeners = await Promise.all(Array.from({ length: LISTENERS }, open))
  await Promise.all(listeners.map((listener) => listener.hear(channel)))
  using voice = await open()
  const speaker = new Speaker(voice, channel)
  const heard = async (): Promise<void> => {
    const before = listeners.map((listener) => listener.heard.length)
    await waitUntil(
      'everybody hears something',
      () => listeners.every((listener, index) => listener.heard.length > (before[index] ?? 0) + HEARD_MIN),
      20_000,
    )
  }
  await faults(heard)
  await waitUntil('all gaps are told', () => listeners.every((listener) => listener.gaps.length === gaps), 20_000)
  const from = speaker.next
  await heard()
  await speaker.stop()
  const last = `${channel} ${speaker.said.at(-1)}`
  await waitUntil('the last one is heard', () => listeners.every((listener) => listener.heard.at(-1) === last))
  for (const listener of listeners) {
    checkHeard(listener, speaker.said, from)
    assert.equal(listener.gaps.length, gaps)
    listener[Symbol.dispose]()
  }
  for (const failure of speaker.failures) assert.ok(FAILURES_EXPECTED.includes(failure), failure)
  return speaker
}

test('bridge: killed under load, its callers hear BRIDGE_LOST, listeners of the gap, and nobody is deaf afterwards', async () => {
  using ada = await open()
  assert.equal(await ada.ask('set place here'), 'ok')
  await underLoad('killed', KILLS, async (heard) => {
    for (let kill = 1; kill <= KILLS; kill++) {
      await heard()
      cause(folder, 'bridge', 'kill')
      await waitUntil(`restart ${kill}`, async () => (await restarts()) === kill)
      await waitUntil('it is healthy again', () => server.isHealthy(), 20_000)
    }
    await heard()
  })
  assert.equal(await ada.ask('get place'), 'here')
  assert.ok(server.logged('runtime.thread_exited').every(({ of }) => of === 'bridge'))
})

test('bridge: hung under load, the host is degraded until it is replaced', async () => {
  const before = await restarts()
  await underLoad('hung', 1, async (heard) => {
    await heard()
    cause(folder, 'bridge', 'freeze')
    const { status, bridge } = await waitUntil('it is seen', async () => {
      const health = await server.health()
      return health.bridge?.status === 'disconnected' && health
    })
    assert.equal(status, 'degraded')
    assert.deepEqual(bridge, { kind: 'redis', status: 'disconnected', error: 'its thread is hung' })
    assert.equal((await server.fetch('/ready')).status, 200)
    await waitUntil('it is replaced', async () => (await restarts()) > before, 20_000)
    await waitUntil('it is healthy again', () => server.isHealthy(), 20_000)
    await heard()
  })
  assert.deepEqual(
    server.logged('runtime.thread_hung').map(({ of }) => of),
    ['bridge'],
  )
})
