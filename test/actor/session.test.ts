import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ActorContext } from '../../src/actor/context.ts'
import { defineActor } from '../../src/actor/definition.ts'
import { defineSession, SESSION_METHOD } from '../../src/actor/session.ts'
import { slotOf } from '../../src/placement/slots.ts'
import { FixtureShards } from './shard-fixture.ts'

const events: string[] = []

const player = defineSession({
  kind: 'player',
  create: (id) => ({ name: id, score: 0 }),
  resumeFor: '10s',
  backlog: 3,
  on: {
    score(session, points: number) {
      session.state.score += points
      session.send(`score ${session.state.score}`)
      return session.state.score
    },
    look: (session) => ({ ids: session.connections.map(({ id }) => id), dropped: session.dropped }),
    end: (session) => session.close(4500, 'over'),
  },
  connected: (session, { id }) => void events.push(`${session.state.name} connected ${id}`),
  disconnected: (session, { id }) => void events.push(`${session.state.name} disconnected ${id}`),
  ended: (session) => void events.push(`${session.state.name} ended with ${session.state.score}`),
})

const ref = (id: number) => ({ slot: 0, id, shard: 0 })

type Raw = {
  ask(method: string, argument?: unknown): Promise<unknown>
  tell(method: string, argument?: unknown): boolean
}

function create(): {
  shards: FixtureShards
  session: Raw
  ask: (method: string, argument?: unknown) => Promise<unknown>
} {
  events.length = 0
  const shards = new FixtureShards([player], [8, 9])
  const session = shards.ref(8, player, 'ada') as never as Raw
  const ask = async (method: string, argument?: unknown): Promise<unknown> => {
    const asked = session.ask(method, argument)
    asked.catch(() => {})
    await shards.run()
    return asked
  }
  return { shards, session, ask }
}

test('session: says everything to all its connections, and keeps it while it has none', async () => {
  const { shards, ask } = create()
  for (const points of [1, 1, 1, 1, 1]) await ask('score', points)
  await ask(SESSION_METHOD.attach, ref(1))
  assert.deepEqual(shards.sent, ['1 score 3', '1 score 4', '1 score 5'])
  assert.deepEqual(await ask('look'), { ids: [1], dropped: 2 })
  await ask(SESSION_METHOD.attach, ref(2))
  await ask('score', 1)
  assert.deepEqual(shards.sent.slice(3), ['1 score 6', '2 score 6'])
  await ask(SESSION_METHOD.detach, ref(1))
  await ask('score', 1)
  assert.deepEqual(shards.sent.slice(5), ['2 score 7'])
  assert.deepEqual(events, ['ada connected 1', 'ada connected 2', 'ada disconnected 1'])
})

test('session: lives on without a connection for a while, and no longer', async () => {
  const { shards, ask } = create()
  await ask(SESSION_METHOD.attach, ref(1))
  await ask('score', 5)
  await shards.pass(60_000)
  await ask(SESSION_METHOD.detach, ref(1))
  await shards.pass(9_000)
  assert.equal(await ask('score', 1), 6)
  await ask(SESSION_METHOD.attach, ref(2))
  await shards.pass(60_000)
  assert.equal(await ask('score', 1), 7)
  await ask(SESSION_METHOD.detach, ref(2))
  await shards.pass(11_000)
  assert.equal(events.at(-1), 'ada ended with 7')
  assert.equal(await ask('score', 1), 1)
  // It was only spoken to, and nobody connects.
  await shards.pass(11_000)
  assert.equal(shards.shard(shards.owners[slotOf('player/ada')] as number).system.size, 0)
})

test('session: moves with its connections, its state and what waits', async () => {
  const { shards, ask } = create()
  const slot = slotOf('player/ada')
  await ask('score', 5)
  const from = shards.owners[slot] as number
  shards.move([slot], from, from === 8 ? 9 : 8)
  await shards.run()
  await ask(SESSION_METHOD.attach, ref(7))
  assert.deepEqual(shards.sent, ['7 score 5'])
  shards.move([slot], from === 8 ? 9 : 8, from)
  await shards.run()
  assert.deepEqual(await ask('look'), { ids: [7], dropped: 0 })
  assert.equal(await ask('score', 1), 6)
})

test('session: one connection too many closes the oldest', async () => {
  const { shards, ask } = create()
  for (let id = 1; id <= 33; id++) await ask(SESSION_METHOD.attach, ref(id))
  assert.deepEqual(shards.closed, ['1 1008 too many connections'])
  assert.equal(((await ask('look')) as { ids: number[] }).ids.length, 32)
  await ask('end')
  assert.equal(shards.closed.length, 33)
  assert.equal(shards.closed.at(-1), '33 4500 over')
})

test('session: durations without a unit are milliseconds', () => {
  const shape = { kind: 'a', create: () => 0, on: {} }
  assert.equal(defineActor({ ...shape, idleAfter: 1_500 }).idleAfterMs, 1_500)
  assert.equal(defineActor({ ...shape, idleAfter: '1500ms' }).idleAfterMs, 1_500)
  assert.equal(defineActor({ ...shape, idleAfter: 0 }).idleAfterMs, 0)
  assert.throws(() => defineActor({ ...shape, idleAfter: -1 }), /no duration/)
  assert.throws(() => defineSession({ ...shape, resumeFor: Number.NaN }), /no duration/)
})

test('session: names that are its own, and bad bounds, are refused', () => {
  const create = (_id: string, _context: ActorContext): number => 0
  assert.throws(() => defineSession({ kind: 'a', create, on: { $attach: () => 1 } }), /reserved/)
  assert.throws(() => defineSession({ kind: 'a', create, on: {}, resumeFor: 'soon' }), /no duration/)
  assert.throws(() => defineSession({ kind: 'a', create, on: {}, backlog: -1 }), /no count/)
})
