// What the load test of the session proxy says of proxies that do not do what they should.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'
import { faultyProxy, loadSessions } from './session-proxy-fault.ts'

const SHORT = { workers: 4, testDuration: '0.1', drainTimeout: '0.3' }
/** Of SHORT: floor(100 / 20) + 1 for each worker. */
const MESSAGES = 4 * 6

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis[Symbol.asyncDispose]())

test('load test of sessions: a proxy that does what it should, and its gap notices', async () => {
  await using proxy = await faultyProxy(redis.url, {
    opened: (socket) => socket.send('{"type":"control","command":"gap"}'),
  })
  const { status, report } = await loadSessions(redis.url, proxy.port, SHORT)
  assert.equal(status, 0)
  assert.deepEqual([report.measurements, report.sessions, report.gaps], [MESSAGES, 4, 4])
  assert.deepEqual(report.publishing, { attempts: MESSAGES, successes: MESSAGES })
  assert.deepEqual(report.delivery, { sent: MESSAGES, received: MESSAGES, ratioPercent: 100, missing: 0 })
})

test('load test of sessions: handshakes that are refused, by their status', async () => {
  const refusals = [
    { status: 504, text: 'Authentication timeout' },
    { status: 500, text: 'Internal server error' },
    { status: 403, text: 'Invalid authorization token' },
    { status: 503, text: 'Unable to prepare session' },
  ]
  await using proxy = await faultyProxy(redis.url, { refuse: (number) => refusals[number - 1] })
  const { status, report } = await loadSessions(redis.url, proxy.port, { ...SHORT, workers: 5 })
  assert.equal(status, 1)
  assert.equal(report.measurements, 6)
  const { details, ...counts } = report.workerErrors
  assert.deepEqual(counts, { total: 4, timeouts: 0, http504: 1, http500: 1, otherHttp: 2, other: 0 })
  assert.deepEqual(Object.keys(details).sort(), refusals.map(({ status: code, text }) => `HTTP ${code} ${text}`).sort())
  assert.equal(redis.command('KEYS', 'session:*'), '')
})

test('load test of sessions: a proxy that drops messages: they are missing, and were waited for', async () => {
  await using proxy = await faultyProxy(redis.url, {
    message: (socket, text, number) => {
      if (number % 12 !== 0) socket.send(text)
    },
  })
  const { status, report } = await loadSessions(redis.url, proxy.port, SHORT)
  assert.equal(status, 1)
  assert.deepEqual(report.delivery, {
    sent: MESSAGES,
    received: MESSAGES - 2,
    ratioPercent: ((MESSAGES - 2) / MESSAGES) * 100,
    missing: 2,
  })
  assert.equal(report.errors, 0)
  assert.ok(report.drain.timedOut >= 1 && report.drain.timedOut <= 2, JSON.stringify(report.drain))
})

test('load test of sessions: messages that come twice, changed, or from nowhere', async () => {
  await using proxy = await faultyProxy(redis.url, {
    message: (socket, text, number) => {
      if (number === 3) socket.send(text)
      if (number === 5) socket.send('{"type":"data"}')
      socket.send(number === 7 ? text.replace('"timestamp":', '"timestamp":1') : text)
    },
  })
  const { status, report } = await loadSessions(redis.url, proxy.port, SHORT)
  assert.equal(status, 1)
  assert.deepEqual(report.workerErrors.details, { 'a message that was not sent, or came twice': 3 })
  assert.equal(report.delivery.missing, 1)
})

test('load test of sessions: a proxy that closes while messages are under way', async () => {
  await using proxy = await faultyProxy(redis.url, { message: (socket) => socket.close(1011, 'internal error') })
  const { status, report } = await loadSessions(redis.url, proxy.port, { ...SHORT, testDuration: 0, drainTimeout: 10 })
  assert.equal(status, 1)
  assert.deepEqual(report.workerErrors.details, { 'closed 1011 internal error': 4 })
  assert.deepEqual(report.drain, { needed: 4, completed: 0, closedEarly: 4, timedOut: 0 })
  assert.equal(report.delivery.missing, 4)
})

test('load test of sessions: Ctrl-C while a handshake hangs ends it at once, without an error', async () => {
  await using proxy = await faultyProxy(redis.url, { refuse: () => 'silence' })
  const interrupt = new AbortController()
  const load = loadSessions(redis.url, proxy.port, SHORT, interrupt.signal)
  await waitUntil('the keys are set', () => redis.command('KEYS', 'session:*').split('\n').length === 4)
  interrupt.abort()
  const { status, report } = await load
  assert.deepEqual([status, report.interrupted, report.measurements, report.errors], [0, true, 0, 0])
  assert.equal(redis.command('KEYS', 'session:*'), '')
})

test('load test of sessions: a Redis that hangs is an error of time, and the test ends', async () => {
  await using proxy = await faultyProxy(redis.url, { opened: () => redis.freeze() })
  try {
    const { status, report } = await loadSessions(redis.url, proxy.port, {
      ...SHORT,
      workers: 1,
      redisResponseTimeoutMs: 200,
    })
    assert.equal(status, 1)
    // Its messages, and the key that cannot be removed.
    assert.deepEqual(report.publishing, { attempts: 6, successes: 0 })
    assert.deepEqual([report.workerErrors.timeouts, report.delivery.sent, report.latency], [7, 0, null])
  } finally {
    redis.thaw()
  }
})
