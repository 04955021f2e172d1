// What a topic that spans hosts adds to Redis: a message from one runtime through the topic's log to a shard of another
// runtime, against an ioredis publisher and subscriber with the same payload; and how many come through. Both runtimes,
// Redis and the peer share the machine.
import { Redis } from 'ioredis'
import { startRedis } from '../test/harness/redis.ts'
import { startRuntime } from './bench-runtime.ts'
import { defineBench, interleave, median, ratioOf } from './harness.ts'
import { hearer, machineUs, TOPIC } from './topic-hosts-service.ts'

const CHANNEL = 'bench-floor'
/** 84 bytes with the time, as in the bench of the bridge. */
const FILLER = '.'.repeat(66)
/** Published at once in a flood: less than the calls that a shard's bridge lets wait. */
const BURST = 1_000
const ADDED_P50_MS_MAX = 0.15
const PATIENCE_MS = 20_000

interface Sizes {
  readonly rounds: number
  readonly paced: number
  readonly flood: number
}

const FULL: Sizes = { rounds: 7, paced: 500, flood: 20_000 }
const SMOKE: Sizes = { rounds: 1, paced: 30, flood: 1_000 }

/** One way of messages to a listener. */
interface Way {
  /** Of a message, everything but Redis; one figure for each flood. */
  readonly cpuUs: number[]
  begin(): Promise<void>
  publish(payload: string): void
  /** Waits for so many; how long each was under way, in µs. */
  hear(count: number): Promise<readonly number[]>
}

function payload(): string {
  return `${machineUs()} ${FILLER}`
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Times of messages with a pause between them, in which everybody goes to sleep; their median, in ms. */
async function p50Of(way: Way, count: number): Promise<number> {
  await way.begin()
  for (let index = 0; index < count; index++) {
    way.publish(payload())
    await pause(2)
  }
  return median(await way.hear(count)) / 1_000
}

async function perSecond(way: Way, count: number): Promise<number> {
  await way.begin()
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  for (let sent = 0; sent < count; ) {
    for (const until = Math.min(count, sent + BURST); sent < until; sent++) way.publish(payload())
    await way.hear(sent)
  }
  const { user, system } = process.cpuUsage(cpuBefore)
  way.cpuUs.push((user + system) / count)
  return (count / (performance.now() - startMs)) * 1_000
}

/** ioredis, in one thread. */
class Floor implements Way {
  readonly cpuUs: number[] = []
  readonly #publisher: Redis
  #taken: number[] = []
  #onMessage: (() => void) | undefined

  constructor(publisher: Redis, subscriber: Redis) {
    this.#publisher = publisher
    subscriber.on('messageBuffer', (_channel: Buffer, bytes: Buffer) => {
      this.#taken.push(machineUs() - Number.parseFloat(bytes.toString('latin1', 0, 24)))
      this.#onMessage?.()
    })
  }

  begin(): Promise<void> {
    this.#taken = []
    return Promise.resolve()
  }

  publish(text: string): void {
    void this.#publisher.publish(CHANNEL, text)
  }

  async hear(count: number): Promise<readonly number[]> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.#taken.length} of ${count} came`)), PATIENCE_MS)
      this.#onMessage = () => {
        if (this.#taken.length < count) return
        clearTimeout(timer)
        resolve()
      }
      this.#onMessage()
    })
    return this.#taken
  }
}

export const bench = defineBench({
  question: 'How long does a message of a topic take from one host to another, and how many come through?',
  async run({ smoke, log }) {
    const sizes = smoke ? SMOKE : FULL
    await using stack = new AsyncDisposableStack()
    const { url } = stack.use(await startRedis())
    const settings = { 'bridge.redis.url': url, 'services.bench-ear.tcp.port': 0, 'actor.askTimeout': '30s' }
    const [one, two] = await Promise.all(
      [1, 2].map(async () => {
        const runtime = await startRuntime('./topic-hosts-service.ts', 1, settings)
        return stack.adopt(runtime, (adopted) => adopted.close().then(() => undefined))
      }),
    )
    if (one === undefined || two === undefined) throw new Error('two runtimes')
    const connect = (): Redis => stack.adopt(new Redis(url), (redis) => redis.disconnect())
    const [publisher, subscriber] = [connect(), connect()]
    await subscriber.subscribe(CHANNEL)
    const far = two.actor(hearer, 'far')
    const topic: Way = {
      cpuUs: [],
      begin: () => far.ask('begin'),
      publish: (text) => {
        if (!one.publish(TOPIC, text)) throw new Error('the way to the topic is full')
      },
      hear: (count) => far.ask('hear', count),
    }
    const floor = new Floor(publisher, subscriber)
    log('latency')
    for (const way of [floor, topic]) await p50Of(way, sizes.paced)
    const times = await interleave(sizes.rounds, {
      floor: () => p50Of(floor, sizes.paced),
      topic: () => p50Of(topic, sizes.paced),
    })
    log('messages per second')
    for (const way of [floor, topic]) await perSecond(way, sizes.flood)
    const rates = await interleave(sizes.rounds, {
      floor: () => perSecond(floor, sizes.flood),
      topic: () => perSecond(topic, sizes.flood),
    })
    const added = times.topic.map((ms, index) => ms - (times.floor[index] ?? 0))
    return {
      ratios: [
        {
          name: 'topic over hosts / bare ioredis: publish to subscriber, p50',
          value: ratioOf(times.topic, times.floor),
        },
        {
          name: `topic over hosts, added p50 / ${ADDED_P50_MS_MAX * 1_000} µs`,
          value: median(added) / ADDED_P50_MS_MAX,
        },
        { name: 'topic over hosts / bare ioredis: messages per second', value: ratioOf(rates.topic, rates.floor) },
        { name: 'topic over hosts / bare ioredis: CPU of a message', value: ratioOf(topic.cpuUs, floor.cpuUs) },
      ],
      figures: [
        { name: 'bare ioredis: publish to subscriber, p50', value: median(times.floor) * 1_000, unit: 'µs' },
        {
          name: 'topic: publish on one host to a shard of another, p50',
          value: median(times.topic) * 1_000,
          unit: 'µs',
        },
        { name: 'bare ioredis, 1,000 at a time', value: median(rates.floor), unit: 'messages/s' },
        { name: 'topic over hosts, 1,000 at a time', value: median(rates.topic), unit: 'messages/s' },
        { name: 'bare ioredis, both ends: CPU of a message', value: median(floor.cpuUs), unit: 'µs' },
        { name: 'topic, both hosts: CPU of a message', value: median(topic.cpuUs), unit: 'µs' },
      ],
      hash: times.topic.length + rates.topic.length,
    }
  },
})
