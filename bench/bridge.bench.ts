// What the bridge adds to Redis: a message from a publisher of ioredis to a listener in another thread than the bridge's,
// against an ioredis subscriber in the listener's own thread; and how many messages come through, over few channels and
// many. Redis itself publishes the floods, by a script: they cost this process nothing.
import { Redis } from 'ioredis'
import type { Bridge, ChannelSubscription } from '../src/bridge/bridge.ts'
import { startRedis } from '../test/harness/redis.ts'
import { startRuntime } from './bench-runtime.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'

const CHANNELS = [1, 100, 10_000] as const
const PAYLOAD = Buffer.from('{"type":"data","message_id":"0f8fad5b-d9cb-469f-a165-70867728950e","timestamp":1}')
const FLOOD = "for i = 0, ARGV[1] - 1 do redis.call('PUBLISH', ARGV[3] .. (i % ARGV[2]), ARGV[4]) end"
/** Of one flood: less than `client-output-buffer-limit pubsub` (32 MiB) allows. */
const FLOOD_MESSAGES = 40_000
const ADDED_P50_MS_MAX = 0.15
const PATIENCE_MS = 20_000

interface Sizes {
  readonly rounds: number
  readonly messages: number
  readonly flood: number
}

const FULL: Sizes = { rounds: 7, messages: 2_000, flood: FLOOD_MESSAGES }
const SMOKE: Sizes = { rounds: 1, messages: 50, flood: 2_000 }

/** Counts what comes, and says when there is enough. */
class Counter {
  #left = 0
  #enough: (() => void) | undefined
  received = 0

  readonly onMessage = (): void => {
    this.received++
    if (--this.#left === 0) this.#enough?.()
  }

  next(count: number): Promise<void> {
    this.#left = count
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.#left} of ${count} messages did not come`)), PATIENCE_MS)
      this.#enough = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** One way from the publisher to a listener. */
interface Way {
  readonly counter: Counter
  /** Names of its channels, without their numbers. */
  readonly prefix: string
  /** Publishes one message. */
  publish(channel: string): unknown
}

/** Times of messages one after another, from the call of `publish` to the listener, in ms. */
async function timesOf({ counter, prefix, publish }: Way, count: number): Promise<number[]> {
  const times: number[] = []
  for (let index = 0; index < count; index++) {
    const startMs = performance.now()
    const come = counter.next(1)
    void publish(`${prefix}0`)
    await come
    times.push(performance.now() - startMs)
    // As between messages of a quiet session: everybody goes to sleep.
    if (index % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  return times.sort((a, b) => a - b)
}

async function floodOf({ counter, prefix }: Way, script: Redis, channels: number, count: number): Promise<number> {
  const startMs = performance.now()
  const come = counter.next(count)
  void script.eval(FLOOD, 0, count, channels, prefix, PAYLOAD)
  await come
  return (count / (performance.now() - startMs)) * 1_000
}

async function listen(bridge: Bridge, counter: Counter, prefix: string, channels: number): Promise<() => void> {
  const listener = { message: counter.onMessage, gap: () => {} }
  const all: ChannelSubscription[] = []
  for (let index = 0; index < channels; index++) all.push(bridge.subscribe(`${prefix}${index}`, listener))
  await Promise.all(all.map(({ confirmed }) => confirmed))
  return () => {
    for (const subscription of all) subscription.end()
  }
}

export const bench = defineBench({
  question: 'How long does a message take from Redis through the bridge to another thread, and how many come through?',
  async run({ smoke, log }) {
    const sizes = smoke ? SMOKE : FULL
    await using stack = new AsyncDisposableStack()
    const { url } = stack.use(await startRedis())
    const connect = (): Redis => stack.adopt(new Redis(url), (redis) => redis.disconnect())
    const [publisher, subscriber] = [connect(), connect()]
    // Any module: with one there is a bridge.
    const runtime = await startRuntime('./ask-actor.ts', 1, { 'bridge.redis.url': url, 'bridge.calls': 100_000 })
    stack.defer(async () => void (await runtime.close()))
    const { bridge } = runtime
    const floor: Way = { counter: new Counter(), prefix: 'floor:', publish: (name) => publisher.publish(name, PAYLOAD) }
    const through: Way = { counter: new Counter(), prefix: 'through:', publish: floor.publish }
    const both: Way = {
      counter: through.counter,
      prefix: 'through:',
      publish: (channel) => bridge.publish({ channel, payload: PAYLOAD }),
    }
    subscriber.on('messageBuffer', floor.counter.onMessage)
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    for (const channels of CHANNELS) {
      log(`${channels} channels`)
      const end = await listen(bridge, through.counter, through.prefix, channels)
      const names = Array.from({ length: channels }, (_, index) => `${floor.prefix}${index}`)
      await subscriber.subscribe(...names)
      if (channels === 1) {
        const p50 = (way: Way) => async (): Promise<number> => median(await timesOf(way, sizes.messages))
        for (const way of [floor, through, both]) await timesOf(way, sizes.messages)
        const times = await interleave(sizes.rounds, { floor: p50(floor), through: p50(through), both: p50(both) })
        const added = times.through.map((ms, index) => ms - (times.floor[index] ?? 0))
        ratios.push(
          { name: 'bridge / bare ioredis: publish to listener, p50', value: ratioOf(times.through, times.floor) },
          {
            name: `bridge, added p50 / ${ADDED_P50_MS_MAX * 1_000} µs`,
            value: median(added) / ADDED_P50_MS_MAX,
            atMost: 1,
          },
          {
            name: 'bridge both ways / bare ioredis: publish to listener, p50',
            value: ratioOf(times.both, times.floor),
          },
        )
        figures.push(
          { name: 'bare ioredis: publish to listener, p50', value: median(times.floor) * 1_000, unit: 'µs' },
          { name: 'bridge: publish by ioredis to listener, p50', value: median(times.through) * 1_000, unit: 'µs' },
          { name: 'bridge: publish by the bridge to listener, p50', value: median(times.both) * 1_000, unit: 'µs' },
        )
      }
      const flood = (way: Way) => (): Promise<number> => floodOf(way, publisher, channels, sizes.flood)
      for (const way of [floor, through]) await flood(way)()
      const rates = await interleave(sizes.rounds, { floor: flood(floor), through: flood(through) })
      ratios.push({
        name: `bridge / bare ioredis: messages per second over ${channels} channels`,
        value: ratioOf(rates.through, rates.floor),
      })
      figures.push(
        { name: `bare ioredis, ${channels} channels`, value: median(rates.floor), unit: 'messages/s' },
        { name: `bridge, ${channels} channels`, value: median(rates.through), unit: 'messages/s' },
      )
      end()
      await subscriber.unsubscribe(...names)
    }
    return { ratios, figures, hash: floor.counter.received + through.counter.received }
  },
})
