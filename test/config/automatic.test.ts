import assert from 'node:assert/strict'
import { test } from 'node:test'
import { offloadThreadCountOf, shardCountOf } from '../../src/config/automatic.ts'

test('auto: shards leave one core free and stay within 1 to 64', () => {
  assert.deepEqual(
    [1, 2, 8, 65, 128].map((cores) => shardCountOf('auto', cores)),
    [1, 1, 7, 64, 64],
  )
  assert.equal(shardCountOf(3, 128), 3)
})

test('auto: offload threads are half of the cores, at least 1', () => {
  assert.deepEqual(
    [1, 2, 3, 8].map((cores) => offloadThreadCountOf('auto', cores)),
    [1, 1, 1, 4],
  )
  assert.equal(offloadThreadCountOf(5, 2), 5)
})
