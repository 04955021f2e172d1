import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatReport, type RunReport, warningsOf } from '../../../src/cli/load/report.ts'

const LATENCY = {
  count: 500,
  minNs: 412_070,
  meanNs: 1_903_200,
  p50Ns: 1_841_100,
  p95Ns: 3_220_700,
  p99Ns: 4_015_000,
  p999Ns: 4_662_900,
  maxNs: 4_662_900,
}

const CLEAN: RunReport = {
  target: 'ws://127.0.0.1:8085',
  ok: true,
  load: { kind: 'closed', window: 1 },
  sizeBytes: 64,
  warmupMs: 2_000,
  durationMs: 10_000,
  threads: 1,
  seed: 7,
  connections: { wanted: 100, opened: 100, failed: 0, closedEarly: 0, openingMs: 52.4 },
  messages: { sent: 1_600, answered: 1_600, wrong: 0, missing: 0, unsent: 0 },
  throughput: { measuredMs: 10_000, answers: 500, answersPerSecond: 50 },
  latency: LATENCY,
  errors: { total: 0, kinds: {}, details: {} },
  generator: { busy: [0.4], cpuUsPerMessage: 13.125 },
  warnings: [],
}

test('report: a clean closed loop', () => {
  assert.equal(
    formatReport(CLEAN),
    `=== Load Test Results: ws://127.0.0.1:8085 ===
Load:        closed loop, 1 in flight each, 64 B, 10s after 2s of warm-up, seed 7
Connections: 100 of 100 opened in 52.4ms, 0 failed, 0 closed early
Messages:    1,600 sent, 1,600 answered, 0 wrong, 0 missing
Throughput:  50 msg/s (500 answers in 10s)

Latency Statistics (from the send, 500 messages):
  Min:     412.1µs
  Average: 1.903ms
  P50:     1.841ms
  P95:     3.221ms
  P99:     4.015ms
  P99.9:   4.663ms
  Max:     4.663ms

Errors:      0
Generator:   1 thread, busy for 40 %, 13.13 µs of CPU per message
`,
  )
})

test('report: a room tells what all its members got', () => {
  const fanOut = {
    members: { wanted: 110, opened: 109 },
    deliveries: 54_500,
    deliveriesPerSecond: 5_450,
    bytesPerSecond: 5_450 * 64,
    latency: { ...LATENCY, count: 54_500, maxNs: 9_000_000 },
  }
  const server = {
    pid: 1,
    cpuUsPerMessage: 1_090,
    cores: 0.5,
    threads: 3,
    residentBytes: { before: 0, connected: 109 * 2_048, after: 0 },
  }
  const text = formatReport({ ...CLEAN, fanOut, server })
  assert.ok(
    text.includes(
      '\nFan-out:     5,450 deliveries/s, 0.3 MiB/s of content (54,500 deliveries to 109 of 110 members)\n\nLatency Statistics (from the send, 500 messages):\n',
    ),
  )
  assert.match(text, /\n\nFan-out Latency \(from the send to each member, 54,500 deliveries\):\n {2}Min: {5}412\.1µs\n/)
  assert.match(
    text,
    / {2}Max: {5}9ms\n\nErrors: {6}0\nServer: {6}1090\.00 µs of CPU per message \(10\.00 per delivery\), /,
  )
  assert.match(text, /\(2\.0 KiB per connection\)/)
})

test('report: an open loop with errors, a server process and an early end', () => {
  const text = formatReport({
    ...CLEAN,
    ok: false,
    endedEarly: 'no connection left',
    load: { kind: 'open', ratePerSecond: 20_000, poisson: true },
    threads: 2,
    latency: { ...LATENCY, count: 0 },
    errors: { total: 7, kinds: { closed: 4, lost: 3 }, details: { 'closed: 1011 tired': 4 } },
    generator: { busy: [1, 1], cpuUsPerMessage: 0, sendLag: LATENCY },
    server: {
      pid: 5,
      cpuUsPerMessage: 7.978,
      cores: 0.6,
      threads: 3,
      residentBytes: { before: 2 ** 20, connected: 2 ** 20 + 102_400, after: 3 * 2 ** 20 },
    },
    warnings: ['something'],
  })
  assert.match(text, /open loop, 20,000 msg\/s \(Poisson\)/)
  assert.match(text, /Ended early: no connection left/)
  assert.match(text, /Latency Statistics:\n {2}no measurements\n/)
  assert.match(text, /Errors: {6}7\n {2}closed: 4 \(.*\)\n {4}1011 tired: 4\n {2}lost: 3 \(/)
  assert.match(text, /7\.98 µs of CPU per message, 0\.60 cores, 3 threads/)
  assert.match(text, /1\.0 MiB before, 1\.1 MiB connected \(1\.0 KiB per connection\), 3\.0 MiB after/)
  assert.match(text, /2 threads, sent late by P50 1\.841ms, P99 4\.015ms, Max 4\.663ms\nWarning: something\n$/)
})

test('report: a process that cannot be watched', () => {
  assert.match(
    formatReport({ ...CLEAN, server: { pid: 5, unavailable: 'not available on darwin' } }),
    /Server: {6}process 5: not available on darwin\n/,
  )
})

test('report: subscribers of a chat, and a server that limits its clients', () => {
  const text = formatReport({ ...CLEAN, subscribers: { wanted: 3, opened: 2, pushes: 12_345 } })
  assert.match(text, /\nSubscribers: 2 of 3 opened, 12,345 messages pushed\n/)
  for (const [reason, times] of [
    ['rate limit exceeded', 1_200],
    ['HTTP 429', 3],
  ] as const) {
    const errors = { total: times, kinds: { failed: times }, details: { [`failed: ${reason}`]: times } }
    const [warning] = warningsOf({ ...CLEAN, errors })
    assert.match(String(warning), /refused [\d,]+ requests: .* raise services\.chat\.rateLimit\.rate \(0 turns/)
  }
  const errors = { total: 1, kinds: { failed: 1 }, details: { 'failed: HTTP 500': 1 } }
  assert.deepEqual(warningsOf({ ...CLEAN, errors }), [])
})

test('report: warnings say what limits the figures', () => {
  assert.deepEqual(warningsOf(CLEAN), [])
  assert.match(String(warningsOf({ ...CLEAN, generator: { busy: [0.2, 0.97], cpuUsPerMessage: 1 } })), /busy for 97 %/)
  assert.match(String(warningsOf({ ...CLEAN, throughput: { ...CLEAN.throughput, answers: 0 } })), /no answer arrived/)
  const open = { ...CLEAN, load: { kind: 'open', ratePerSecond: 9_000, poisson: false } } as const
  const late = { busy: [1], cpuUsPerMessage: 1, sendLag: LATENCY }
  assert.match(String(warningsOf({ ...open, generator: late })), /could not keep its schedule: .* 4\.015ms late/)
  assert.match(
    String(warningsOf({ ...open, messages: { ...CLEAN.messages, unsent: 3 } })),
    /3 messages were due and not sent/,
  )
})
