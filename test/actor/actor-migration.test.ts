import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineActor } from '../../src/actor/definition.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { slotOf } from '../../src/placement/slots.ts'
import { FixtureShards } from './shard-fixture.ts'

let saving = Promise.withResolvers<void>()
let working = Promise.withResolvers<void>()
/** How often an actor of kind `restless` has told itself something. */
let ticks = 0
const TICKS_MAX = 10_000

/** Takes its time to save, and to work. */
const saver = defineActor({
  kind: 'saver',
  create: () => ({ count: 0, secret: undefined as unknown }),
  on: {
    add: (state, amount: number) => {
      state.count += amount
      return state.count
    },
    work: async (_state, _none: undefined, context) => {
      await working.promise
      context.stop()
    },
    late: async (_state, _none: undefined, context) => {
      await working.promise
      context.every('late', 10, 'add', 1)
    },
    hide: async (state) => {
      state.secret = () => 'no structured clone of this'
      await working.promise
    },
    stop: (_state, _none: undefined, context) => context.stop(),
  },
  passivated: () => saving.promise,
})

const restless = defineActor({
  kind: 'restless',
  create: () => ({}),
  on: {
    tick: (_state, _none: undefined, context) => {
      if (++ticks < TICKS_MAX) context.actor(restless, context.id).tell('tick')
    },
  },
})

function create() {
  saving = Promise.withResolvers()
  working = Promise.withResolvers()
  ticks = 0
  const shards = new FixtureShards([saver, restless], [8, 9, 10])
  const slot = slotOf('saver/s')
  const from = shards.owners[slot] as number
  const to = from === 10 ? 8 : from + 1
  return { shards, slot, from, to, here: shards.ref(from, saver, 's'), there: shards.ref(to, saver, 's') }
}

test('move: an actor that was being passivated does not come, and its address lives on', async () => {
  const { shards, slot, from, to, here, there } = create()
  here.tell('add', 5)
  here.tell('stop')
  await shards.run()
  shards.move([slot], from, to)
  await shards.run()
  assert.equal(shards.shard(to).system.migration.awaited, 1)
  const asked = there.ask('add', 1)
  await shards.run()
  saving.resolve()
  await shards.run()
  assert.equal(await asked, 1)
  assert.equal(shards.shard(to).system.migration.awaited, 0)
  assert.deepEqual(shards.moving, [])
})

test('move: an actor that stops while it is to leave is passivated first', async () => {
  const { shards, slot, from, to, here, there } = create()
  saving.resolve()
  here.tell('add', 5)
  here.tell('work')
  await shards.run()
  shards.move([slot], from, to)
  await shards.run()
  working.resolve()
  await shards.run()
  assert.equal(shards.shard(to).system.size, 0)
  assert.deepEqual(shards.moving, [])
  const asked = there.ask('add', 1)
  await shards.run()
  assert.equal(await asked, 1)
})

test('move: what waits for an actor whose state cannot travel is answered', async () => {
  const { shards, slot, from, to, here } = create()
  here.tell('hide')
  const asked = here.ask('add', 1)
  const refused = assert.rejects(asked, (error) => error instanceof PolyloopError && error.code === 'ACTOR_UNREACHABLE')
  await shards.run()
  shards.move([slot], from, to)
  working.resolve()
  await shards.run()
  await refused
  assert.equal(shards.shard(from).dead.move_failed, 1)
  assert.deepEqual(shards.moving, [])
})

test('move: a handler that goes on after its actor was given up leaves no timer behind', async () => {
  const { shards, slot, from, to, here } = create()
  here.tell('late')
  await shards.run()
  shards.move([slot], from, to)
  await shards.run()
  await shards.pass(600)
  working.resolve()
  await shards.run()
  const { fired } = shards.timers.wheel.stats
  await shards.pass(100)
  assert.equal(shards.timers.wheel.stats.fired, fired)
})

test('move: an actor that always tells itself something does not keep its new shard', async () => {
  const { shards } = create()
  const slot = slotOf('restless/r')
  const from = shards.owners[slot] as number
  const to = from === 10 ? 8 : from + 1
  shards.move([slot], from, to)
  shards.ref(to, restless, 'r').tell('tick')
  let most = 0
  for (let steps = shards.steps(); steps.length > 0; steps = shards.steps()) {
    const before = ticks
    steps[0]?.()
    most = Math.max(most, ticks - before)
    await Promise.resolve()
  }
  assert.equal(ticks, TICKS_MAX)
  assert.ok(most <= 512, `${most} in one turn`)
})
