// Reloads and other numbers of shards under the load of sessions: no message is lost or doubled in either direction,
// nobody is disconnected, and nobody is told of a gap.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ProxyCrowd } from '../harness/proxy-crowd.ts'
import { nextText, RedisProxy } from '../harness/proxy-server.ts'
import { waitUntil } from '../harness/wait.ts'

const SESSIONS = 60
const ROUNDS = 10
const MOVED_MS_MAX = 60_000

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start({ shards: 2 })
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

test('session-proxy: reloads and other numbers of shards lose and double nothing, and disconnect nobody', async () => {
  const { server } = proxy
  using crowd = await ProxyCrowd.open(proxy, SESSIONS)
  using pair = await ProxyCrowd.open(proxy, 5, 2, 'pair')
  crowd.start()
  pair.start()
  const moves: readonly (readonly [string, object])[] = [
    ['/api/v1/reload', {}],
    ['/api/v1/shards', { count: 1 }],
  ]
  for (const [index, [path, body]] of moves.entries()) {
    const { published } = crowd
    await waitUntil('the load runs', () => crowd.published > published + ROUNDS)
    const headers = { 'content-type': 'application/json' }
    assert.equal((await server.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).status, 202)
    const isDone = (): boolean => server.logged('runtime.move_done').length > index
    await waitUntil(`move ${index + 1} is done`, isDone, MOVED_MS_MAX)
    assert.deepEqual(server.logged('runtime.rollout_failed'), [])
  }
  await crowd.stop()
  await pair.stop()
  for (const one of [crowd, pair]) {
    await one.assertFlows(ROUNDS)
    assert.deepEqual([one.gapCount, one.refusedCount], [0, 0])
  }
  await crowd.assertAllUp()
  const metrics = await server.metrics()
  assert.equal(metrics.sum('polyloop_migrations_total', { result: 'failed' }), 0)
  assert.equal(metrics.sum('wsproxy_active_connections'), SESSIONS + 10)
})

test('session-proxy: after reloads sessions leave nothing behind', async () => {
  await waitUntil('all subscriptions end', async () => (await proxy.backend.channels()).length === 0)
  assert.equal(await proxy.activeConnections(), 0)
  using client = await proxy.enter('later')
  await proxy.backend.publish('later', '1')
  assert.equal(await nextText(client), '1')
})
