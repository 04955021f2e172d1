// What the store on Redis costs above Redis: messages acknowledged a second through the store, rings and the bridge's thread,
// against bare ioredis that runs the very same script in the caller's own thread. Both tell a topic's log of each message.
import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import { systemClock } from '../src/lib/clock.ts'
import { ADD_MESSAGE, KEY_PREFIX } from '../src/store/redis-script.ts'
import { RedisStore } from '../src/store/redis-store.ts'
import type { Announcement } from '../src/store/store.ts'
import { createNodeWheel } from '../src/timer/node-wheel.ts'
import { startRedis } from '../test/harness/redis.ts'
import { startRuntime } from './bench-runtime.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'

const IN_FLIGHT = [1, 50, 500] as const
const CONTENT = 'What the store on Redis costs above Redis, in a message of the usual length.'
const TTL_SECONDS = 600
const LOG_ENTRIES = 256

interface Sizes {
  readonly rounds: number
  /** Messages of one sample, for each of IN_FLIGHT. */
  readonly messages: readonly number[]
}

const FULL: Sizes = { rounds: 7, messages: [1_000, 10_000, 20_000] }
const SMOKE: Sizes = { rounds: 1, messages: [20, 100, 600] }

/** Messages a second, with so many that are not answered at a time. */
async function rateOf(add: () => Promise<number>, inFlight: number, count: number): Promise<number> {
  let left = count
  const one = async (): Promise<void> => {
    while (left-- > 0) await add()
  }
  const startMs = performance.now()
  await Promise.all(Array.from({ length: inFlight }, one))
  return (count * 1_000) / (performance.now() - startMs)
}

export const bench = defineBench({
  question: 'How many messages a second does the store on Redis acknowledge, against bare ioredis?',
  async run({ smoke, log }) {
    const { rounds, messages } = smoke ? SMOKE : FULL
    await using stack = new AsyncDisposableStack()
    const redis = stack.use(await startRedis({ config: ['appendonly yes', 'appendfsync always'] }))
    // Any module: with one there is a bridge.
    const runtime = await startRuntime('./ask-actor.ts', 1, { 'store.kind': 'memory', 'bridge.redis.url': redis.url })
    stack.defer(() => runtime.close().then(() => {}))
    const wheel = stack.adopt(createNodeWheel(systemClock), (made) => made.close())
    const store = new RedisStore({
      script: (call) => runtime.bridge.script(call),
      onDisk: false,
      clock: systemClock,
      wheel,
      timeoutMs: 10_000,
      callsMax: 1_000,
    })
    const bare = stack.adopt(new Redis(redis.url), (client) => client.disconnect())
    const nowSeconds = Math.floor(Date.now() / 1_000)
    const before = '{"packet_type":"Message","chat_id":1,"message":{"id":'
    const after = `,"content":"${CONTENT}"}}\n`
    const told = { countMax: LOG_ENTRIES, ttlSeconds: TTL_SECONDS, before, after, createdAt: nowSeconds }
    const announce: Announcement = { ...told, log: 'topic:chat-feed.1' }
    const byStore = async (): Promise<number> => {
      const message = { chatId: 1, senderId: 1, content: CONTENT, type: 'Text', createSender: false } as const
      return (await store.addMessage({ ...message, announce })).id
    }
    const hash = createHash('sha1').update(ADD_MESSAGE).digest('hex')
    const keys = ['meta', 'users', 'user-names', 'chat:1', 'messages:1'].map((name) => KEY_PREFIX + name)
    const args = [
      '1',
      `Text ${nowSeconds} 1 ${CONTENT}`,
      nowSeconds,
      '0',
      before,
      after,
      LOG_ENTRIES,
      TTL_SECONDS * 1_000,
    ]
    const byIoredis = async (): Promise<number> => {
      const reply = await bare.evalsha(hash, 6, ...keys, announce.log, ...args)
      return (reply as [number, number])[0]
    }
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    // The server knows the script from then on.
    let last = await byStore()
    for (const [index, inFlight] of IN_FLIGHT.entries()) {
      const count = messages[index] ?? 0
      log(`${inFlight} in flight`)
      const rates = await interleave(rounds, {
        store: () => rateOf(byStore, inFlight, count),
        ioredis: () => rateOf(byIoredis, inFlight, count),
      })
      const name = `store / bare ioredis: messages a second, ${inFlight} in flight`
      ratios.push({ name, value: ratioOf(rates.store, rates.ioredis) })
      figures.push({ name: `store, ${inFlight} in flight`, value: median(rates.store), unit: 'messages/s' })
      figures.push({ name: `bare ioredis, ${inFlight} in flight`, value: median(rates.ioredis), unit: 'messages/s' })
    }
    last = await byStore()
    const expected = 2 + 2 * rounds * messages.reduce((sum, count) => sum + count, 0)
    if (last !== expected) throw new Error(`${last} messages are stored, ${expected} were sent`)
    return { ratios, figures, hash: last }
  },
})
