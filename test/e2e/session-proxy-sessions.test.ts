// A thousand sessions at once, and a thousand that come and go (S13): what it costs Redis, and that nothing stays behind.
// Ten thousand are in the soak.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { ProxyThrong } from '../harness/proxy-throng.ts'
import { waitUntil } from '../harness/wait.ts'

const SESSIONS = 1_000
const COMINGS = 1_000
const AT_ONCE = 20
const CHURNED_SESSIONS = 50
/** Of the host, however many sessions: one that asks, one that listens. */
const HOST_CONNECTIONS = 2

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start()
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

async function assertNothingLeft(): Promise<void> {
  await waitUntil('nobody is connected', async () => (await proxy.activeConnections()) === 0)
  await waitUntil('nothing is subscribed to', async () => (await proxy.backend.channels()).length === 0)
  const metrics = await proxy.server.metrics()
  assert.equal(metrics.sum('wsproxy_active_connections'), 0)
  assert.equal(metrics.sum('wsproxy_redis_pubsub_channels_active'), 0)
}

test('session-proxy: a thousand sessions cost Redis two connections, and each hears its own', async () => {
  const before = await proxy.backend.connections()
  using throng = await ProxyThrong.open(proxy, SESSIONS)
  assert.equal(await proxy.backend.connections(), before, 'none more than without sessions')
  assert.equal(before, HOST_CONNECTIONS + 1, 'and that is the backend')
  assert.equal((await proxy.backend.channels()).length, SESSIONS)
  await throng.assertEachHears()
  await waitUntil('all are counted', async () => (await proxy.activeConnections()) === SESSIONS)
  throng.leave()
  await assertNothingLeft()
})

test('session-proxy: after a thousand connects and disconnects nobody is connected and nothing subscribed to', async () => {
  const sessions = Array.from({ length: CHURNED_SESSIONS }, (_, index) => `churned-${index}`)
  await Promise.all(sessions.map((session) => proxy.backend.setToken(session, TOKEN)))
  let begun = 0
  const come = async (): Promise<void> => {
    while (begun < COMINGS) {
      const index = begun++
      // Several are in a session at the same time, coming and going.
      const client = await proxy.open(sessions[index % CHURNED_SESSIONS] ?? '')
      if (index % 3 === 0) client.close(1000)
      else client[Symbol.dispose]()
      if (index % 3 === 1) await client.closed
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, come))
  await assertNothingLeft()
  const accepted = (await proxy.server.metrics()).sum('wsproxy_connections_total', { status: 'accepted' })
  assert.equal(accepted, SESSIONS + COMINGS)
})
