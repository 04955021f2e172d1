// A Redis that stands still, or that was never there: handshakes and messages get their answers in time, and it is found
// again. The times are shorter than the defaults.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ProxyCrowd } from '../harness/proxy-crowd.ts'
import { assertRefused, GAP, nextData, nextText, RedisProxy, TOKEN, UNAVAILABLE } from '../harness/proxy-server.ts'
import { startRedis } from '../harness/redis.ts'
import { pause, waitUntil } from '../harness/wait.ts'

const AUTH_MS = 400
const CALL_MS = 800
const PROBE_MS = 1_500
/** A machine that others use. */
const LATE_MS = 2_000
const SHORT_MS = 300
const SESSIONS = 50
const ROUNDS = 10

let proxy: RedisProxy

before(async () => {
  const settings = {
    'services.session-proxy.authTimeout': `${AUTH_MS}ms`,
    'bridge.timeout': `${CALL_MS}ms`,
    'bridge.redis.pingTimeout': `${PROBE_MS}ms`,
    'bridge.redis.connectTimeout': '500ms',
    'bridge.redis.backoff.max': '500ms',
  }
  proxy = await RedisProxy.start({ settings })
})

after(async () => {
  proxy.redis.thaw()
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

test('session-proxy: Redis stands still for a moment, and nothing is lost', async () => {
  using crowd = await ProxyCrowd.open(proxy, SESSIONS)
  proxy.redis.freeze()
  const rounds = crowd.round()
  crowd.say()
  await pause(SHORT_MS)
  proxy.redis.thaw()
  await rounds
  await crowd.assertFlows(ROUNDS)
  await crowd.assertAllUp()
  assert.deepEqual([crowd.gapCount, crowd.refusedCount], [0, 0])
})

test('session-proxy: a frozen Redis: handshakes are answered 504, messages refused, and later all is well', async () => {
  using client = await proxy.enter('frozen')
  using crowd = await ProxyCrowd.open(proxy, SESSIONS)
  proxy.redis.freeze()
  const startMs = performance.now()
  assertRefused(await proxy.knockAt('frozen'), 504, 'Authentication timeout')
  const elapsedMs = performance.now() - startMs
  assert.ok(elapsedMs >= AUTH_MS - 5 && elapsedMs < AUTH_MS + LATE_MS, `${elapsedMs} ms`)
  const late = async (): Promise<number> =>
    (await proxy.server.metrics()).sum('wsproxy_connections_total', { status: 'timeout' })
  await waitUntil('it is counted', async () => (await late()) === 1)
  assert.equal(await client.ask('1'), UNAVAILABLE)
  // Found to be gone: now calls fail at once.
  await waitUntil('the host is degraded', async () => (await proxy.server.health()).status === 'degraded')
  const { status } = await proxy.knockAt('frozen')
  assert.ok(status === 500 || status === 504, `${status}`)
  assert.equal((await proxy.request('GET', '/health')).status, 503)
  assert.equal(client.isOver, false)

  proxy.redis.thaw()
  await waitUntil('the host is healthy', () => proxy.server.isHealthy())
  assert.equal(await nextText(client), GAP)
  await crowd.told(1)
  await crowd.assertFlows(ROUNDS)
  using again = await proxy.open('frozen')
  await proxy.backend.publish('frozen', 'thawed')
  assert.deepEqual([await nextData(client), await nextText(again)], ['thawed', 'thawed'])
})

test('session-proxy: the first to write is frozen in the middle of a large message', async () => {
  using client = await proxy.enter('large')
  const text = JSON.stringify('x'.repeat(1_000_000))
  using uplink = await proxy.backend.listen('large')
  proxy.redis.freeze()
  for (let count = 0; count < 3; count++) client.send(text)
  await pause(SHORT_MS)
  proxy.redis.thaw()
  for (let count = 0; count < 3; count++) assert.equal((await uplink.next()).length, text.length)
  assert.equal(client.isOver, false)
})

test('session-proxy: a host whose Redis is not there yet starts, is not ready, and becomes so', async () => {
  await using redis = await startRedis()
  await redis.kill()
  await using late = await RedisProxy.start({
    urlOf: () => redis.url,
    settings: { 'bridge.redis.backoff.max': '300ms' },
  })
  const ready = await late.request('GET', '/ready')
  assert.deepEqual([ready.status, ready.body], [503, '{"status":"starting"}'])
  assert.match((await late.request('GET', '/health')).body, /^\{"status":"unhealthy","redis":"disconnected","error":"/)
  assert.equal((await late.server.health()).status, 'degraded')
  assertRefused(await late.knockAt('late'), 500, 'Internal server error')
  await redis.start()
  const isReady = async (): Promise<boolean> => (await late.request('GET', '/ready')).body === '{"status":"ready"}'
  await waitUntil('the proxy is ready', isReady)
  redis.command('SET', 'session:late:auth', TOKEN)
  // Its second connection may come a little later.
  await waitUntil('sessions can subscribe', async () => (await late.knockAt('late')).status === 101)
  using client = await late.open('late')
  redis.command('PUBLISH', 'session:late:down', 'hello')
  assert.equal(await nextData(client), 'hello')
  assert.equal(redis.info('connected_clients'), '3', 'two of the host, and this one')
  assert.deepEqual(late.server.stray, [])
})
