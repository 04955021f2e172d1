import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SessionBooks } from '../../../../src/cli/load/session/books.ts'
import { parseSessionPlan, type SessionPlan } from '../../../../src/cli/load/session/plan.ts'
import {
  formatSessionReport,
  latencyOf,
  percentileOf,
  type SessionReport,
  sessionReportOf,
} from '../../../../src/cli/load/session/report.ts'
import { PolyloopError } from '../../../../src/lib/errors.ts'

const { plan } = parseSessionPlan([], { workers: 3 }, { environment: {}, seed: 1 })
assert.ok(plan)

function reportOf(books: SessionBooks, busy = 0.2, interrupted = false): SessionReport {
  return sessionReportOf(plan as SessionPlan, books, { busy, interrupted })
}

function booksOf(latenciesNs: readonly number[]): SessionBooks {
  const books = new SessionBooks()
  books.latenciesNs.push(...latenciesNs)
  books.attempts = books.successes = books.sent = books.received = latenciesNs.length
  return books
}

test('session report: the text of a good run', () => {
  const books = booksOf([412_070, 1_903_200, 4_662_900])
  books.drain.needed = books.drain.completed = 3
  assert.equal(
    formatSessionReport(reportOf(books)),
    `=== Load Test Results ===
Total measurements: 3
Errors: 0

Latency Statistics:
  Min:     412.07µs
  Average: 2.326057ms
  P50:     1.9032ms
  P95:     4.6629ms
  P99:     4.6629ms
  Max:     4.6629ms

Delivery:
  Sent:     3
  Received: 3
  Ratio:    100%
  Missing:  0

Worker Errors:
  Total:      0
  Timeouts:   0
  HTTP 504:   0
  HTTP 500:   0
  Other HTTP: 0
  Other:      0

Drain:
  Needed:       3
  Completed:    3
  Closed early: 0
  Timed out:    0

Publishing:
  Attempts:  3
  Successes: 3
`,
  )
})

test('session report: without measurements', () => {
  const text = formatSessionReport(reportOf(new SessionBooks()))
  assert.match(text, /^Total measurements: 0$/m)
  assert.match(text, /\n\nLatency Statistics:\n {2}no measurements\n\nDelivery:\n/)
  assert.match(text, /Ratio: {4}nothing was sent/)
  assert.equal(reportOf(new SessionBooks()).latency, null)
})

test('session report: an error, a missing message, a busy process and Ctrl-C are said', () => {
  assert.ok(reportOf(booksOf([5])).ok)
  const missing = booksOf([5])
  missing.sent = 30_000
  missing.received = 29_999
  const report = reportOf(missing, 0.97, true)
  assert.deepEqual([report.ok, report.delivery.missing], [false, 1])
  const text = formatSessionReport(report)
  assert.match(text, /Ratio: {4}99\.99%\n {2}Missing: {2}1\n/)
  assert.match(text, /\nEnded early: interrupted\nWarning: the load test was busy for 97 % /)
  const refused = booksOf([5])
  refused.refused(504, 'Authentication timeout')
  refused.refused(500, 'Internal server error')
  refused.refused(503, 'Unable to prepare session')
  refused.redisFailed('publishing', new PolyloopError('BRIDGE_TIMEOUT', { operation: 'publish', problem: 'slow' }))
  refused.redisFailed('publishing', new PolyloopError('BRIDGE_DOWN', { operation: 'publish', problem: 'gone' }))
  refused.gaps = 2
  const { ok, errors, workerErrors } = reportOf(refused)
  assert.deepEqual([ok, errors], [false, 5])
  assert.deepEqual(workerErrors, {
    total: 5,
    timeouts: 1,
    http504: 1,
    http500: 1,
    otherHttp: 1,
    other: 1,
    details: {
      'HTTP 504 Authentication timeout': 1,
      'HTTP 500 Internal server error': 1,
      'HTTP 503 Unable to prepare session': 1,
      'publishing: slow': 1,
      'publishing: gone': 1,
    },
  })
  assert.match(formatSessionReport(reportOf(refused)), /\nGap notices: 2\n$/)
})

test('session report: texts of errors are bounded', () => {
  const books = new SessionBooks()
  for (let index = 0; index < 100; index++) books.fail('other', `${index} ${'x'.repeat(500)}`)
  const details = Object.entries(books.details)
  assert.deepEqual([books.errorCount, details.length, books.details.other], [100, 17, 84])
  assert.ok(details.every(([text]) => text.length <= 120))
})

test('session report: percentiles are elements of the sorted list', () => {
  const hundred = Array.from({ length: 101 }, (_, index) => index)
  assert.deepEqual(
    [0, 50, 95, 99, 100].map((percentile) => percentileOf(hundred, percentile)),
    [0, 50, 95, 99, 100],
  )
  // round(0.5 · 1) = 1, round(0.95 · 3) = 3, round(0.5 · 3) = 2
  assert.equal(percentileOf([1, 2], 50), 2)
  assert.equal(percentileOf([1, 2, 3, 4], 95), 4)
  assert.equal(percentileOf([1, 2, 3, 4], 50), 3)
  const seed = Date.now() % 1_000_000
  fc.assert(
    fc.property(fc.array(fc.nat(1e9), { minLength: 1 }), (latencies) => {
      const latency = latencyOf(latencies)
      assert.ok(latency)
      const sorted = [...latencies].sort((a, b) => a - b)
      const expected = [50, 95, 99].map((p) => sorted[Math.round((p / 100) * (sorted.length - 1))])
      assert.deepEqual([latency.p50Ns, latency.p95Ns, latency.p99Ns], expected)
      assert.deepEqual([latency.minNs, latency.maxNs], [sorted[0], sorted.at(-1)])
    }),
    { seed },
  )
})
