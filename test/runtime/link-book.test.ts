import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LinkEnd } from '../../src/ring/link.ts'
import { LinkBook, type LinkedThread } from '../../src/runtime/link-book.ts'

class Linked implements LinkedThread {
  readonly ends: LinkEnd[] = []
  readonly unlinked: number[] = []
  readonly forgotten: number[] = []

  link(end: LinkEnd): void {
    this.ends.push(end)
    end.port.close()
  }

  unlink(peer: number): void {
    this.unlinked.push(peer)
  }

  forget(peer: number): void {
    this.forgotten.push(peer)
  }
}

const capacities = { data: 4096, control: 4096 }

test('link book: both threads get their end of the same memory, once', () => {
  const book = new LinkBook(capacities)
  const [one, two] = [new Linked(), new Linked()]
  book.up(8, one)
  book.up(9, two)
  book.want(8, 9)
  book.want(9, 8)
  assert.equal(one.ends.length, 1)
  assert.equal(two.ends.length, 1)
  assert.equal(one.ends[0]?.peer, 9)
  assert.equal(one.ends[0]?.out.data, two.ends[0]?.in.data)
  assert.equal(one.ends[0]?.in.control, two.ends[0]?.out.control)
})

test('link book: a link wanted before its peer is there is made when it comes', () => {
  const book = new LinkBook(capacities)
  const [one, two] = [new Linked(), new Linked()]
  book.up(8, one)
  book.want(8, 9)
  assert.equal(one.ends.length, 0)
  book.up(9, two)
  assert.equal(one.ends.length, 1)
  assert.equal(two.ends.length, 1)
})

test('link book: a successor gets the memory of its predecessor, the peer a fresh end', () => {
  const book = new LinkBook(capacities)
  const [one, two, successor] = [new Linked(), new Linked(), new Linked()]
  book.up(8, one)
  book.up(9, two)
  book.want(8, 9)
  book.down(9)
  assert.deepEqual(one.unlinked, [9])
  book.up(9, successor)
  assert.equal(successor.ends[0]?.in.data, two.ends[0]?.in.data)
  assert.equal(one.ends.length, 2)
  assert.notEqual(one.ends[0]?.port, one.ends[1]?.port)
})

test('link book: the memory of a thread without a successor is given up', () => {
  const book = new LinkBook(capacities)
  const [one, two, later] = [new Linked(), new Linked(), new Linked()]
  book.up(8, one)
  book.up(9, two)
  book.want(8, 9)
  book.gone(9)
  assert.deepEqual([one.forgotten, one.unlinked], [[9], []])
  // Another thread on that index, much later, starts with rings of its own.
  book.up(9, later)
  assert.equal(later.ends.length, 0)
  book.want(9, 8)
  assert.notEqual(later.ends[0]?.in.data, two.ends[0]?.in.data)
})
