import assert from 'node:assert/strict'
import { test } from 'node:test'
import { threadOfSeat } from '../../src/lib/thread.ts'
import { countOpened, FIGURE, FigureTable } from '../../src/observe/figure.ts'
import { Balancer } from '../../src/runtime/balancer.ts'
import { SeatBook } from '../../src/runtime/seat-book.ts'

class Fixture {
  readonly table = FigureTable.allocate()
  readonly book = new SeatBook(3)
  readonly moves: string[] = []
  auto = true
  readonly balancer = new Balancer({
    table: this.table,
    book: this.book,
    config: () => ({ auto: this.auto, difference: 0.3 }),
    migrate: (from, to, connections) => {
      this.moves.push(`${connections} of ${from} to ${to}`)
      return { outcome: 'accepted' }
    },
  })

  set(shard: number, utilization: number, connections = 0): void {
    const row = this.table.row(threadOfSeat(this.book.seatOf(shard) as number))
    row[FIGURE.utilization] = utilization
    for (let count = 0; count < connections; count++) countOpened(row, 0)
  }

  look(times: number): string[] {
    for (let count = 0; count < times; count++) this.balancer.look()
    return this.moves
  }
}

test('balancer: takes from the busiest for the idlest, when the difference lasts', () => {
  const fixture = new Fixture()
  fixture.set(0, 0.4, 50)
  fixture.set(1, 0.9, 100)
  fixture.set(2, 0.1, 10)
  assert.deepEqual(fixture.look(9), [])
  assert.deepEqual(fixture.look(1), ['40 of 1 to 2'])
  // Rests, and then looks anew.
  assert.equal(fixture.look(29).length, 1)
  assert.equal(fixture.look(1).length, 2)
})

test('balancer: a difference that goes away, or is small, moves nothing', () => {
  const fixture = new Fixture()
  fixture.set(1, 0.9, 100)
  fixture.look(9)
  fixture.set(1, 0.2)
  fixture.look(1)
  fixture.set(1, 0.9)
  assert.deepEqual(fixture.look(9), [])
  fixture.set(0, 0.7)
  fixture.set(2, 0.65)
  assert.deepEqual(fixture.look(50), [])
})

test('balancer: does nothing unless it is wanted, or with one shard, or without connections', () => {
  const fixture = new Fixture()
  fixture.set(1, 0.9)
  assert.deepEqual(fixture.look(50), [])
  fixture.set(1, 0.9, 10)
  fixture.auto = false
  assert.deepEqual(fixture.look(50), [])
  fixture.auto = true
  fixture.book.shrink(1)
  assert.deepEqual(fixture.look(50), [])
})
