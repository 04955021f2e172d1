// The walk through the session proxy as people type it, and its load test: against the service, with a real Redis.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { RunReport } from '../../src/cli/load/report.ts'
import type { SessionReport } from '../../src/cli/load/session/report.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil } from '../harness/wait.ts'
import { Tool } from './tool-process.ts'

let redis: RedisServer
let server: Server

before(async () => {
  redis = await startRedis()
  server = await startServer({
    environment: { REDIS_URL: redis.url },
    services: ['session-proxy'],
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  await redis[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

test('session proxy: the walk: a token, a subscriber, a client, a publisher', async () => {
  const url = `--url=${server.url('session-proxy.ws', '')}`
  await using setter = new Tool(redis.url, 'auth_token_setter', 'test-session-123', 'my-token')
  assert.equal(await setter.status(), 0, setter.err)
  assert.equal(setter.out, 'key: session:test-session-123:auth\ntoken: my-token\n')
  assert.equal(redis.command('GET', 'session:test-session-123:auth'), 'my-token')
  assert.equal(redis.command('TTL', 'session:test-session-123:auth'), '-1')

  await using subscriber = new Tool(redis.url, 'redis-subscriber', 'test-session-123')
  await subscriber.says(/^subscribed to session:test-session-123:up$/m)
  await using client = new Tool(redis.url, 'ws-bidir-client', 'agent1', 'test-session-123', 'my-token', url)
  await using publisher = new Tool(redis.url, 'redis-publisher')
  const [, first = ''] = await client.says(
    /^sent (\{"type":"ping","counter":1,"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\})$/m,
  )
  await waitUntil('the ping is up', () =>
    subscriber.out.includes(`
[UPSTREAM] ${first}
`),
  )
  await client.says(/^received \{"type": "data", "payload": "Message #\d+"\}$/m)
  await publisher.says(/^\{"type": "data", "payload": "Message #1"\}\n\{"type": "data", "payload": "Message #2"\}$/m)
  await client.says(/^sent \{"type":"ping","counter":2,/m)

  assert.deepEqual(await Promise.all([publisher, subscriber, client].map((tool) => tool.interrupt())), [0, 0, 0])
  assert.match(client.out, /\nclosed 1000\n$/)
  assert.deepEqual([setter.err, subscriber.err, client.err, publisher.err], ['', '', '', ''])
})

test('ws-bidir-client: says why it is refused, and what closed it', async () => {
  const url = `--url=${server.url('session-proxy.ws', '')}`
  await using wrong = new Tool(redis.url, 'ws-bidir-client', 'agent', 'nobody', 'wrong', url)
  assert.equal(await wrong.status(), 1)
  assert.deepEqual([wrong.out, wrong.err], ['', 'ws-bidir-client: refused with 403 Invalid authorization token\n'])
  await using nowhere = new Tool(redis.url, 'ws-bidir-client', 'agent', 'x', 'y', '--url=http://127.0.0.1:1')
  assert.equal(await nowhere.status(), 2)
  await using refused = new Tool(redis.url, 'ws-bidir-client', 'agent', 'x', 'y', '--url=ws://127.0.0.1:1')
  assert.equal(await refused.status(), 1)
  assert.match(refused.err, /ECONNREFUSED/)
})

test('load test: positional numbers, the whole report, and nothing left in Redis', async () => {
  const port = String(server.port('session-proxy.ws'))
  await using load = new Tool(redis.url, 'load_test', '10', '0.2', '1', '0.25', '127.0.0.1', port, '--drain_timeout==5')
  assert.equal(await load.status(), 0, load.err)
  assert.match(
    load.out,
    /^=== Load Test Results ===\nTotal measurements: 50\nErrors: 0\n\nLatency Statistics:\n {2}Min: {5}[\d.]+(?:µs|ms)\n/,
  )
  assert.match(load.out, /\nDelivery:\n {2}Sent: {5}50\n {2}Received: 50\n {2}Ratio: {4}100%\n {2}Missing: {2}0\n/)
  assert.match(load.out, /\nPublishing:\n {2}Attempts: {2}50\n {2}Successes: 50\n$/)
  assert.equal(redis.command('KEYS', 'session:load-test-*'), '')
  await waitUntil('no subscription is left', () => redis.command('PUBSUB', 'CHANNELS', 'session:load-test-*') === '')
})

test('load test: jitter, JSON, and Ctrl-C in the middle', async () => {
  const port = `--ws-port=${server.port('session-proxy.ws')}`
  await using jitter = new Tool(
    redis.url,
    'load-test',
    port,
    '--workers=5',
    '--warmup=0',
    '--test-duration=0.5',
    '--message-interval=50ms',
    '--jitter',
    '--json',
  )
  assert.equal(await jitter.status(), 0, jitter.err)
  const report = JSON.parse(jitter.out) as SessionReport
  const { sent, received, missing } = report.delivery
  // Half the pauses: about 21 instead of 11.
  assert.ok(sent > 5 * 12 && received === sent && missing === 0 && report.measurements === sent, jitter.out)
  assert.ok(report.ok && report.latency !== null && report.latency.minNs > 0)

  await using long = new Tool(
    redis.url,
    'load-test',
    port,
    '--workers=5',
    '--warmup=0',
    '--message-interval=20ms',
    '--json',
  )
  const isBusy = (): boolean => redis.command('PUBSUB', 'CHANNELS', 'session:load-test-*').split('\n').length === 5
  await waitUntil('its sessions are open', isBusy)
  assert.equal(await long.interrupt(), 0, long.err)
  const early = JSON.parse(long.out) as SessionReport
  assert.ok(early.interrupted && early.ok && early.delivery.missing === 0, long.out)
  assert.equal(redis.command('KEYS', 'session:load-test-*'), '')
})

test('load test: the general generator, closed and open, over several threads', async () => {
  const target = `session-proxy://127.0.0.1:${server.port('session-proxy.ws')}`
  const common = [target, '--connections=6', '--threads=2', '--warmup=0', '--duration=500ms', '--json']
  for (const how of ['--window=4', '--rate=200']) {
    await using load = new Tool(redis.url, 'load-test', ...common, how)
    assert.equal(await load.status(), 0, load.err)
    const { runs } = JSON.parse(load.out) as { readonly runs: readonly RunReport[] }
    const { connections, messages, errors } = runs[0] as RunReport
    assert.deepEqual([connections.opened, errors.total], [6, 0])
    assert.ok(messages.sent >= 50 && messages.answered === messages.sent, load.out)
    await waitUntil('no key is left', () => redis.command('KEYS', 'session:load-test-*') === '')
  }
})

test('load test: without Redis, or without a proxy, it says so with 1', async () => {
  await using alone = new Tool(
    redis.url,
    'load-test',
    '1',
    '0',
    '0',
    '1',
    '127.0.0.1',
    '1',
    '--redis-url=redis://127.0.0.1:1',
  )
  assert.equal(await alone.status(), 1)
  assert.match(alone.err, /load-test: no connection to redis:\/\/127\.0\.0\.1:1: /)
  await using general = new Tool(
    redis.url,
    'load-test',
    'session-proxy',
    '--connections=2',
    '--redis-url=redis://127.0.0.1:1',
  )
  assert.equal(await general.status(), 1)
  assert.match(general.out, /2 failed.*connect-failed: 2 .*no connection to redis:\/\/127\.0\.0\.1:1: /s)
  await using nobody = new Tool(redis.url, 'load-test', '3', '0', '0', '1', '127.0.0.1', '1')
  assert.equal(await nobody.status(), 1)
  assert.match(nobody.out, /Errors: 3\n\nLatency Statistics:\n {2}no measurements\n/)
  assert.match(nobody.out, / {4}connecting: ECONNREFUSED: 3\n/)
  assert.equal(redis.command('KEYS', 'session:load-test-*'), '')
})
