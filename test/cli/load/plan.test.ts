import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LoadPlan, type LoadTestOptions, memberOf, parseLoadPlans } from '../../../src/cli/load/plan.ts'

const AROUND = { cores: 8, seed: 11, environment: {} }

function planOf(target: string, options: LoadTestOptions = {}): LoadPlan {
  const { plans, problems } = parseLoadPlans(target, options, AROUND)
  assert.deepEqual(problems, undefined)
  assert.equal(plans?.length, 1)
  return plans?.[0] as LoadPlan
}

function problemsOf(target: string, options: LoadTestOptions = {}): readonly string[] {
  return parseLoadPlans(target, options, AROUND).problems ?? []
}

test('plan: the defaults', () => {
  assert.deepEqual(planOf('ws://127.0.0.1:8085/x?y=1'), {
    url: 'ws://127.0.0.1:8085/x?y=1',
    transport: 'ws',
    secure: false,
    host: '127.0.0.1',
    port: 8085,
    path: '/x?y=1',
    connections: 100,
    load: { kind: 'closed', window: 1 },
    sizeBytes: 64,
    warmupMs: 2_000,
    durationMs: 10_000,
    timeoutMs: 5_000,
    threads: 2,
    rampPerSecond: 2_000,
    seed: 11,
    mode: 'prefixed',
    binary: false,
    sessionKeys: false,
    insecure: false,
    pid: undefined,
    chat: undefined,
    rooms: undefined,
    hub: undefined,
    http: undefined,
    session: undefined,
  })
})

test('plan: the session proxy, and its Redis', () => {
  const { plans } = parseLoadPlans('session-proxy', { redisUrl: 'redis://:geheim@redis.test' }, AROUND)
  const [plan] = plans ?? []
  assert.deepEqual([plan?.host, plan?.port, plan?.session?.redis.shown], ['127.0.0.1', 4040, 'redis://redis.test'])
  const environment = { REDIS_URL: 'redis://:geheim@host/x' }
  const { problems = [] } = parseLoadPlans('session-proxy://[::1]:4040', {}, { ...AROUND, environment })
  assert.match(problems.join(), /^REDIS_URL: /)
  assert.ok(!problems.join().includes('geheim'))
  assert.equal(problemsOf('ws://127.0.0.1:1', { redisUrl: 'redis://redis.test' }).length, 1)
  assert.equal(problemsOf('session-proxy://127.0.0.1').length, 1)
})

test('plan: targets', () => {
  assert.deepEqual(
    [planOf('wss://[::1]').host, planOf('wss://[::1]').port, planOf('wss://[::1]').secure],
    ['::1', 443, true],
  )
  assert.equal(planOf('ws://example.test').port, 80)
  assert.equal(planOf('udp://localhost:8084').timeoutMs, 1_000)
  const { plans } = parseLoadPlans('echo', {}, AROUND)
  assert.deepEqual(
    plans?.map(({ url }) => url),
    ['ws://127.0.0.1:8085', 'tcp://127.0.0.1:8084', 'udp://127.0.0.1:8084'],
  )
  for (const wrong of ['', 'ws', 'https://127.0.0.1:80', 'chat://127.0.0.1', 'tcp://127.0.0.1', 'udp://:5']) {
    assert.equal(problemsOf(wrong).length, 1, wrong)
  }
})

test('plan: chat: who writes where, and who listens', () => {
  const plan = planOf('chat')
  assert.deepEqual([plan.url, plan.transport, plan.port], ['chat://127.0.0.1:8081', 'chat', 8081])
  const one = { first: 1, last: 1 }
  assert.deepEqual(plan.chat, { chats: one, senders: one, subscribers: 0, token: undefined })
  const other = planOf('chat://h:1', { chat: 7, sender: '10-12', subscribers: 3, token: 'abc', size: 4_000 })
  assert.deepEqual(other.chat, {
    chats: { first: 7, last: 7 },
    senders: { first: 10, last: 12 },
    subscribers: 3,
    token: 'abc',
  })
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((number) => memberOf({ first: 10, last: 12 }, number)),
    [10, 11, 12, 10, 11],
  )
  assert.deepEqual(problemsOf('chat', { chat: '1-2', subscribers: 1, sender: '5-4', size: 4_001 }), [
    '--subscribers follow one chat, not several',
    '--sender is an id, or a range of them such as 1-50, not "5-4"',
    '--size is 17 B to 4000 B, not "4001"',
  ])
  for (const sender of ['0', '', '-', '1-', 'x', '1.5', '-1']) assert.equal(problemsOf('chat', { sender }).length, 1)
})

test('plan: rooms: who listens, what is said, and how much memory it may take', () => {
  const plan = planOf('rooms')
  assert.deepEqual([plan.url, plan.transport, plan.port], ['rooms://127.0.0.1:8083', 'rooms', 8083])
  assert.deepEqual(plan.rooms, { subscribers: 0, files: false })
  const files = planOf('rooms://h:1', { subscribers: 24, files: true, connections: 8, size: '32MiB' })
  assert.deepEqual([files.rooms, files.sizeBytes], [{ subscribers: 24, files: true }, 32 * 1024 * 1024])
  assert.deepEqual(problemsOf('rooms', { subscribers: 25, connections: 8, size: '32MiB' }), [
    '--size for each member of the room is more than 1073741824 B in all',
  ])
  assert.deepEqual(problemsOf('rooms', { connections: 2_001, size: '65MiB' }), [
    '--connections is 1 to 2000, not "2001"',
    '--size is 17 B to 67108864 B, not "65MiB"',
  ])
})

test('plan: hub: the channel, who listens, and a token of somebody who may broadcast', () => {
  const plan = planOf('hub', { token: 'abc' })
  assert.deepEqual([plan.url, plan.transport, plan.port], ['hub://127.0.0.1:8000', 'hub', 8000])
  assert.deepEqual(plan.hub, { channel: 'signals', subscribers: 0, token: 'abc' })
  const other = planOf('hub://h:1/my.own', { token: 'abc', subscribers: 7 })
  assert.deepEqual(other.hub, { channel: 'my.own', subscribers: 7, token: 'abc' })
  assert.deepEqual(problemsOf('hub://h:1/a/b', { connections: 2_001, size: '1MiB' }), [
    'the path of a hub target is one channel: hub://host:port/signals',
    '--connections is 1 to 2000, not "2001"',
    'a hub target needs --token: the JWT of somebody who may broadcast',
    '--size is 17 B to 1000000 B, not "1MiB"',
  ])
})

test('plan: http: GET, or POST of a body', () => {
  const get = planOf('http://h/path?q=1')
  assert.deepEqual([get.port, get.path, get.sizeBytes, get.timeoutMs], [80, '/path?q=1', 0, 5_000])
  assert.deepEqual(get.http, { body: undefined, token: undefined })
  const post = planOf('http://h:1', { body: '{"ї":1}', token: 'abc' })
  assert.deepEqual([post.sizeBytes, post.http], [8, { body: '{"ї":1}', token: 'abc' }])
  assert.deepEqual(problemsOf('http://h:1', { size: 64, window: 2, body: 'x'.repeat(1_048_577) }), [
    '--body has at most 1048576 bytes',
    '--size has no meaning for http: the body is sent as it is',
    '--window is 1 to 1, not "2"',
  ])
  assert.deepEqual(problemsOf('udp://h:1', { body: '', sender: 1, token: 'x', subscribers: 1, files: true }), [
    '--chat and --sender need a chat target',
    '--subscribers needs a chat, rooms or hub target',
    '--files needs a rooms target',
    '--token needs a chat, hub or http target',
    '--body needs an http target',
  ])
})

test('plan: flags as text or numbers', () => {
  const plan = planOf('tcp://h:1', {
    connections: '3',
    rate: '0.5',
    poisson: true,
    size: '1KiB',
    duration: 1.5,
    seed: '7',
  })
  assert.deepEqual(plan.load, { kind: 'open', ratePerSecond: 0.5, poisson: true })
  assert.deepEqual([plan.connections, plan.sizeBytes, plan.durationMs, plan.seed], [3, 1_024, 1_500, 7])
  assert.equal(planOf('tcp://h:1', { connections: 1, threads: 4 }).threads, 1)
})

test('plan: all problems at once, each with its bound and what was given', () => {
  assert.deepEqual(
    problemsOf('udp://h:1', {
      connections: '100001',
      rate: '1000001',
      window: '1',
      size: '65508',
      duration: '61m',
      warmup: 'soon',
      threads: '1.5',
      ramp: '',
      mode: 'odd',
    }),
    [
      '--connections is 1 to 100000, not "100001"',
      '--threads is a whole number, not 1.5',
      '--mode is prefixed or raw, not "odd"',
      '--rate (open loop) and --window (closed loop) exclude each other',
      '--rate is 0.1 to 1000000, not "1000001"',
      '--size is 17 B to 65507 B, not "65508"',
      '--warmup is 0s to 1h, not "soon"',
      '--duration is 100ms to 1h, not "61m"',
      '--ramp is 1 to 100000, not ""',
    ],
  )
  assert.deepEqual(problemsOf('ws://h:1', { poisson: true }), ['--poisson needs --rate'])
})
