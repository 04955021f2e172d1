// Kinds and names of topics.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  checkedKindOfTopic,
  defineTopic,
  HISTORY_DEFAULTS,
  isTopic,
  kindOfTopic,
  TOPIC_IDLE_MS,
} from '../../src/actor/topic-definition.ts'
import { isCode } from './topic-client.ts'

test('topic definition: has bounds for all it keeps, and is frozen', () => {
  const topic = defineTopic({ kind: 'news', history: { count: 7 } })
  assert.deepEqual(topic.history, { ...HISTORY_DEFAULTS, count: 7 })
  assert.deepEqual(
    { slow: topic.slow, compress: topic.compress, presence: topic.presence, idleAfterMs: topic.idleAfterMs },
    { slow: 'disconnect', compress: true, presence: false, idleAfterMs: TOPIC_IDLE_MS },
  )
  assert.ok(Object.isFrozen(topic) && Object.isFrozen(topic.history))
  assert.ok(isTopic(topic) && !isTopic({ type: 'actor' }) && !isTopic(undefined))
  assert.equal(defineTopic({ kind: 'a', history: { age: '2m' } }).history?.ageMs, 120_000)
  assert.equal(defineTopic({ kind: 'a', history: { age: 250 } }).history?.ageMs, 250)
})

test('topic definition: refuses what cannot be meant', () => {
  for (const kind of ['', 'News', '1a', 'a.b', 'a'.repeat(64)]) assert.throws(() => defineTopic({ kind }), TypeError)
  assert.throws(() => defineTopic({ kind: 'a', slow: 'never' as 'conflate' }), TypeError)
  assert.throws(() => defineTopic({ kind: 'a', slow: 'catch-up' }), TypeError)
  assert.throws(() => defineTopic({ kind: 'a', history: { count: 0 } }), TypeError)
  assert.throws(() => defineTopic({ kind: 'a', history: { bytes: 1.5 } }), TypeError)
  assert.throws(() => defineTopic({ kind: 'a', history: { age: 'soon' } }), TypeError)
  assert.throws(() => defineTopic({ kind: 'a', idleAfter: 0 }), TypeError)
})

test('topic name: kind.id, at most 255 bytes', () => {
  assert.equal(kindOfTopic('room.lobby'), 'room')
  assert.equal(kindOfTopic('room.a.b c/ü'), 'room')
  assert.equal(kindOfTopic(`room.${'a'.repeat(250)}`), 'room')
  assert.equal(kindOfTopic(`room.${'ü'.repeat(125)}`), 'room')
  for (const name of ['', 'room', 'room.', '.a', 'Room.a', `room.${'a'.repeat(251)}`, `room.${'ü'.repeat(126)}`]) {
    assert.equal(kindOfTopic(name), undefined)
    assert.throws(() => checkedKindOfTopic(name), isCode('TOPIC_NAME_INVALID'))
  }
})
