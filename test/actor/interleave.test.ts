// Results that later messages may overtake: order, refusals, moves, stops and idleness while one is open.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineActor, Refusal } from '../../src/actor/definition.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { slotOf } from '../../src/placement/slots.ts'
import { FixtureShards } from './shard-fixture.ts'

let gates = new Map<string, PromiseWithResolvers<void>>()

function gate(name: string): PromiseWithResolvers<void> {
  const found = gates.get(name) ?? Promise.withResolvers<void>()
  gates.set(name, found)
  return found
}

/** Books a sum when the gate of that name opens. */
const clerk = defineActor({
  kind: 'clerk',
  create: () => ({ sum: 0 }),
  on: {
    book: (state, { name, amount }: { name: string; amount: number }, context) =>
      context.interleave(
        gate(name).promise.then(() => {
          state.sum += amount
          return state.sum
        }),
      ),
    fail: (_state, kind: 'refusal' | 'error', context) =>
      context.interleave(
        gate('fail').promise.then(() => {
          throw kind === 'refusal' ? new Refusal('no') : new Error('oh')
        }),
      ),
    sum: (state) => state.sum,
    stop: (_state, _none: undefined, context) => context.stop(),
  },
  idleAfter: 1_000,
})

function create() {
  gates = new Map()
  const shards = new FixtureShards([clerk], [8, 9])
  const slot = slotOf('clerk/c')
  const from = shards.owners[slot] as number
  return { shards, slot, from, to: from === 8 ? 9 : 8, clerk: shards.ref(from, clerk, 'c') }
}

test('interleave: later messages are handled meanwhile, and each ask gets its own result', async () => {
  const { shards, clerk } = create()
  const first = clerk.ask('book', { name: 'a', amount: 1 })
  const second = clerk.ask('book', { name: 'b', amount: 10 })
  const sum = clerk.ask('sum')
  await shards.run()
  assert.equal(await sum, 0)
  gate('b').resolve()
  await shards.run()
  assert.equal(await second, 10)
  gate('a').resolve()
  await shards.run()
  assert.equal(await first, 11)
})

test('interleave: a rejection fails its ask and leaves the state alone', async () => {
  const { shards, clerk } = create()
  const open = clerk.ask('book', { name: 'a', amount: 1 })
  const refused = assert.rejects(
    clerk.ask('fail', 'refusal'),
    (error) => error instanceof PolyloopError && error.code === 'ACTOR_REFUSED',
  )
  const failed = assert.rejects(
    clerk.ask('fail', 'error'),
    (error) => error instanceof PolyloopError && error.code === 'ACTOR_HANDLER_FAILED',
  )
  await shards.run()
  gate('fail').resolve()
  await shards.run()
  await refused
  await failed
  gate('a').resolve()
  await shards.run()
  assert.equal(await open, 1)
  const sum = clerk.ask('sum')
  await shards.run()
  assert.equal(await sum, 1)
})

test('interleave: an actor moves when its open results are there, and what comes meanwhile is handled behind them', async () => {
  const { shards, slot, from, to, clerk } = create()
  const open = clerk.ask('book', { name: 'a', amount: 1 })
  await shards.run()
  shards.move([slot], from, to)
  const sum = clerk.ask('sum')
  await shards.run()
  assert.equal(shards.shard(to).system.migration.awaited, 1)
  gate('a').resolve()
  await shards.run()
  assert.equal(await open, 1)
  assert.equal(await sum, 1)
  assert.equal(shards.shard(from).system.size, 0)
  assert.equal(shards.shard(to).system.size, 1)
  assert.deepEqual(shards.moving, [])
})

test('interleave: stop and the idle time wait for open results', async () => {
  const { shards, from, clerk } = create()
  const open = clerk.ask('book', { name: 'a', amount: 1 })
  await shards.run()
  await shards.pass(900)
  clerk.tell('stop')
  await shards.run()
  const sum = clerk.ask('sum')
  await shards.run()
  assert.equal(await sum, 0)
  assert.equal(shards.shard(from).system.size, 1)
  gate('a').resolve()
  await shards.run()
  assert.equal(await open, 1)
  assert.equal(shards.shard(from).system.size, 0)
})
