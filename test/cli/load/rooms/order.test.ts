import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HearingBook, RoomOrder } from '../../../../src/cli/load/rooms/order.ts'
import { SendTimes } from '../../../../src/cli/load/rooms/send-times.ts'

test('room order: members who hear the same in the same order agree', () => {
  const order = new RoomOrder()
  const [one, other] = [new HearingBook(order, 2), new HearingBook(order, 2)]
  for (const book of [one, other]) {
    for (const [sender, sequence] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const)
      assert.equal(book.hear(sender, sequence), 'heard')
    assert.equal(book.received, 4)
    assert.equal(book.hasOtherOrder, false)
  }
  assert.equal(one.next(0), 2)
})

test('room order: another order is seen although each sender is in order', () => {
  const order = new RoomOrder()
  const [one, other] = [new HearingBook(order, 2), new HearingBook(order, 2)]
  for (const [sender, sequence] of [
    [0, 0],
    [1, 0],
    [0, 1],
  ] as const)
    one.hear(sender, sequence)
  for (const [sender, sequence] of [
    [0, 0],
    [0, 1],
    [1, 0],
  ] as const)
    assert.equal(other.hear(sender, sequence), 'heard')
  assert.deepEqual([one.hasOtherOrder, other.hasOtherOrder], [false, true])
})

test('room order: a message twice, late, and never', () => {
  const book = new HearingBook(new RoomOrder(), 1)
  assert.deepEqual(
    [0, 2, 1, 1, 2, 4].map((sequence) => book.hear(0, sequence)),
    ['heard', 'heard', 'reordered', 'duplicate', 'duplicate', 'heard'],
  )
  // 0, 1, 2 and 4: the one that is missing shows in the number.
  assert.equal(book.received, 4)
  // So many are missing that not all of them are remembered.
  assert.equal(book.hear(0, 1_000_000), 'heard')
  assert.equal(book.hear(0, 999_999), 'duplicate')
})

test('send times: a time is told until its place is taken by a newer message', () => {
  const times = new SendTimes(SendTimes.allocate(2))
  assert.ok(Number.isNaN(times.get(0, 0)))
  times.set(0, 0, 5)
  times.set(1, 0, 7)
  assert.deepEqual([times.get(0, 0), times.get(1, 0)], [5, 7])
  times.set(0, 1_024, 9)
  assert.ok(Number.isNaN(times.get(0, 0)))
  assert.equal(times.get(0, 1_024), 9)
})
