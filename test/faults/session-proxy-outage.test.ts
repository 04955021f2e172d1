// Redis goes away from the session proxy (PROTOCOLS 5.2, S9 and S10): its connections are cut, or it is killed and started
// again, under load. Sessions stay open, are told, and are deaf to nothing afterwards.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ProxyCrowd } from '../harness/proxy-crowd.ts'
import { assertRefused, nextData, nextText, RedisProxy, UNAVAILABLE } from '../harness/proxy-server.ts'
import { waitUntil, within } from '../harness/wait.ts'

const SESSIONS = 50
const ROUNDS = 10
const KILLS = 2
const CUTS = 2
const RECOVERY_MS = 20_000

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start({ settings: { 'bridge.redis.backoff.max': '500ms' } })
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

async function isHealthy(): Promise<boolean> {
  return (await proxy.request('GET', '/health')).status === 200
}

test('session-proxy: cut connections to Redis cost no session, each is told, and messages flow', async () => {
  using crowd = await ProxyCrowd.open(proxy, SESSIONS, 2)
  for (let cut = 1; cut <= CUTS; cut++) {
    crowd.start()
    const { published } = crowd
    await waitUntil('the load runs', () => crowd.published > published + ROUNDS)
    assert.ok(
      (await proxy.backend.cut('normal', 'pubsub')) >= 3,
      'the subscriber, the other one, and that of the backend',
    )
    await crowd.told(cut)
    await crowd.stop()
    await crowd.assertFlows(ROUNDS)
  }
  assert.equal(crowd.gapCount, CUTS * 2 * SESSIONS, 'each is told once')
})

test('session-proxy: Redis is killed and started again under load', async () => {
  using crowd = await ProxyCrowd.open(proxy, SESSIONS)
  for (let kill = 1; kill <= KILLS; kill++) {
    crowd.start()
    const { published } = crowd
    await waitUntil('the load runs', () => crowd.published > published + ROUNDS)
    await proxy.redis.kill()
    const refused = crowd.refusedCount
    await waitUntil('what clients say is refused', () => crowd.refusedCount > refused + SESSIONS)
    await proxy.redis.start()
    await proxy.backend.isBack()
    await crowd.told(kill, RECOVERY_MS)
    await crowd.stop()
    await crowd.assertFlows(ROUNDS)
    await waitUntil('the proxy is healthy', isHealthy)
  }
  const reconnects = (await proxy.server.metrics()).sum('polyloop_bridge_reconnects_total')
  assert.ok(reconnects >= KILLS, `${reconnects} reconnects`)
})

test('session-proxy: while Redis is away: what each port and each client is told', async () => {
  using client = await proxy.enter('away')
  await proxy.redis.kill()
  const health = await waitUntil('it is seen', async () => {
    const answer = await proxy.request('GET', '/health')
    return answer.status === 503 && answer
  })
  assert.match(health.body, /^\{"status":"unhealthy","redis":"disconnected","error":"[^"]+"\}$/)
  assert.doesNotMatch(health.body, new RegExp(`127\\.0\\.0\\.1|${proxy.redis.port}`))
  assert.equal((await proxy.request('GET', '/ready')).body, '{"status":"ready"}', 'it was connected once')
  const admin = await proxy.server.fetch('/health')
  assert.deepEqual([admin.status, ((await admin.json()) as { status: string }).status], [200, 'degraded'])
  assert.equal((await proxy.server.fetch('/ready')).status, 200)
  for (const text of ['1', '"two"', '{"three":3}']) assert.equal(await client.ask(text), UNAVAILABLE)
  assert.equal(await client.ask('{'), '{"error":"Invalid JSON format"}')
  assertRefused(await proxy.knockAt('away'), 500, 'Internal server error')
  assertRefused(await proxy.knock('/agent1/ws/away'), 401, 'Missing authorization token')
  client.raw.ping('x')
  await waitUntil('a pong', () => client.pongs.length === 1)
  const up = (await proxy.server.metrics()).sum('polyloop_bridge_up')
  assert.equal(up, 0)

  await proxy.redis.start()
  await proxy.backend.isBack()
  await waitUntil(
    'it is subscribed again',
    async () => (await proxy.backend.publish('away', 'first')) === 1,
    RECOVERY_MS,
  )
  assert.equal(await nextData(client), 'first')
  await waitUntil('the proxy is healthy', isHealthy)
  await waitUntil('the host too', () => proxy.server.isHealthy())
  using uplink = await proxy.backend.listen('away')
  client.send('"again"')
  assert.equal(`${await uplink.next()}`, '"again"', 'and what was refused is not sent later')
  // Redis has forgotten the token.
  assertRefused(await proxy.knockAt('away'), 403, 'Invalid authorization token')
  using second = await proxy.enter('away')
  await proxy.backend.publish('away', 'second')
  assert.deepEqual([await nextData(client), await nextText(second)], ['second', 'second'])
})

test('session-proxy: who leaves while Redis is away leaves nothing behind', async () => {
  await waitUntil('those of other tests are gone', async () => (await proxy.activeConnections()) === 0)
  const leaving = [await proxy.enter('leaver-1'), await proxy.enter('leaver-2')]
  using _staying = await proxy.enter('stayer')
  await proxy.redis.kill()
  for (const client of leaving) client[Symbol.dispose]()
  const open = async (): Promise<number> => (await proxy.server.metrics()).sum('wsproxy_active_connections')
  await waitUntil('they are gone', async () => (await open()) === 1)
  await proxy.redis.start()
  await proxy.backend.isBack()
  await waitUntil(
    'the stayer is back',
    async () => `${await proxy.backend.channels()}` === 'session:stayer:down',
    RECOVERY_MS,
  )
})

test('session-proxy: SIGTERM while Redis is away: clients get 1001, and the process ends with 0', async () => {
  await waitUntil('the proxy is healthy', isHealthy)
  const clients = [await proxy.enter('end-1'), await proxy.enter('end-2')]
  await proxy.redis.kill()
  assert.equal(await clients[0]?.ask('1'), UNAVAILABLE)
  proxy.server.signal('SIGTERM')
  for (const client of clients) {
    assert.deepEqual(await within('a close', client.closed), { code: 1001, reason: 'server shutting down' })
  }
  assert.deepEqual(await within('the server ends', proxy.server.ended), { status: 0, signal: null })
})
