// The log of a topic as others may have left it in a real Redis: entries too long for this host, entries that somebody
// removed, and something else under its name. A follower goes on behind them, or says why it cannot.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { type FollowerEvents, TopicFollower } from '../../src/actor/topic-follower.ts'
import type { LogPosition } from '../../src/bridge/bridge.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { createNodeWheel } from '../../src/timer/node-wheel.ts'
import { redisFactory } from '../bridge/bridge-fixture.ts'
import { BridgeLoop } from '../bridge/bridge-loop.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'

const ANSWER_BYTES = 4_000
const TOO_LONG = 'x'.repeat(ANSWER_BYTES)
const KEPT = { countMax: 1_000, ttlSeconds: 600 }

let redis: RedisServer
let client: Redis
let loop: BridgeLoop
const wheel = createNodeWheel(systemClock)

before(async () => {
  redis = await startRedis()
  client = new Redis(redis.url)
  loop = new BridgeLoop(redisFactory(redis.url, wheel), { wheel, limits: { answerBytesMax: ANSWER_BYTES } })
  await waitUntil('the bridge is up', () => loop.host.figures.isUp)
})

after(async () => {
  await loop[Symbol.asyncDispose]()
  wheel.close()
  client.disconnect()
  await redis[Symbol.asyncDispose]()
})

/** Writes down what a follower says. */
class Book implements FollowerEvents {
  readonly lines: string[] = []
  readonly errors: unknown[] = []
  began({ offset }: LogPosition): void {
    this.lines.push(`began at ${offset}`)
  }
  entry(offset: number, payload: Buffer): void {
    this.lines.push(`${offset} ${payload.toString().slice(0, 5)}`)
  }
  lost(to: number): void {
    this.lines.push(`lost to ${to}`)
  }
  failed(error: unknown): void {
    this.errors.push(error)
  }
}

function follow(log: string, from?: LogPosition): { book: Book; follower: TopicFollower } {
  const book = new Book()
  const { bridge } = loop.client()
  const follower = new TopicFollower(
    { bridge, wheel, log, ttlSeconds: KEPT.ttlSeconds, random: Math.random, from },
    book,
  )
  return { book, follower }
}

async function append(log: string, text: string): Promise<LogPosition> {
  return await loop.client().bridge.append({ log, payload: Buffer.from(text), ...KEPT })
}

async function historyOf(follower: TopicFollower): Promise<string[]> {
  const entries: string[] = []
  assert.equal(await follower.history((offset, payload) => entries.push(`${offset} ${payload}`)), true)
  return entries
}

test('topic log: an entry that no answer takes comes without a payload, and those behind it come', async () => {
  const log = 'topic:a.long'
  const start = await append(log, 'one')
  // Short ones, whose answer is too long all the same.
  for (let offset = 2; offset <= 150; offset++) await append(log, `short-${offset}`)
  await append(log, TOO_LONG)
  const { epoch } = await append(log, 'last')
  const { book, follower } = follow(log, start)
  await waitUntil('it is at the end', () => follower.isLive)
  assert.deepEqual(
    [book.lines.length, book.lines.at(0), ...book.lines.slice(-3)],
    [151, '2 short', '150 short', '151 ', '152 last'],
  )
  assert.equal((await historyOf(follower)).length, 152)
  await append(log, 'live')
  await waitUntil('it hears what follows', () => book.lines.at(-1) === '153 live')
  follower.close()
  // The last one is such an entry.
  await append(log, TOO_LONG)
  const late = follow(log, { epoch, offset: 153 })
  await waitUntil('it is at the end, too', () => late.follower.isLive)
  assert.deepEqual([late.book.lines, late.book.errors, book.errors], [['154 '], [], []])
  late.follower.close()
})

test('topic log: entries that somebody removed are lost, and it goes on behind them', async () => {
  const log = 'topic:a.holes'
  const start = await append(log, 'one')
  for (const text of ['two', 'three', 'four']) await append(log, text)
  const calls = Number((await client.info('commandstats')).match(/cmdstat_evalsha:calls=(\d+)/)?.[1] ?? 0)
  await client.xdel(log, `${start.epoch}-2`, `${start.epoch}-3`)
  const { book, follower } = follow(log, start)
  await waitUntil('it is at the end', () => follower.isLive)
  assert.deepEqual(book.lines, ['lost to 3', '4 four'])
  assert.deepEqual(await historyOf(follower), ['1 one', '4 four'])
  const asked = Number((await client.info('commandstats')).match(/cmdstat_evalsha:calls=(\d+)/)?.[1]) - calls
  assert.ok(asked < 10, `it asked ${asked} times`)
  follower.close()
})

test('topic log: something else under its name is told, and it begins when that is gone', async () => {
  const log = 'topic:a.other'
  await client.set(log, 'a string')
  const { book, follower } = follow(log)
  await waitUntil('it says why', () => book.errors.length > 1)
  const [error] = book.errors
  assert.ok(error instanceof PolyloopError && error.code === 'BRIDGE_REFUSED')
  assert.match(String(error.details.problem), /WRONGTYPE/)
  assert.deepEqual(book.lines, [])
  await client.del(log)
  await waitUntil('it has begun', () => follower.isLive)
  assert.deepEqual(book.lines, ['began at 0'])
  follower.close()
})
