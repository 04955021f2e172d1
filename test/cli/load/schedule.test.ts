import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Schedule } from '../../../src/cli/load/schedule.ts'

function duesOf(schedule: Schedule, messages: number): number[] {
  return Array.from({ length: messages }, () => {
    const { dueMs } = schedule
    schedule.advance()
    return dueMs
  })
}

test('schedule: evenly spaced, without drift over an hour', () => {
  assert.deepEqual(duesOf(new Schedule(100, 500, false, 1), 4), [100, 102, 104, 106])
  const thirds = duesOf(new Schedule(0, 3, false, 1), 3 * 3_600 + 1)
  assert.equal(thirds.at(-1), 3_600_000)
})

test('schedule: Poisson has the same rate, exponential pauses, and repeats with its seed', () => {
  const dues = duesOf(new Schedule(0, 1_000, true, 42), 100_001)
  assert.deepEqual(duesOf(new Schedule(0, 1_000, true, 42), 5), dues.slice(0, 5))
  assert.notDeepEqual(duesOf(new Schedule(0, 1_000, true, 43), 5), dues.slice(0, 5))
  const meanMs = (dues.at(-1) ?? 0) / 100_000
  assert.ok(meanMs > 0.98 && meanMs < 1.02, `mean ${meanMs}`)
  const pauses = dues.slice(1).map((due, index) => due - (dues[index] ?? 0))
  assert.ok(pauses.every((pause) => pause >= 0))
  // Of exponential pauses, 1 − 1/e are shorter than the mean.
  const shorter = pauses.filter((pause) => pause < 1).length / pauses.length
  assert.ok(shorter > 0.62 && shorter < 0.645, `${shorter} are shorter than the mean`)
})
