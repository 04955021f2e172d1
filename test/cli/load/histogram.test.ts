import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LatencyHistogram } from '../../../src/cli/load/histogram.ts'

test('histogram: percentiles are within a thousandth of those of the sorted list', () => {
  const milliseconds = fc.array(fc.double({ min: 0.001, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 500 })
  fc.assert(
    fc.property(milliseconds, (values) => {
      const histogram = new LatencyHistogram()
      for (const ms of values) histogram.recordMs(ms)
      const sorted = values.map((ms) => Math.round(ms * 1e6)).toSorted((a, b) => a - b)
      for (const percentile of [50, 95, 99, 99.9, 100]) {
        const exact = sorted[Math.max(0, Math.ceil((percentile / 100) * sorted.length) - 1)] ?? 0
        const ratio = histogram.percentileNs(percentile) / exact
        assert.ok(ratio > 0.999 && ratio < 1.001, `P${percentile}: ${ratio}`)
      }
      assert.equal(histogram.summary().maxNs, sorted.at(-1))
    }),
  )
})

test('histogram: merged by encoding is the same as recorded together', () => {
  const [one, two, both, merged] = [0, 1, 2, 3].map(() => new LatencyHistogram())
  assert.ok(one && two && both && merged)
  for (let index = 1; index <= 10_000; index++) {
    const half = index % 2 === 0 ? one : two
    half.recordMs(index / 100)
    both.recordMs(index / 100)
  }
  merged.addEncoded(one.encode())
  merged.addEncoded(two.encode())
  merged.addEncoded(new LatencyHistogram().encode())
  const expected = both.summary()
  assert.equal(merged.count, 10_000)
  for (const [name, value] of Object.entries(merged.summary())) {
    const ratio = value / expected[name as keyof typeof expected]
    assert.ok(ratio > 0.998 && ratio < 1.002, `${name}: ${ratio}`)
  }
})

test('histogram: empty, below zero, and beyond its range', () => {
  const histogram = new LatencyHistogram()
  assert.equal(
    Object.values(histogram.summary()).every((value) => value === 0),
    true,
  )
  histogram.recordMs(-0.001)
  histogram.recordMs(1e12)
  assert.deepEqual([histogram.summary().minNs, histogram.summary().maxNs], [0, 7_200e9])
})
