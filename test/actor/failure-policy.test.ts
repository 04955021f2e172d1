import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { judge } from '../../src/actor/failure-policy.ts'

const LIMITS = { failuresMax: 4, windowMs: 1_000, coolDownMs: 5_000, backoffMinMs: 10, backoffMaxMs: 35 }

test('failure: pauses double up to the longest, and then it is stopped', () => {
  let failuresMs: readonly number[] = []
  const verdicts = [0, 1, 2, 3].map((atMs) => {
    const verdict = judge(failuresMs, atMs, LIMITS)
    failuresMs = verdict.failuresMs
    return [verdict.stopped, verdict.pauseMs]
  })
  assert.deepEqual(verdicts, [
    [false, 10],
    [false, 20],
    [false, 35],
    [true, 5_000],
  ])
})

test('failure: one that is a window ago does not count, one a moment younger does', () => {
  assert.deepEqual(judge([0], 1_000, LIMITS), { failuresMs: [1_000], stopped: false, pauseMs: 10 })
  assert.deepEqual(judge([0], 999, LIMITS), { failuresMs: [0, 999], stopped: false, pauseMs: 20 })
})

test('failure: stopped exactly when so many are in the window, and never more are kept', () => {
  const property = fc.property(fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 60 }), (gapsMs) => {
    let failuresMs: readonly number[] = []
    const allMs: number[] = []
    let nowMs = 0
    for (const gapMs of gapsMs) {
      nowMs += gapMs
      allMs.push(nowMs)
      const { stopped, pauseMs, failuresMs: kept } = judge(failuresMs, nowMs, LIMITS)
      const recent = allMs.filter((atMs) => nowMs - atMs < LIMITS.windowMs)
      assert.equal(stopped, recent.length >= LIMITS.failuresMax)
      assert.ok(stopped ? pauseMs === LIMITS.coolDownMs : pauseMs <= LIMITS.backoffMaxMs)
      assert.deepEqual(kept, recent)
      failuresMs = kept
    }
  })
  fc.assert(property, { seed: 2, numRuns: 300 })
})
