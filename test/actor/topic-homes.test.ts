// Homes that move, crash, are forgotten, or find the way to a relay full; who is present.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineTopic, TOPIC_IDLE_MS } from '../../src/actor/topic-definition.ts'
import { RECENT_MS } from '../../src/actor/topic-history.ts'
import { TRAVEL_MS } from '../../src/actor/topic-home.ts'
import { isCode } from './topic-client.ts'
import { positioned, QUEUE_MAX, SLOW_BYTES, World } from './topic-world.ts'

const kept = defineTopic({ kind: 'kept', history: { count: 5, age: '10s' }, encode: positioned })
const plain = defineTopic({ kind: 'plain', encode: positioned })

test('home: a relay whose ring is full gets what it missed later, in order', () => {
  const world = new World({ threads: 2, definitions: [plain], linkMax: 4 })
  const connection = world.connect(1, 'plain.a')
  world.settle()
  for (let count = 0; count < 20; count++) world.publish(0, 'plain.a')
  assert.equal(world.thread(0).homes.report().behind, 1)
  world.pass(400, 20)
  assert.equal(connection.client.texts.length, 20)
  assert.equal(connection.client.gaps, 0)
  world.checkQuiet()
})

test('home: what a full ring has cost is told and counted once it is no longer kept', () => {
  const world = new World({ threads: 2, definitions: [plain], linkMax: 4 })
  const connection = world.connect(1, 'plain.a')
  world.settle()
  for (let count = 0; count < 20; count++) world.publish(0, 'plain.a')
  world.run(RECENT_MS + 1000)
  for (let round = 0; round < 60; round++) {
    world.settle()
    world.run(50)
  }
  assert.ok(connection.client.gaps > 0)
  world.publish(0, 'plain.a')
  world.settle()
  world.pass(2000, 50)
  assert.equal(connection.client.expected, 22)
  const { dropped } = world.thread(1).countsOf('plain')
  assert.equal(dropped.ring_full.value + dropped.gap.value + connection.client.texts.length, 21)
  world.checkBooks()
  world.checkQuiet()
})

test('home: after a crash the topic begins anew, and every subscriber is told', () => {
  const world = new World({ threads: 2, definitions: [kept] })
  const connection = world.connect(1, 'kept.a')
  world.settle()
  world.publish(1, 'kept.a')
  world.settle()
  const { since } = connection.client
  world.kill(0)
  world.pass(1500)
  world.publish(1, 'kept.a')
  world.settle()
  assert.deepEqual(
    connection.client.events.slice(1).map((event) => event.type === 'gap' && event.reason),
    ['epoch'],
  )
  assert.notEqual(connection.client.epoch, since.epoch)
  assert.equal(connection.client.texts.length, 2)
  const back = world.connect(0, 'kept.a', since)
  world.settle()
  assert.equal(back.client.events[0]?.type === 'subscribed' && back.client.events[0].recovered, false)
})

test('home: one that nobody uses is forgotten, and its successor has another epoch', () => {
  const world = new World({ threads: 1, definitions: [plain] })
  const connection = world.connect(0, 'plain.a')
  const { epoch } = connection.client
  world.close(0, connection)
  world.run(TOPIC_IDLE_MS - 1000)
  assert.equal(world.thread(0).homes.report().topics, 1)
  world.run(2000)
  assert.equal(world.thread(0).homes.report().topics, 0)
  const again = world.connect(0, 'plain.a')
  assert.ok(again.client.epoch > epoch)
})

test('move: a topic and its subscribers go round the shards in the middle of a stream', () => {
  const world = new World({ threads: 3, definitions: [plain] })
  let connection = world.connect(0, 'plain.a')
  const { client } = connection
  let at = 0
  for (let round = 1; round <= 30; round++) {
    world.publish(round % 3, 'plain.a')
    if (!world.moving) world.moveTopic('plain.a', round % 3)
    world.publish((round + 1) % 3, 'plain.a')
    const frozen = world.leave(at, connection)
    world.publish((round + 2) % 3, 'plain.a')
    world.shiftNext(round)
    for (const link of world.links()) world.deliver(link >> 6, link & 63, 2)
    at = (at + 1) % 3
    connection = world.arrive(at, client, frozen)
    world.run(7)
  }
  world.pass(3000, 50)
  assert.equal(client.texts.length, 90)
  assert.equal(client.gaps, 0)
  world.checkBooks()
  world.checkQuiet()
})

test('move: a queue goes along, and a subscriber that has not heard yet is told where it arrives', () => {
  const world = new World({
    threads: 2,
    definitions: [defineTopic({ kind: 'd', slow: 'drop-oldest', encode: positioned })],
  })
  const slow = world.connect(0, 'd.a')
  slow.bufferedBytes = SLOW_BYTES + 1
  for (let count = 0; count < QUEUE_MAX + 2; count++) world.publish(0, 'd.a')
  const frozen = world.leave(0, slow)
  const early = world.connect(1, 'd.a')
  const unheard = world.leave(1, early)
  world.arrive(1, slow.client, frozen)
  world.arrive(0, early.client, unheard)
  world.settle()
  world.publish(1, 'd.a')
  world.settle()
  assert.equal(slow.client.texts.length, QUEUE_MAX + 1)
  assert.equal(early.client.texts.length, 1)
  world.run(60)
  world.checkBooks()
  world.checkQuiet()
})

const shown = defineTopic({ kind: 'shown', presence: true, encode: positioned })

async function present(world: World, thread: number): Promise<{ count: number; members: readonly unknown[] }> {
  const answer = world.thread(thread).relay.presence('shown.a', world.timers.clock.nowMs() + 1000)
  world.settle()
  return answer
}

test('presence: who has subscribed is present, from every shard, also after a crash', async () => {
  const world = new World({ threads: 3, definitions: [shown] })
  const first = world.connect(1, 'shown.a')
  world.connect(2, 'shown.a')
  world.settle()
  assert.deepEqual(await present(world, 1), { count: 2, members: [{ id: 1 }, { id: 2 }] })
  world.kill(2)
  world.settle()
  assert.equal((await present(world, 0)).count, 1)
  world.kill(0)
  world.pass(1500)
  assert.deepEqual(await present(world, 1), { count: 1, members: [{ id: 1 }] })
  world.close(1, first)
  world.settle()
  assert.deepEqual(await present(world, 2), { count: 0, members: [] })
})

test('presence: does not flap while a connection moves; one that never arrives is gone after a while', async () => {
  const world = new World({ threads: 3, definitions: [shown] })
  let connection = world.connect(1, 'shown.a')
  world.settle()
  for (let round = 0; round < 9; round++) {
    const frozen = world.leave((round + 1) % 3, connection)
    if (round % 2 === 0) world.settle()
    assert.equal(world.thread(0).homes.report().members, 1)
    connection = world.arrive((round + 2) % 3, connection.client, frozen)
    assert.equal(world.thread(0).homes.report().members, 1)
    world.settle()
    assert.equal(world.thread(0).homes.report().members, 1)
  }
  world.leave(1, connection)
  world.settle()
  world.run(TRAVEL_MS - 500)
  assert.equal((await present(world, 2)).count, 1)
  world.run(1000)
  assert.equal((await present(world, 2)).count, 0)
})

test('presence: many members come in parts, and an answer that does not come is a timeout', async () => {
  const world = new World({ threads: 2, definitions: [shown] })
  for (let count = 0; count < 3000; count++) world.connect(1, 'shown.a')
  world.settle()
  const { count, members } = await present(world, 1)
  assert.equal(count, 3000)
  assert.equal(new Set(members.map((member) => (member as { id: number }).id)).size, 3000)
  const { relay } = world.thread(1)
  const late = relay.presence('shown.a', world.timers.clock.nowMs() + 100)
  const timedOut = assert.rejects(late, isCode('ASK_TIMEOUT'))
  world.run(200)
  await timedOut
  world.settle()
  await assert.rejects(relay.presence('shown', 0), isCode('TOPIC_NAME_INVALID'))
  assert.equal(relay.report().asks, 0)
})

test('presence: late news of a death do not silence the living for long', async () => {
  const world = new World({ threads: 2, definitions: [shown] })
  const { client } = world.connect(1, 'shown.a')
  world.settle()
  world.thread(0).homes.threadDown(1)
  assert.equal((await present(world, 1)).count, 0)
  // Two audits: the first may just have been.
  world.pass(31_000, 500)
  assert.deepEqual(await present(world, 1), { count: 1, members: [{ id: client.id }] })
  world.publish(0, 'shown.a')
  world.settle()
  assert.equal(client.texts.length, 1)
})
