import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isSessionLoad,
  messagesPerWorker,
  parseSessionPlan,
  type SessionLoadOptions,
  type SessionPlan,
} from '../../../../src/cli/load/session/plan.ts'

const AROUND = { environment: {}, seed: 7 }
const NUMBERS = ['50', '3', '10', '1', '127.0.0.1', '4040']

function planOf(targets: readonly string[], options: SessionLoadOptions = {}): SessionPlan {
  const { plan, problems } = parseSessionPlan(targets, options, AROUND)
  assert.deepEqual(problems, undefined)
  return plan as SessionPlan
}

function problemsOf(targets: readonly string[], options: Readonly<Record<string, unknown>> = {}): readonly string[] {
  return parseSessionPlan(targets, options, AROUND).problems ?? []
}

test('session plan: the defaults', () => {
  const { redis, ...plan } = planOf([])
  assert.deepEqual(plan, {
    workers: 100,
    warmupMs: 5_000,
    durationMs: 30_000,
    intervalMs: 1_000,
    jitter: false,
    drainTimeoutMs: 30_000,
    shutdownTimeoutMs: 10_000,
    host: '127.0.0.1',
    port: 4040,
    redisConnectTimeoutMs: 5_000,
    redisAnswerTimeoutMs: 3_000,
    seed: 7,
  })
  assert.equal(redis.shown, 'redis://127.0.0.1:6379')
})

test('session plan: the positional form, and flags behind it', () => {
  const plan = planOf([...NUMBERS.slice(0, 4), 'proxy.test', '4041'])
  const { workers, warmupMs, durationMs, intervalMs, host, port } = plan
  assert.deepEqual(
    [workers, warmupMs, durationMs, intervalMs, host, port],
    [50, 3_000, 10_000, 1_000, 'proxy.test', 4041],
  )
  assert.equal(messagesPerWorker(plan), 11)
  const changed = planOf(NUMBERS, { workers: '60', jitter: true, drainTimeout: '0.5' })
  assert.deepEqual([changed.workers, changed.jitter, changed.drainTimeoutMs], [60, true, 500])
})

test('session plan: times may be fractions, and an interval at the end counts', () => {
  const messages = (testDuration: string, messageInterval: string): number =>
    messagesPerWorker(planOf([], { testDuration, messageInterval }))
  assert.equal(messages('0.3', '0.1'), 4)
  assert.equal(messages('1', '0.3'), 4)
  assert.equal(messages('0', '1'), 1)
  assert.equal(messages('0.999', '1'), 1)
  assert.equal(messages('1', '1'), 2)
})

test('session plan: Redis from the flag, else from the environment', () => {
  const environment = { REDIS_URL: 'redis://:secret@redis.test:7000' }
  const shown = (options: SessionLoadOptions): string | undefined =>
    parseSessionPlan([], options, { ...AROUND, environment }).plan?.redis.shown
  assert.equal(shown({}), 'redis://redis.test:7000')
  assert.equal(shown({ redisUrl: 'redis+cluster://a:1,b:2' }), 'redis+cluster://a:1,b:2')
})

test('session plan: every problem at once, and no password in it', () => {
  assert.equal(problemsOf(['50']).length, 1)
  assert.equal(problemsOf([...NUMBERS, '7']).length, 1)
  const found = problemsOf(NUMBERS, {
    workers: 0,
    messageInterval: '0',
    wsPort: 70_000,
    wsHost: 'a/b',
    redisMaxConnections: 1,
    redisUrl: 'http://:geheim@host',
    connections: 5,
  })
  assert.equal(found.length, 7, found.join('\n'))
  assert.ok(!found.join().includes('geheim'))
  assert.ok(found.some((problem) => problem.startsWith('--connections: only with')))
})

test('session plan: hosts are names and addresses of both kinds', () => {
  assert.deepEqual(
    ['proxy.test', '::1', '[::1]'].map((wsHost) => planOf([], { wsHost }).host),
    ['proxy.test', '[::1]', '[::1]'],
  )
  for (const wsHost of ['', 'a:b', 'a b', 'a/b', 'user@host'])
    assert.equal(problemsOf([], { wsHost }).length, 1, wsHost)
})

test('session plan: numbers or nothing, not targets', () => {
  assert.ok(isSessionLoad([]))
  assert.ok(isSessionLoad(NUMBERS))
  for (const target of ['echo', 'ws://127.0.0.1:1', 'session-proxy']) assert.ok(!isSessionLoad([target]))
})
