import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Bridge } from '../../../src/bridge/bridge.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { createLogger } from '../../../src/observe/logger.ts'
import { type Identity, NOBODY } from '../../../src/services/hub/identity.ts'
import { rateTableOf } from '../../../src/services/hub/rate-limit.ts'
import { NO_OPTIONS } from '../../../src/services/hub/request.ts'
import { Restorer } from '../../../src/services/hub/restorer.ts'
import { Session } from '../../../src/services/hub/session.ts'
import { keyOfSession, type LiveSession, OWED_MAX, SessionBook } from '../../../src/services/hub/session-book.ts'
import { mintToken, type ReconnectionToken } from '../../../src/services/hub/session-id.ts'
import { decodeRecord, encodeRecord, recordOf, type SessionRecord } from '../../../src/services/hub/session-record.ts'
import type { ShardLine } from '../../../src/services/hub/shard-line.ts'

const ID = '1e7cb33c-4784-4fdd-852d-381f58525454'
const LIFE_MS = 300_000
const NOW_MS = 1_800_000_000_000

/** The keys of a bridge; what else it can do, nobody here asks for. */
class Keys {
  readonly values = new Map<string, Uint8Array>()
  isDown = false

  async get({ key }: { readonly key: string }): Promise<Uint8Array | undefined> {
    if (this.isDown) throw new Error('the server is away')
    return this.values.get(key)
  }

  async take({ key }: { readonly key: string }): Promise<Uint8Array | undefined> {
    if (this.isDown) throw new Error('the server is away')
    const value = this.values.get(key)
    this.values.delete(key)
    return value
  }

  async set({ key, value }: { readonly key: string; readonly value: Uint8Array }): Promise<void> {
    if (this.isDown) throw new Error('the server is away')
    this.values.set(key, value)
  }
}

interface World {
  readonly clock: ManualClock
  readonly keys: Keys
  readonly book: SessionBook<LiveSession>
  readonly restorer: Restorer<LiveSession>
  /** What another shard answers when it is asked for the session. */
  answer: Awaited<ReturnType<ShardLine['ask']>>
  /** Tries again what could not be written. */
  readonly payOwed: () => Promise<void>
}

/** One shard, alone or with others on the same bridge. */
function createWorld(keys = new Keys(), shard = 'here'): World {
  const clock = new ManualClock(0, NOW_MS)
  const bridge = keys as unknown as Bridge
  const log = createLogger({ level: 'silent', write: () => {}, base: { thread: 'test' }, clock })
  const failed = log.limited('hub.store_failed', 1)
  const world: { answer: World['answer'] } = { answer: { state: 'none' } }
  const line = { ask: async () => world.answer, tell: () => {} } as unknown as ShardLine
  const after = (_ms: number, run: () => void | Promise<void>): (() => void) => {
    queueMicrotask(() => void run())
    return () => {}
  }
  let retry: (() => void | Promise<void>) | undefined
  const later = (_ms: number, run: () => void | Promise<void>): (() => void) => {
    retry = run
    return () => {}
  }
  const book = new SessionBook<LiveSession>({ bridge, clock, after: later, failed, tokenTtlMs: LIFE_MS })
  const restorer = new Restorer({ book, bridge, line, clock, after, shard, failed })
  const payOwed = async (): Promise<void> => {
    const run = retry
    retry = undefined
    await run?.()
  }
  return Object.assign(world, { clock, keys, book, restorer, payOwed })
}

function keep(world: World, token: ReconnectionToken, more: Partial<SessionRecord> = {}): SessionRecord {
  const record = recordOf({
    id: ID,
    identity: NOBODY,
    options: NO_OPTIONS,
    buckets: undefined,
    tokens: [{ digest: token.digest, expiresMs: world.clock.wallMs() + LIFE_MS }],
    positions: [['metrics', 1, 7]],
    owner: null,
    from: 'there',
    restores: 0,
    ...more,
  })
  world.keys.values.set(keyOfSession(ID), encodeRecord(record))
  return record
}

/** What the bridge has of the session. */
function inBridge({ keys }: World): SessionRecord | undefined {
  return decodeRecord(keys.values.get(keyOfSession(ID)))
}

/** A connection of a shard, in as much as the book knows one. */
class Seat implements LiveSession {
  isOver = false
  readonly #record: SessionRecord

  constructor(record: SessionRecord) {
    this.#record = record
  }

  surrender(digest: string): SessionRecord | undefined {
    if (this.isOver || this.#record.tokens.every((kept) => kept.digest !== digest)) return undefined
    this.isOver = true
    return { ...this.#record, owner: null }
  }

  kept(): SessionRecord | undefined {
    return this.isOver ? undefined : this.#record
  }

  lost(): void {
    this.isOver = true
  }
}

function user(userId: string, expiresMs?: number): Identity {
  return { userId, role: 'viewer', expiresMs }
}

test('restorer: a session of the bridge is taken once', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token)
  const both = await Promise.all([world.restorer.restore(token, undefined), world.restorer.restore(token, undefined)])
  const taken = both.filter((one) => one !== undefined)
  assert.deepEqual(
    taken.map(({ id, positions }) => [id, positions]),
    [[ID, record.positions]],
  )
  assert.deepEqual(inBridge(world)?.tokens, [], 'it says that somebody has it')
})

test('restorer: at its end a token is valid no more, and one millisecond before it is', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  keep(world, token)
  world.clock.advance(LIFE_MS)
  assert.equal(await world.restorer.restore(token, undefined), undefined)
  keep(world, token)
  world.clock.advance(LIFE_MS - 1)
  assert.notEqual(await world.restorer.restore(token, undefined), undefined)
})

test('restorer: a token that is not one of its leaves the session where it is', async () => {
  const world = createWorld()
  keep(world, mintToken(ID))
  assert.equal(await world.restorer.restore(mintToken(ID), undefined), undefined)
  assert.equal(world.keys.values.size, 1)
})

test('restorer: with the JWT of another user it counts as absent, and stays valid', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  keep(world, token, { identity: user('ada') })
  assert.equal(await world.restorer.restore(token, user('eve')), undefined)
  assert.equal((await world.restorer.restore(token, user('ada')))?.identity.userId, 'ada')
})

test('restorer: a JWT that expired 300 s ago will do, a millisecond more will not, unless a new one comes along', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const expiresMs = world.clock.wallMs() - 300_000
  keep(world, token, { identity: user('ada', expiresMs - 1) })
  assert.equal(await world.restorer.restore(token, undefined), undefined)
  assert.notEqual(await world.restorer.restore(token, user('ada', world.clock.wallMs() + 1)), undefined)
  keep(world, token, { identity: user('ada', expiresMs) })
  assert.notEqual(await world.restorer.restore(token, undefined), undefined)
})

test('restorer: the shard that has the connection gives it up, or has ended, or does not know the token', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token, { owner: 'other' })
  world.answer = { state: 'answered', parts: [{ state: 'refused' }] }
  assert.equal(await world.restorer.restore(token, undefined), undefined)
  world.answer = { state: 'answered', parts: [{ state: 'record', record: { ...record, owner: null } }] }
  assert.equal((await world.restorer.restore(token, undefined))?.owner, null)
  keep(world, token, { owner: 'other' })
  world.answer = { state: 'none' }
  assert.equal((await world.restorer.restore(token, undefined))?.owner, 'other', 'as it was kept: nobody knows more')
})

test('restorer: a shard that has it no more, and could not say so, does not keep it from its client', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  keep(world, token, { owner: 'other' })
  world.answer = { state: 'answered', parts: [{ state: 'unknown' }] }
  assert.equal((await world.restorer.restore(token, undefined))?.id, ID)
})

test('restorer: a connection of this shard gives way, and the bridge says so', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const seat = new Seat(keep(world, token, { owner: 'here' }))
  world.book.live.set(ID, seat)
  assert.equal(await world.restorer.restore(mintToken(ID), undefined), undefined)
  assert.equal((await world.restorer.restore(token, undefined))?.id, ID)
  assert.deepEqual([seat.isOver, inBridge(world)?.tokens], [true, []])
})

test('restorer: one that has just ended is found while it is being written', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token)
  world.keys.values.clear()
  world.book.park(record)
  const waiting = (): number => world.book.buffered(() => 3, 1_000)
  assert.equal(waiting(), 3)
  assert.equal((await world.restorer.restore(token, undefined))?.id, ID)
  await world.book.stop()
  assert.equal(waiting(), 0)
})

test('restorer: of two shards that want a session whose connection has just ended one gets it', async () => {
  const world = createWorld()
  const other = createWorld(world.keys, 'other')
  const token = mintToken(ID)
  const record = keep(world, token)
  // Written, and the answer not here yet: the other shard is faster.
  const set = world.keys.set.bind(world.keys)
  let taken: Promise<SessionRecord | undefined> | undefined
  world.keys.set = async (entry) => {
    await set(entry)
    taken ??= other.restorer.restore(token, undefined)
    await taken
  }
  world.book.park(record)
  const here = await world.restorer.restore(token, undefined)
  assert.equal(here, undefined)
  assert.equal((await taken)?.id, ID)
})

test('restorer: a session that was taken while its connection moved is lost to it', async () => {
  const taker = createWorld()
  const token = mintToken(ID)
  const record = keep(taker, token, { owner: 'old' })
  // The old shard has it no more, and the new one not yet.
  taker.answer = { state: 'answered', parts: [{ state: 'unknown' }] }
  assert.equal((await taker.restorer.restore(token, undefined))?.id, ID)
  const arrived = createWorld(taker.keys, 'new')
  const seat = new Seat({ ...record, owner: 'new' })
  arrived.book.live.set(ID, seat)
  await arrived.book.claim(seat)
  assert.equal(seat.isOver, true)
  assert.deepEqual([inBridge(taker)?.owner, inBridge(taker)?.tokens], ['here', []])
})

test('restorer: who wants a session while its connection looks whether it has it still waits for that', async () => {
  const world = createWorld()
  const other = createWorld(world.keys, 'other')
  const token = mintToken(ID)
  const seat = new Seat(keep(world, token, { owner: 'here' }))
  world.book.live.set(ID, seat)
  const claimed = world.book.claim(seat)
  other.answer = {
    state: 'answered',
    parts: [world.restorer.surrender({ ask: 'surrender', session: ID, digest: 'x' })],
  }
  assert.deepEqual(other.answer.parts, [{ state: 'unknown' }], 'nobody gets it meanwhile')
  // On its own shard, and on another one in the moment in which the bridge has nothing.
  const [here, there] = await Promise.all([
    world.restorer.restore(token, undefined),
    other.restorer.restore(token, undefined),
  ])
  await claimed
  assert.equal([here, there].filter((one) => one !== undefined).length, 1)
})

test('restorer: a session that has moved on is not taken from where it is, and what was written is put back', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token, { owner: 'old' })
  const get = world.keys.get.bind(world.keys)
  const asked: string[] = []
  world.keys.get = async (of) => {
    const value = await get(of)
    // It arrives elsewhere behind that look.
    if (asked.length === 0) keep(world, token, { owner: 'new' })
    asked.push(of.key)
    return value
  }
  const answers = [{ state: 'none' }, { state: 'answered', parts: [{ state: 'record', record }] }] as const
  Object.defineProperty(world, 'answer', { get: () => answers[Math.min(1, asked.length - 1)] })
  assert.equal((await world.restorer.restore(token, undefined))?.id, ID)
  assert.equal(asked.length, 2, 'its new shard was asked')
})

test('restorer: what could not be written is kept, works here, and is written when the bridge is back', async () => {
  const world = createWorld()
  const other = createWorld(world.keys, 'other')
  const [token, second] = [mintToken(ID), mintToken(ID)]
  const expiresMs = NOW_MS + LIFE_MS
  const tokens = [token, second].map(({ digest }) => ({ digest, expiresMs }))
  // The bridge knows it from when it was open.
  const record = keep(world, token, { owner: 'here', from: 'here', tokens })
  world.keys.isDown = true
  world.book.park({ ...record, owner: null })
  await world.book.pending(ID)
  assert.equal(await world.restorer.restore(mintToken(ID), undefined), undefined, 'not to everybody')
  const back = await world.restorer.restore(token, undefined)
  assert.deepEqual([back?.id, back?.owner], [ID, null])
  assert.equal(await world.restorer.restore(second, undefined), undefined, 'all its tokens are void')
  world.keys.isDown = false
  await world.payOwed()
  assert.equal(await other.restorer.restore(second, undefined), undefined, 'elsewhere, too')

  world.keys.isDown = true
  world.book.park({ ...record, owner: null, restores: 1 })
  await world.book.pending(ID)
  world.keys.isDown = false
  await world.payOwed()
  assert.equal((await other.restorer.restore(second, undefined))?.id, ID)
})

test('restorer: what is owed is forgotten when its tokens have ended', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token)
  world.keys.values.clear()
  world.keys.isDown = true
  world.book.park(record)
  await world.book.pending(ID)
  world.clock.advance(LIFE_MS)
  world.keys.isDown = false
  await world.payOwed()
  assert.equal(inBridge(world), undefined)
  assert.equal(world.book.owed(ID), undefined)
})

test('restorer: so many sessions are owed, and of more the oldest is given up', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token)
  world.keys.isDown = true
  for (let number = 0; number <= OWED_MAX; number++) world.book.park({ ...record, id: `${number}` })
  await world.book.pending(`${OWED_MAX}`)
  assert.deepEqual(
    ['0', '1', `${OWED_MAX}`].map((id) => world.book.owed(id)?.id),
    [undefined, '1', `${OWED_MAX}`],
  )
})

test('restorer: what somebody else has gone on with meanwhile is not written over', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token)
  world.keys.isDown = true
  world.book.park(record)
  await world.book.pending(ID)
  world.keys.isDown = false
  // The write had happened after all, and this one was faster.
  const other = createWorld(world.keys, 'other')
  assert.equal((await other.restorer.restore(token, undefined))?.id, ID)
  await world.payOwed()
  assert.deepEqual([inBridge(world)?.owner, inBridge(world)?.tokens], ['other', []])
  assert.equal(await world.restorer.restore(token, undefined), undefined)
})

test('restorer: behind an outage each connection looks whether it has its session still', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const seat = new Seat(keep(world, token, { owner: 'here' }))
  world.book.live.set(ID, seat)
  world.book.doubt()
  await world.payOwed()
  assert.deepEqual([seat.isOver, inBridge(world)?.owner], [false, 'here'])
  // Another host could not reach it, and took what there was.
  const other = createWorld(world.keys, 'other')
  assert.equal((await other.restorer.restore(token, undefined))?.id, ID)
  world.book.doubt()
  await world.payOwed()
  assert.equal(seat.isOver, true)
})

test('restorer: a session that is not restored stays where it is, also one that has just ended here', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token, { identity: user('ada', world.clock.wallMs() - 300_001) })
  world.book.park(record)
  assert.equal(await world.restorer.restore(token, undefined), undefined)
  assert.equal((await world.restorer.restore(token, user('ada')))?.id, ID)
})

test('restorer: a connection whose JWT has expired for too long does not give way', () => {
  const clock = new ManualClock(0, 1_800_000_000_000)
  const rules = { clock, rates: rateTableOf({ rateLimits: {}, rateLimitBurst: 0 }), tokenTtlMs: LIFE_MS, shard: 'here' }
  const session = new Session(rules, { id: ID, identity: user('ada', clock.wallMs() - 300_001), options: NO_OPTIONS })
  const { digest } = session.mint().token
  assert.equal(session.isOpenedBy(digest, undefined), false)
  assert.equal(session.isOpenedBy(digest, 'ada'), true, 'with a new JWT')
})

test('restorer: who could not be told that it is back gives the session back as it was', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  keep(world, token, { owner: 'dead' })
  for (let times = 0; times < 2; times++) {
    const record = await world.restorer.restore(token, undefined)
    assert.equal(record?.owner, 'dead', 'nobody knows where it stood')
    world.restorer.giveBack(record)
    assert.equal(
      world.book.buffered(() => 2, 10),
      2,
      'what waits for it counts',
    )
  }
})

test('restorer: without its bridge nobody is restored, and nobody waits', async () => {
  const world = createWorld()
  world.keys.isDown = true
  assert.equal(await world.restorer.restore(mintToken(ID), undefined), undefined)
})

test('session record: what is no record is none', () => {
  for (const bytes of ['', '{', 'null', '7', '{"version":2}']) assert.equal(decodeRecord(Buffer.from(bytes)), undefined)
})
