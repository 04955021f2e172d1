// What the tender of a thread's topics sees to by itself: here, subscribers that were slow. Nobody tells it that a
// connection has drained: the shard does not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineTopic, type SlowMode } from '../../src/actor/topic-definition.ts'
import { positioned, QUEUE_MAX, SLOW_BYTES, World } from './topic-world.ts'

const HISTORY = { count: 1_000 }
/** More than a queue holds. */
const COUNT = 2 * QUEUE_MAX
const TICKS_MS = 500

for (const [slow, heard] of [
  ['drop-oldest', QUEUE_MAX],
  ['conflate', 1],
  ['catch-up', COUNT],
] as const satisfies readonly (readonly [SlowMode, number])[]) {
  test(`slow subscriber: with ${slow} it goes on once it has drained, though nobody says so`, () => {
    const kind = defineTopic({ kind: 'kind', slow, history: HISTORY, encode: positioned })
    const world = new World({ threads: 2, definitions: [kind] })
    const connection = world.connect(1, 'kind.a')
    world.settle()
    world.pass(TICKS_MS)
    // Nothing is under way for this topic any more when it becomes slow.
    assert.equal(world.thread(1).relay.report().busy, 0)
    connection.bufferedBytes = SLOW_BYTES + 1
    for (let count = 0; count < COUNT; count++) world.publish(0, 'kind.a')
    world.settle()
    world.pass(TICKS_MS)
    assert.equal(connection.client.texts.length, 0)
    assert.equal(world.thread(1).relay.report().apart, 1)
    connection.bufferedBytes = 0
    world.pass(TICKS_MS)
    assert.equal(connection.client.texts.length, heard)
    assert.equal(connection.client.expected, COUNT + 1)
    assert.equal(world.thread(1).relay.report().apart, 0)
    world.checkBooks()
    world.pass(TICKS_MS)
    assert.equal(world.thread(1).relay.report().busy, 0)
    assert.deepEqual(world.failures, [])
  })
}
