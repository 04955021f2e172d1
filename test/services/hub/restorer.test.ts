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
import { keyOfSession, type LiveSession, SessionBook } from '../../../src/services/hub/session-book.ts'
import { mintToken, type ReconnectionToken } from '../../../src/services/hub/session-id.ts'
import { decodeRecord, encodeRecord, recordOf, type SessionRecord } from '../../../src/services/hub/session-record.ts'
import type { ShardLine } from '../../../src/services/hub/shard-line.ts'

const ID = '1e7cb33c-4784-4fdd-852d-381f58525454'
const LIFE_MS = 300_000

/** The keys of a bridge; what else it can do, nobody here asks for. */
class Keys {
  readonly values = new Map<string, Uint8Array>()
  isDown = false

  async get({ key }: { readonly key: string }): Promise<Uint8Array | undefined> {
    if (this.isDown) throw new Error('the server is away')
    return this.values.get(key)
  }

  async take({ key }: { readonly key: string }): Promise<Uint8Array | undefined> {
    const value = this.values.get(key)
    this.values.delete(key)
    return value
  }

  async set({ key, value }: { readonly key: string; readonly value: Uint8Array }): Promise<void> {
    this.values.set(key, value)
  }

  async remove({ key }: { readonly key: string }): Promise<boolean> {
    return this.values.delete(key)
  }
}

interface World {
  readonly clock: ManualClock
  readonly keys: Keys
  readonly book: SessionBook<LiveSession>
  readonly restorer: Restorer<LiveSession>
  /** What another shard answers when it is asked for the session. */
  answer: Awaited<ReturnType<ShardLine['ask']>>
}

function createWorld(): World {
  const clock = new ManualClock()
  const keys = new Keys()
  const bridge = keys as unknown as Bridge
  const log = createLogger({ level: 'silent', write: () => {}, base: { thread: 'test' }, clock })
  const failed = log.limited('hub.store_failed', 1)
  const book = new SessionBook<LiveSession>(bridge, clock, failed)
  const world: { answer: World['answer'] } = { answer: { state: 'none' } }
  const line = { ask: async () => world.answer, tell: () => {} } as unknown as ShardLine
  const after = (_ms: number, run: () => void | Promise<void>): (() => void) => {
    queueMicrotask(() => void run())
    return () => {}
  }
  const restorer = new Restorer({ book, bridge, line, clock, after, shard: 'here', failed })
  return Object.assign(world, { clock, keys, book, restorer })
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
    ...more,
  })
  world.keys.values.set(keyOfSession(ID), encodeRecord(record))
  return record
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
  assert.equal(world.keys.values.size, 0)
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

test('restorer: a connection of this shard gives way, and the bridge forgets the session', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token, { owner: 'here' })
  world.book.live.set(ID, { surrender: (digest) => (digest === token.digest ? record : undefined) })
  assert.equal(await world.restorer.restore(mintToken(ID), undefined), undefined)
  assert.deepEqual(await world.restorer.restore(token, undefined), record)
  assert.equal(world.keys.values.size, 0)
})

test('restorer: one that has just ended is found before the bridge has it', async () => {
  const world = createWorld()
  const token = mintToken(ID)
  const record = keep(world, token)
  world.keys.values.clear()
  world.book.park(record)
  assert.equal(
    world.book.buffered(() => 3, 1_000),
    3,
  )
  assert.deepEqual(await world.restorer.restore(token, undefined), record)
  await world.book.settled()
  assert.equal(
    world.book.buffered(() => 3, 1_000),
    0,
  )
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
    await world.restorer.giveBack(record)
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
