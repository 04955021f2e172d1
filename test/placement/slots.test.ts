import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { AssertionError } from '../../src/lib/assert.ts'
import { SEATS_MAX, SHARDS_MAX } from '../../src/lib/thread.ts'
import { hashString } from '../../src/placement/hash.ts'
import { SLOTS, SlotTable, slotOf } from '../../src/placement/slots.ts'

function shardsOf(table: SlotTable): number[] {
  return Array.from({ length: SLOTS }, (_, slot) => table.shardOf(slot))
}

function assertBalanced(table: SlotTable, shards: number): void {
  const counts = table.slotsPerSeat()
  const used = counts.slice(0, shards)
  assert.ok(Math.max(...used) - Math.min(...used) <= 1, `unbalanced: ${used.join(' ')}`)
  assert.deepEqual(counts.slice(shards), new Array(SEATS_MAX - shards).fill(0))
}

test('slots: a key has the same slot for ever', () => {
  assert.equal(slotOf(''), 0x02cc5d05 % 16_384)
  assert.equal(slotOf('abc'), 0x32d153ff % 16_384)
  assert.equal(slotOf('echo:ada'), hashString('echo:ada') % 16_384)
})

test('slots: spread gives contiguous ranges, equal to within one slot, for every number of shards', () => {
  const table = SlotTable.allocate()
  for (let shards = 1; shards <= SHARDS_MAX; shards++) {
    table.spread(shards)
    assertBalanced(table, shards)
    const order = shardsOf(table)
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    )
  }
})

test('slots: a thousand session keys land evenly on four shards', () => {
  const table = SlotTable.allocate()
  table.spread(4)
  const counts = [0, 0, 0, 0]
  for (let user = 0; user < 1000; user++) {
    const shard = table.shardOfKey(`echo:user-${user}`)
    counts[shard] = (counts[shard] ?? 0) + 1
  }
  // Four standard deviations of 1,000 fair draws: sqrt(1000 × 1/4 × 3/4) = 13.7.
  for (const count of counts) assert.ok(Math.abs(count - 250) <= 55, counts.join(' '))
})

/** Carries a plan out; answers the slots that moved, in ascending order. */
function respread(table: SlotTable, shards: number): number[] {
  const moved: number[] = []
  for (const { from, to, slots } of table.plan(Array.from({ length: shards }, (_, seat) => seat))) {
    for (const slot of slots) {
      assert.equal(table.shardOf(slot), from)
      table.assign(slot, to)
      moved.push(slot)
    }
  }
  return moved.sort((a, b) => a - b)
}

test('slots: a plan moves only what it must, from any start, and stays balanced', () => {
  const count = fc.integer({ min: 1, max: SHARDS_MAX })
  fc.assert(
    fc.property(
      fc.array(count, { minLength: 2, maxLength: 6 }),
      fc.array(fc.tuple(fc.nat(SLOTS - 1), count)),
      (steps, odd) => {
        const table = SlotTable.allocate()
        for (const [index, shards] of steps.entries()) {
          // Some slots were assigned by hand.
          if (index === 0) for (const [slot, shard] of odd) table.assign(slot, shard - 1)
          const before = shardsOf(table)
          const owned = table.slotsPerSeat()
          const moved = respread(table, shards)
          assertBalanced(table, shards)
          const after = shardsOf(table)
          const changed = after.flatMap((shard, slot) => (shard === before[slot] ? [] : [slot]))
          assert.deepEqual(moved, changed)
          // No assignment with these counts can keep more: every kept slot lies on a shard that stays, up to its share.
          const shares = table
            .slotsPerSeat()
            .slice(0, shards)
            .sort((a, b) => b - a)
          const kept = owned
            .slice(0, shards)
            .sort((a, b) => b - a)
            .reduce((sum, slots, rank) => sum + Math.min(slots, shares[rank] ?? 0), 0)
          assert.equal(moved.length, SLOTS - kept)
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('slots: one shard more takes only its own share, one less gives only its own away', () => {
  for (const shards of [1, 2, 3, 4, 7, 16, 63]) {
    const table = SlotTable.allocate()
    table.spread(shards)
    const grown = respread(table, shards + 1)
    assert.equal(grown.length, Math.floor(SLOTS / (shards + 1)))
    assert.ok(grown.every((slot) => table.shardOf(slot) === shards))
    assert.deepEqual(respread(table, shards), grown)
    assert.deepEqual(respread(table, shards), [])
  }
})

test('slots: what is not a slot or a shard count is refused', () => {
  const table = SlotTable.allocate()
  for (const wrong of [
    () => table.assign(SLOTS, 0),
    () => table.assign(-1, 0),
    () => table.assign(0, SEATS_MAX),
    () => table.spread(0),
    () => respread(table, SHARDS_MAX + 1),
    () => table.spread(1.5),
    () => new SlotTable(new SharedArrayBuffer(16)),
  ]) {
    assert.throws(wrong, AssertionError)
  }
})

test('slots: another thread sees the same table', async () => {
  const table = SlotTable.allocate()
  table.spread(5)
  const code = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData.module).then(({ SlotTable }) => parentPort.postMessage(new SlotTable(workerData.memory).shardOfKey('room:1')))`
  const module = new URL('../../src/placement/slots.ts', import.meta.url).href
  const worker = new Worker(code, { eval: true, workerData: { module, memory: table.memory } })
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  worker.once('message', resolve)
  worker.once('error', reject)
  assert.equal(await promise, table.shardOfKey('room:1'))
  await worker.terminate()
})
