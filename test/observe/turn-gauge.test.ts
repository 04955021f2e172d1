import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TurnGauge } from '../../src/observe/turn-gauge.ts'

const RESOLUTION_SECONDS = 1e-7

test('turn gauge: the p99 is never too small, and at most an eighth too large', () => {
  const turn = fc.oneof(fc.double({ min: 0, max: 1e-5, noNaN: true }), fc.double({ min: 0, max: 100, noNaN: true }))
  fc.assert(
    fc.property(fc.array(turn, { minLength: 1, maxLength: 300 }), (turns) => {
      const gauge = new TurnGauge()
      for (const seconds of turns) gauge.observe(seconds)
      const exact = turns.toSorted((a, b) => a - b)[Math.ceil(turns.length * 0.99) - 1] ?? 0
      const told = gauge.takeP99Seconds()
      assert.ok(told >= exact && told <= exact * 1.125 + RESOLUTION_SECONDS * 1.001, `${exact} told as ${told}`)
    }),
  )
})

test('turn gauge: one slow turn of a hundred is not the p99, two are', () => {
  const gauge = new TurnGauge()
  for (let i = 0; i < 99; i++) gauge.observe(0.0001)
  gauge.observe(1)
  assert.ok(gauge.takeP99Seconds() < 0.0002)
  for (let i = 0; i < 98; i++) gauge.observe(0.0001)
  gauge.observe(1)
  gauge.observe(1)
  assert.ok(gauge.takeP99Seconds() >= 1)
})

test('turn gauge: what was taken is gone, and no turns are 0', () => {
  const gauge = new TurnGauge()
  assert.equal(gauge.takeP99Seconds(), 0)
  gauge.observe(0.25)
  assert.ok(gauge.takeP99Seconds() >= 0.25)
  assert.equal(gauge.takeP99Seconds(), 0)
})

test('turn gauge: a turn longer than the scale is told as its end', () => {
  const gauge = new TurnGauge()
  gauge.observe(1e9)
  const end = gauge.takeP99Seconds()
  assert.ok(end > 200 && end < 250)
  gauge.observe(Number.POSITIVE_INFINITY)
  assert.equal(gauge.takeP99Seconds(), end)
})
