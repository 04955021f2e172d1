import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeapGuard } from '../../src/runtime/heap-guard.ts'
import { RestartPolicy } from '../../src/runtime/restart-policy.ts'

const limits = { backoffMinMs: 100, backoffMaxMs: 1000, healthyAfterMs: 10_000 }

test('restart policy: at once, then twice as long each time, up to the limit', () => {
  const policy = new RestartPolicy(limits, () => 0.5)
  const delays = Array.from({ length: 7 }, () => policy.nextDelayMs(0))
  assert.deepEqual(delays, [0, 100, 200, 400, 800, 1000, 1000])
})

test('restart policy: health makes the next failure a first one', () => {
  const policy = new RestartPolicy(limits, () => 0.5)
  policy.nextDelayMs(0)
  policy.nextDelayMs(0)
  assert.equal(policy.nextDelayMs(9_999), 200)
  assert.equal(policy.nextDelayMs(10_000), 0)
  assert.equal(policy.nextDelayMs(0), 100)
})

test('restart policy: jitter is a quarter either way', () => {
  for (const [chance, wanted] of [
    [0, 75],
    [0.999999, 125],
  ] as const) {
    const policy = new RestartPolicy(limits, () => chance)
    policy.nextDelayMs(0)
    assert.equal(Math.round(policy.nextDelayMs(0)), wanted)
  }
})

test('heap guard: says so once, after two readings in a row, per shard', () => {
  const guard = new HeapGuard(0.92)
  assert.equal(guard.isOver(0, 0.95), false)
  assert.equal(guard.isOver(1, 0.95), false)
  assert.equal(guard.isOver(0, 0.5), false)
  assert.equal(guard.isOver(0, 0.92), false)
  assert.equal(guard.isOver(0, 0.93), true)
  assert.equal(guard.isOver(0, 0.94), false)
  assert.equal(guard.isOver(1, 0.95), true)
})

test('heap guard: off at 1, and blind to a shard that never reported', () => {
  const off = new HeapGuard(1)
  assert.equal(off.isOver(0, 1) || off.isOver(0, 1), false)
  const guard = new HeapGuard(0.92)
  assert.equal(guard.isOver(0, Number.NaN) || guard.isOver(0, Number.NaN), false)
})
