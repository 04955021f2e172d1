// Subscribing, publishing and coming back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineTopic } from '../../src/actor/topic-definition.ts'
import { Client, isCode, TestConnection } from './topic-client.ts'
import { positioned, World } from './topic-world.ts'

const kept = defineTopic({ kind: 'kept', history: { count: 5, age: '10s' }, encode: positioned })
const plain = defineTopic({ kind: 'plain', encode: positioned })

test('subscribe: begins with the next message, on every shard, once for each connection', () => {
  const world = new World({ threads: 3, definitions: [plain] })
  const first = world.connect(1, 'plain.a')
  world.settle()
  assert.ok(world.publish(2, 'plain.a'))
  world.settle()
  const second = world.connect(2, 'plain.a')
  world.settle()
  assert.equal(world.thread(2).relay.subscribe(second, 'plain.a'), 'already_subscribed')
  world.publish(1, 'plain.a')
  world.settle()
  assert.equal(first.client.texts.length, 2)
  assert.equal(second.client.texts.length, 1)
  assert.deepEqual(second.client.events, [
    { type: 'subscribed', topic: 'plain.a', epoch: first.client.epoch, offset: 1, recovered: false, missed: 0 },
  ])
  assert.ok(world.thread(2).relay.unsubscribe(second, 'plain.a'))
  assert.ok(!world.thread(2).relay.unsubscribe(second, 'plain.a'))
  world.publish(1, 'plain.a')
  world.settle()
  assert.equal(second.client.texts.length, 1)
  assert.equal(world.thread(0).homes.report().interests, 1)
})

test('subscribe: refuses bad names, closed connections, unknown encoders and presence that is too large', () => {
  const shown = defineTopic({ kind: 'shown', presence: true })
  const world = new World({ threads: 1, definitions: [shown], topicsMax: 1, subscriptionsMax: 1 })
  const { relay } = world.thread(0)
  const connection = new TestConnection(new Client(1, 'shown.a'))
  assert.throws(() => relay.subscribe(connection, 'a'), isCode('TOPIC_NAME_INVALID'))
  assert.throws(() => relay.subscribe(connection, 'shown.a', { deliver: 'none' }), TypeError)
  const presence = 'x'.repeat(1023)
  assert.throws(() => relay.subscribe(connection, 'shown.a', { presence }), isCode('VALUE_INVALID'))
  assert.equal(relay.subscribe(connection, 'shown.a', { presence: 'x'.repeat(1022) }), 'accepted')
  world.settle()
  // The home has room for one topic only: the second subscription ends with an event.
  const other = new TestConnection(new Client(2, 'shown.b'))
  assert.equal(relay.subscribe(other, 'shown.b'), 'accepted')
  world.settle()
  assert.deepEqual(other.client.events, [{ type: 'refused', topic: 'shown.b' }])
  assert.equal(relay.report().subscriptions, 1)
  assert.equal(relay.subscribe(connection, 'shown.d'), 'connection_limit')
  connection.open = false
  assert.equal(relay.subscribe(connection, 'shown.e'), 'closed')
})

test('publish: names, values, keys and sizes that cannot be sent are refused; a full way is told', () => {
  const keyed = defineTopic({ kind: 'keyed', slow: 'conflate', key: () => 'k'.repeat(513) })
  const world = new World({ threads: 2, definitions: [keyed], linkMax: 1 })
  const { relay } = world.thread(1)
  assert.throws(() => relay.publish('none', 1), isCode('TOPIC_NAME_INVALID'))
  assert.throws(() => relay.publish('plain.a', undefined), isCode('VALUE_INVALID'))
  assert.throws(() => relay.publish('keyed.a', 1), isCode('VALUE_INVALID'))
  assert.throws(() => relay.publish('plain.a', Buffer.alloc(63 * 1024 + 1)), isCode('MESSAGE_TOO_LARGE'))
  assert.ok(relay.publish('plain.a', Buffer.alloc(63 * 1024)))
  assert.ok(!relay.publish('plain.a', 'one more'))
})

test('publish: text that nobody hears is not sent to its home in this thread, and is refused all the same if it is too long', () => {
  const world = new World({ threads: 1, definitions: [] })
  const { relay, router, homes } = world.thread(0)
  assert.ok(relay.publish('plain.a', 'text'))
  assert.deepEqual([router.stats.local, homes.report().unheard], [0, 1])
  assert.throws(() => relay.publish('plain.a', 'x'.repeat(64 * 1024)), isCode('MESSAGE_TOO_LARGE'))
  world.connect(0, 'plain.a', undefined, { checks: false })
  world.run(0)
  const before = router.stats.local
  assert.ok(relay.publish('plain.a', 'text'))
  assert.deepEqual([router.stats.local, homes.report().unheard], [before + 1, 1])
})

test('publish: strings and bytes go as they are, the rest as JSON; what nobody hears needs no topic', () => {
  const world = new World({ threads: 1, definitions: [] })
  world.publish(0, 'plain.a')
  assert.deepEqual({ ...world.thread(0).homes.report() }, { ...world.thread(0).homes.report(), topics: 0, unheard: 1 })
  const connection = world.connect(0, 'plain.a', undefined, { checks: false })
  const { relay } = world.thread(0)
  relay.publish('plain.a', 'text')
  relay.publish('plain.a', Buffer.from('bytes'))
  relay.publish('plain.a', { a: [1] })
  world.run(0)
  assert.deepEqual(connection.client.texts, ['text', 'bytes', '{"a":[1]}'])
})

test('publish: an encoder that throws loses its message and no other', () => {
  const picky = defineTopic<{ bad?: boolean }>({
    kind: 'picky',
    encode: (message, position) => {
      if (message.bad === true) throw new Error('bad')
      return positioned(message, position)
    },
  })
  const world = new World({ threads: 1, definitions: [picky] })
  const connection = world.connect(0, 'picky.a')
  world.publish(0, 'picky.a')
  world.publish(0, 'picky.a', { bad: true })
  world.publish(0, 'picky.a')
  assert.equal(connection.client.texts.length, 2)
  assert.equal(connection.client.expected, 3)
})

test('recovery: everything since the offset comes, or how much is missing is told', () => {
  const world = new World({ threads: 2, definitions: [kept] })
  const stays = world.connect(1, 'kept.a')
  const leaves = world.connect(1, 'kept.a')
  world.settle()
  world.publish(0, 'kept.a')
  world.settle()
  world.close(1, leaves)
  const { since } = leaves.client
  for (let count = 0; count < 5; count++) world.publish(0, 'kept.a')
  world.settle()
  const back = world.connect(1, 'kept.a', since)
  world.settle()
  assert.deepEqual(back.client.events, [
    { type: 'subscribed', topic: 'kept.a', epoch: since.epoch, offset: 1, recovered: true, missed: 0 },
  ])
  assert.equal(back.client.texts.length, 5)
  world.publish(0, 'kept.a')
  world.settle()
  const late = world.connect(0, 'kept.a', since)
  world.settle()
  assert.deepEqual(late.client.events, [
    { type: 'subscribed', topic: 'kept.a', epoch: since.epoch, offset: 2, recovered: false, missed: 1 },
  ])
  assert.equal(late.client.texts.length, 5)
  assert.equal(stays.client.texts.length, 7)
  world.checkBooks()
})

test('recovery: nothing missed is recovered without history; another epoch and made-up offsets are not', () => {
  const world = new World({ threads: 2, definitions: [plain] })
  const first = world.connect(1, 'plain.a')
  world.settle()
  world.publish(0, 'plain.a')
  world.settle()
  const { since } = first.client
  const cases = [
    { asked: since, recovered: true, missed: 0 },
    { asked: { epoch: since.epoch, offset: 0 }, recovered: false, missed: 1 },
    { asked: { epoch: since.epoch - 1, offset: 1 }, recovered: false, missed: undefined },
    { asked: { epoch: since.epoch, offset: 10 ** 15 }, recovered: false, missed: undefined },
  ]
  for (const { asked, recovered, missed } of cases) {
    const connection = world.connect(0, 'plain.a', asked)
    world.settle()
    const expected = { type: 'subscribed', topic: 'plain.a', epoch: since.epoch, offset: 1, recovered, missed }
    assert.deepEqual(connection.client.events, [expected])
  }
  world.publish(1, 'plain.a')
  world.settle()
  world.checkBooks()
  world.run(60)
  world.checkQuiet()
})

test('recovery: what is kept for repairs is not for subscribers that come back', () => {
  const world = new World({ threads: 1, definitions: [plain] })
  const first = world.connect(0, 'plain.a')
  const since = first.client.since
  for (let count = 0; count < 3; count++) world.publish(0, 'plain.a')
  assert.equal(world.thread(0).homes.report().entries, 3)
  const back = world.connect(0, 'plain.a', since)
  assert.equal(back.client.texts.length, 0)
  assert.equal(back.client.events[0]?.type === 'subscribed' && back.client.events[0].missed, 3)
})

test('recovery: many that come back at once are served by few pulls, and a long history in parts', () => {
  const long = defineTopic({ kind: 'long', history: { count: 2000 }, encode: positioned })
  const world = new World({ threads: 2, definitions: [long] })
  const first = world.connect(1, 'long.a')
  world.settle()
  const since = first.client.since
  for (let count = 0; count < 1000; count++) world.publish(0, 'long.a')
  world.settle()
  const back = Array.from({ length: 50 }, () => world.connect(1, 'long.a', since))
  world.settle()
  world.pass(200)
  for (const { client } of back) assert.equal(client.texts.length, 1000)
  world.checkBooks()
  world.checkQuiet()
})
