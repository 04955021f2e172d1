// Twenty reloads and four other numbers of shards under verified load: nobody is disconnected, nothing is lost,
// repeated or reordered, actors keep their state, and what a reload needs is given back.
import assert from 'node:assert/strict'
import type { MetricPage } from '../harness/metric-page.ts'
import { MovingCrowd } from '../harness/moving-crowd.ts'
import { type Server, startServer } from '../harness/server.ts'
import { pause, waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'
import { defineScenario, mebibytes, type SoakFigure, spreadOf } from './scenario.ts'

const SHARDS = 2
const SHARD_COUNTS = [1, 4, 2, 3] as const
/** Of one connection. */
const SAY_MS = 1_000
const TICK_MS = 250
const COUNTERS = 50
/** Also for the quiet second in which the memory of ended threads goes back. */
const SETTLE_MS = 1_000
const MOVED_MS_MAX = 120_000
const CAUGHT_UP_MS_MAX = 60_000
/** Heaps of new threads have grown by then; what grows after it is a leak. */
const FIRST_RELOADS = 3
/** The memory of threads that have ended goes back at times of its own, 50 MiB at once: single samples say nothing. */
const WINDOW = 5
const DESCRIPTOR_SLACK = 8
/** Of twenty reloads: less than a shard's own heap at rest. */
const GROWTH_BYTES_MAX = 48 * 1024 ** 2

interface Rest {
  readonly descriptors: number
  readonly residentBytes: number
}

export const reload = defineScenario({
  claim:
    'With 2,000 WebSocket and 500 TCP connections, 20 reloads and 1, 4, 2 and 3 shards disconnect nobody, lose, repeat and reorder nothing, and leak nothing.',
  limitMs: 20 * 60_000,
  async run({ quick, log }) {
    const reloads = quick ? FIRST_RELOADS + 1 : 20
    const [webSockets, streams] = quick ? [200, 50] : [2_000, 500]
    await using server = await startServer({
      shards: SHARDS,
      modules: ['test/harness/moving-service.ts'],
      settings: { 'services.moving.permessageDeflate': true, 'net.backlog': 2048 },
    })
    using control = await Control.open(server, 'control')
    using adder = await Control.open(server, 'adder')
    const crowd = await MovingCrowd.open(server, webSockets, streams)
    try {
      log(`${crowd.members.length} connections, ${server.descriptors()} descriptors, ${mebibytes(server.rss())}`)
      assert.equal(await control.ask(`ticker ${TICK_MS}`), 'started')
      crowd.start(SAY_MS)
      await waitUntil('everybody hears ticks', () => crowd.tick > 0, CAUGHT_UP_MS_MAX)
      const counting = new Counting(adder)
      const rests: Rest[] = []
      const seconds: number[] = []
      let moves = 0
      /** One move under load, and what it left behind. */
      const move = async (path: string, body: object): Promise<void> => {
        seconds.push(await moved(server, ++moves, path, body))
        assert.deepEqual(crowd.faults, [], `after move ${moves}: ${crowd.faultCount} faults`)
        assert.equal(counting.fault, undefined)
      }
      for (let index = 1; index <= reloads; index++) {
        await move('/api/v1/reload', {})
        await pause(SETTLE_MS)
        const rest = { descriptors: server.descriptors(), residentBytes: server.rss() }
        rests.push(rest)
        log(
          `reload ${index}: ${seconds.at(-1)} s, ${rest.descriptors} descriptors, ${mebibytes(rest.residentBytes)}, ${crowd.echoes} echoes`,
        )
      }
      for (const count of SHARD_COUNTS) {
        await move('/api/v1/shards', { count })
        assert.equal((await server.health()).shards.length, count)
        log(`${count} shards: ${seconds.at(-1)} s`)
      }
      const counted = await counting.stop()
      await waitUntil('every echo is back', () => crowd.isQuiet, CAUGHT_UP_MS_MAX)
      const last = Number((await control.ask('last')).split(' ')[1])
      await waitUntil('everybody has heard the last tick', () => crowd.tick === last, CAUGHT_UP_MS_MAX)
      assert.deepEqual(crowd.faults, [])

      const metrics = await server.metrics()
      assertNothingLost(metrics, webSockets + streams + 2)
      const settled = rests.slice(FIRST_RELOADS - 1)
      const first = highest(settled.slice(0, WINDOW))
      const end = highest(settled.slice(-WINDOW))
      assert.ok(end.descriptors <= first.descriptors + DESCRIPTOR_SLACK, describe(first, end))
      assert.ok(end.residentBytes < first.residentBytes + GROWTH_BYTES_MAX, describe(first, end))
      assert.deepEqual(server.stray, [])
      return [
        { name: 'connections', value: `${webSockets} WebSocket, ${streams} TCP: 0 faults` },
        { name: 'a reload', value: spreadOf(seconds.slice(0, reloads).map((value) => value * 1000)) },
        { name: 'another number of shards', value: spreadOf(seconds.slice(reloads).map((value) => value * 1000)) },
        ...pausesOf(metrics),
        { name: 'echoes', value: `${crowd.echoes}, each in order` },
        { name: 'ticks to each connection', value: `${last}` },
        { name: `${COUNTERS} actors counted`, value: `${counted}, each time one more` },
        {
          name: `most in the ${WINDOW} reloads from number ${FIRST_RELOADS} on, and in the last ${WINDOW}`,
          value: describe(first, end),
        },
      ]
    } finally {
      crowd.close()
    }
  },
})

/** Asks the service; it hears ticks, too. */
class Control implements Disposable {
  readonly #client: WebSocketClient

  constructor(client: WebSocketClient) {
    this.#client = client
  }

  static async open(server: Server, session: string): Promise<Control> {
    return new Control(await WebSocketClient.open(server.url('moving.ws', `/?session=${session}`)))
  }

  async ask(text: string): Promise<string> {
    this.#client.send(text)
    for (;;) {
      const answer = (await this.#client.next(CAUGHT_UP_MS_MAX))?.data.toString() ?? 'closed'
      if (!answer.startsWith('t ')) return answer
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }
}

/** Asks actors to count, one after another, without a pause: a count that is not one more is a fault. */
class Counting {
  fault: string | undefined
  #stopped = false
  readonly #done: Promise<number>

  constructor(control: Control) {
    this.#done = this.#run(control)
  }

  /** How often they have counted. */
  async stop(): Promise<number> {
    this.#stopped = true
    const counted = await this.#done
    assert.equal(this.fault, undefined)
    return counted
  }

  async #run(control: Control): Promise<number> {
    let counted = 0
    while (!this.#stopped && this.fault === undefined) {
      const expected = `count ${Math.floor(counted / COUNTERS) + 1}`
      const answer = await control.ask(`add c${counted % COUNTERS}`).catch(String)
      if (answer !== expected) this.fault = `${answer} instead of ${expected}`
      counted++
    }
    return counted
  }
}

/** Seconds until move number `count` of the server was done. */
async function moved(server: Server, count: number, path: string, body: object): Promise<number> {
  const headers = { 'content-type': 'application/json' }
  const { status } = await server.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
  assert.equal(status, 202)
  const line = await waitUntil(
    `move ${count} is done`,
    () => server.logged('runtime.move_done')[count - 1],
    MOVED_MS_MAX,
  )
  assert.deepEqual(server.logged('runtime.rollout_failed'), [])
  assert.equal(line.failed, 0)
  assert.equal(line.lingering, 0)
  return Number(line.seconds)
}

function assertNothingLost(metrics: MetricPage, connections: number): void {
  assert.equal(metrics.sum('polyloop_shard_connections', { service: 'moving' }), connections)
  assert.equal(metrics.sum('polyloop_migrations_total', { result: 'failed' }), 0)
  assert.equal(metrics.sum('polyloop_net_closed_total'), 0)
  assert.equal(metrics.sum('polyloop_ring_watchdog_wakes_total'), 0)
  const of = (name: string): number => metrics.sum(`polyloop_topic_${name}`, { kind: 'ticks' })
  assert.equal(of('published_total'), of('delivered_total') + of('in_flight') + of('dropped_total'))
  assert.equal(of('dropped_total'), 0)
}

/** As the histogram knows them: the bound below which so many are. */
function pausesOf(metrics: MetricPage): SoakFigure[] {
  const name = 'polyloop_migration_pause_seconds'
  const buckets = metrics.series.filter((one) => one.name === `${name}_bucket`)
  const bounds = [...new Set(buckets.map(({ labels }) => labels.le ?? ''))].sort((a, b) => bound(a) - bound(b))
  const count = metrics.sum(`${name}_count`)
  const within = (share: number): string =>
    bounds.find((le) => metrics.sum(`${name}_bucket`, { le }) >= share * count) ?? '+Inf'
  const [p50, p99, max] = [0.5, 0.99, 1].map(within)
  const meanMs = (metrics.sum(`${name}_sum`) / count) * 1000
  return [
    {
      name: 'pause of a connection',
      value: `P50 ≤ ${p50} s, P99 ≤ ${p99} s, max ≤ ${max} s, mean ${meanMs.toFixed(1)} ms (${count})`,
    },
  ]
}

function bound(text: string): number {
  return text === '+Inf' ? Infinity : Number(text)
}

function highest(rests: readonly Rest[]): Rest {
  return {
    descriptors: Math.max(...rests.map(({ descriptors }) => descriptors)),
    residentBytes: Math.max(...rests.map(({ residentBytes }) => residentBytes)),
  }
}

function describe(first: Rest, end: Rest): string {
  return `${first.descriptors} and ${end.descriptors} descriptors, ${mebibytes(first.residentBytes)} and ${mebibytes(end.residentBytes)} resident`
}
