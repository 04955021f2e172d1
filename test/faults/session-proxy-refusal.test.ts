// A Redis that is there and says no: wrong password, commands that are forbidden, READONLY, no memory left, a subscriber
// that is thrown out. Everybody gets the answer of PROTOCOLS 5, and no session is deaf afterwards.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ProxyCrowd } from '../harness/proxy-crowd.ts'
import { assertRefused, nextData, nextText, RedisProxy, UNAVAILABLE } from '../harness/proxy-server.ts'
import { waitUntil } from '../harness/wait.ts'
import type { WebSocketClient } from '../harness/web-socket-client.ts'

const SESSIONS = 30
const ROUNDS = 10
const RECOVERY_MS = 20_000
const PASSWORD = 'p%40ss'
/** As in a URL: `p@ss` would do, `p%40ss` shows that it is decoded. */
const ENCODED = encodeURIComponent(PASSWORD)
const SUBSCRIBER_BYTES_MAX = 64 * 1024

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start({
    settings: { 'bridge.redis.backoff.max': '500ms' },
    redis: { config: [`user proxy on >${PASSWORD} ~* &* +@all`] },
    urlOf: ({ port }) => `redis://proxy:${ENCODED}@127.0.0.1:${port}`,
  })
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
  assert.doesNotMatch(JSON.stringify(proxy.server.log), new RegExp(`${PASSWORD}|${ENCODED}`))
})

function permit(...rules: readonly string[]): Promise<unknown> {
  return proxy.backend.redis.call('ACL', 'SETUSER', 'proxy', ...rules)
}

async function assertServes(client: WebSocketClient, session: string): Promise<void> {
  using uplink = await proxy.backend.listen(session)
  await waitUntil('it listens', async () => (await proxy.backend.publish(session, '"served"')) === 1, RECOVERY_MS)
  assert.equal(await nextData(client), '"served"')
  await waitUntil('it is healthy', async () => (await proxy.request('GET', '/health')).status === 200, RECOVERY_MS)
  client.send('"thanks"')
  assert.equal(`${await uplink.next()}`, '"thanks"')
}

test('session-proxy: a command that Redis forbids: what a client is told for each, and what is counted', async () => {
  using client = await proxy.enter('acl')
  const counts = async (): Promise<number[]> => {
    const page = await proxy.server.metrics()
    return [
      page.sum('wsproxy_connections_total', { status: 'error' }),
      page.sum('wsproxy_connections_total', { status: 'unavailable' }),
      page.sum('wsproxy_errors_total', { type: 'publish' }),
      page.sum('wsproxy_errors_total', { type: 'redis' }),
    ]
  }
  const before = await counts()
  await permit('-get')
  assertRefused(await proxy.knockAt('acl'), 500, 'Internal server error')
  await permit('+get', '-expire', '-pexpire')
  assert.equal((await proxy.knockAt('acl')).status, 101, 'a token that cannot be extended is good enough')
  await permit('+expire', '+pexpire', '-subscribe')
  await proxy.backend.setToken('acl-new', 'my-token')
  assertRefused(await proxy.knockAt('acl-new'), 503, 'Unable to prepare session')
  assert.deepEqual(await proxy.backend.channels(), ['session:acl:down'])
  await permit('+subscribe', '-publish')
  for (const text of ['1', '2']) assert.equal(await client.ask(text), UNAVAILABLE)
  // Of handshakes: GET, EXPIRE and SUBSCRIBE.
  const expected = [1, 1, 2, 3].map((added, index) => added + (before[index] ?? 0))
  await waitUntil('all is counted', async () => `${await counts()}` === `${expected}`)
  await permit('+publish')
  await assertServes(client, 'acl')
  using _new = await proxy.open('acl-new')
})

test('session-proxy: a password that is wrong from one moment on, and right again', async () => {
  using client = await proxy.enter('password')
  await permit('resetpass', '>another')
  await proxy.backend.cut('normal', 'pubsub')
  await waitUntil('it is away', async () => (await proxy.request('GET', '/health')).status === 503)
  assertRefused(await proxy.knockAt('password'), 500, 'Internal server error')
  assert.equal(await client.ask('1'), UNAVAILABLE)
  await permit('resetpass', `>${PASSWORD}`)
  await waitUntil('it is back', async () => (await proxy.request('GET', '/health')).status === 200, RECOVERY_MS)
  await assertServes(client, 'password')
})

test('session-proxy: a Redis that became a replica: sessions go on, and nobody is deaf when it is a master again', async () => {
  using client = await proxy.enter('readonly')
  // Port 1 is nobody's: a replica that has lost its master.
  await proxy.backend.redis.call('REPLICAOF', '127.0.0.1', '1')
  const { status } = await proxy.knockAt('readonly')
  // READONLY is a reason to look for the master anew: a handshake in the middle of that may find nobody.
  assert.ok([101, 500, 503].includes(status), `${status}`)
  assert.equal(client.isOver, false)
  await proxy.backend.redis.call('REPLICAOF', 'NO', 'ONE')
  await assertServes(client, 'readonly')
  using _again = await proxy.enter('readonly')
})

test('session-proxy: a Redis without memory still serves sessions', async () => {
  using client = await proxy.enter('memory')
  await proxy.backend.redis.config('SET', 'maxmemory', '1')
  try {
    await assert.rejects(proxy.backend.setToken('memory-2', 'x'), /OOM command not allowed/)
    await assertServes(client, 'memory')
    using second = await proxy.open('memory')
    await proxy.backend.publish('memory', '1')
    assert.deepEqual([await nextText(client), await nextText(second)], ['1', '1'])
  } finally {
    await proxy.backend.redis.config('SET', 'maxmemory', '0')
  }
  await assertServes(client, 'memory')
})

test('session-proxy: a subscriber that Redis throws out for its output buffer costs no session', async () => {
  using crowd = await ProxyCrowd.open(proxy, SESSIONS)
  await proxy.backend.redis.config('SET', 'client-output-buffer-limit', `pubsub ${SUBSCRIBER_BYTES_MAX} 0 0`)
  try {
    using client = await proxy.enter('flooded')
    // One message is over the limit by itself, however fast it is read.
    await proxy.backend.publish('flooded', 'x'.repeat(8 * SUBSCRIBER_BYTES_MAX))
    await crowd.told(1, RECOVERY_MS)
    await crowd.assertFlows(ROUNDS)
    await assertServes(client, 'flooded')
  } finally {
    await proxy.backend.redis.config('SET', 'client-output-buffer-limit', 'pubsub 33554432 8388608 60')
  }
  assert.equal(crowd.gapCount, SESSIONS)
})
