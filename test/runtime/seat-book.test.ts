import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeatBook } from '../../src/runtime/seat-book.ts'

test('seats: a successor sits on the other seat, and the one after it on the first again', () => {
  const book = new SeatBook(2)
  assert.deepEqual(book.seats, [0, 1])
  assert.equal(book.freeSeat(1), 65)
  book.take(1, 65)
  assert.deepEqual([book.seats, book.retiring], [[0, 65], [1]])
  assert.equal(book.freeSeat(1), undefined, 'its predecessor is still there')
  book.gone(1)
  assert.equal(book.freeSeat(1), 1)
})

test('seats: the number of shards grows and shrinks at the end', () => {
  const book = new SeatBook(1)
  book.take(1, book.freeSeat(1) as number)
  book.take(2, book.freeSeat(2) as number)
  assert.equal(book.count, 3)
  book.shrink(1)
  assert.deepEqual([book.seats, book.retiring], [[0], [1, 2]])
  // A shard that comes back while its last life lingers.
  assert.equal(book.freeSeat(2), 66)
  assert.equal(book.seatOf(2), undefined)
  book.gone(2)
  assert.equal(book.isRetiring(1), true)
  assert.equal(book.freeSeat(2), 2)
})
