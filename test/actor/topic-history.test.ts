// What a topic keeps, and how it is packed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packEntries, type TopicEntry, unpackEntries } from '../../src/actor/topic-entry.ts'
import { RECENT_COUNT_MAX, RECENT_MS, TopicHistory } from '../../src/actor/topic-history.ts'
import { RIGHT } from '../../src/actor/topic-record.ts'

function entry(offset: number, atMs: number, text = 'x'): TopicEntry {
  return { offset, atMs, text: true, keyBytes: 0, body: Buffer.from(text) }
}

test('topic history: keeps count, bytes and age, whichever is reached first', () => {
  const history = new TopicHistory({ count: 3, bytes: 1000, ageMs: 100 }, 0)
  for (let offset = 1; offset <= 5; offset++) history.append(entry(offset, offset), offset)
  assert.equal(history.first(RIGHT.history, 5), 3)
  assert.equal(history.get(2), undefined)
  assert.equal(history.get(3)?.offset, 3)
  assert.equal(history.first(RIGHT.history, 103), 4, 'at its age a message is too old')
  assert.ok(history.hasHistory(104))
  assert.ok(!history.hasHistory(105))
  assert.equal(history.size, 0)
  history.append(entry(6, 200, 'y'.repeat(2000)), 200)
  assert.equal(history.first(RIGHT.history, 200), 7, 'one that is larger than the history is not kept')
})

test('topic history: the recent window serves repairs, not subscribers', () => {
  const history = new TopicHistory({ count: 2, bytes: 10_000, ageMs: 60_000 }, 10_000)
  for (let offset = 1; offset <= 9; offset++) history.append(entry(offset, 0), 0)
  assert.equal(history.first(RIGHT.history, 0), 8)
  assert.equal(history.first(RIGHT.repair, 0), 1)
  assert.equal(history.first(RIGHT.repair, RECENT_MS), 8)
  const many = new TopicHistory(undefined, 10_000_000)
  for (let offset = 1; offset <= RECENT_COUNT_MAX + 1; offset++) many.append(entry(offset, 0), 0)
  assert.equal(many.first(RIGHT.repair, 0), 2)
  assert.equal(many.size, RECENT_COUNT_MAX)
})

test('topic entry: packed and unpacked it is the same', () => {
  const entries = [
    { offset: 1, atMs: 5.5, text: true, keyBytes: 0, body: Buffer.alloc(0) },
    { offset: 2 ** 40, atMs: 6, text: false, keyBytes: 3, body: Buffer.from('keypayload') },
  ]
  assert.deepEqual(unpackEntries(packEntries(entries)), entries)
  assert.deepEqual(unpackEntries(new Uint8Array(0)), [])
})
