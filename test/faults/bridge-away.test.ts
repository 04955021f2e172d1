// A host without its Redis: it starts, is ready and says that it is degraded; calls fail at once. It is whole by itself when
// Redis comes, also after Redis was lost, and it can end while Redis is away.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { BridgeTalker } from '../harness/bridge-talker.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil } from '../harness/wait.ts'

const AGAIN_MS_MAX = 500

let redis: RedisServer
let server: Server

before(async () => {
  redis = await startRedis()
  await redis.kill()
  server = await startServer({
    shards: 1,
    modules: ['test/harness/bridge-service.ts'],
    settings: { 'bridge.redis.backoff.max': `${AGAIN_MS_MAX}ms`, 'bridge.redis.pingTimeout': '1s' },
    environment: { REDIS_URL: redis.url },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  await redis[Symbol.asyncDispose]()
})

function open(): Promise<BridgeTalker> {
  return BridgeTalker.open(server.port('crier.tcp'))
}

async function isDegraded(): Promise<boolean> {
  return (await server.health()).status === 'degraded'
}

test('bridge: without Redis the host is ready and degraded; calls fail at once, and local traffic goes on', async () => {
  assert.equal((await server.fetch('/ready')).status, 200)
  const response = await server.fetch('/health')
  assert.equal(response.status, 200)
  const { status, bridge, services } = await server.health()
  assert.equal(status, 'degraded')
  assert.equal(services.crier?.status, 'healthy')
  assert.equal(bridge?.status, 'disconnected')
  assert.match(bridge?.error ?? '', /ECONNREFUSED|not connected/)
  using ada = await open()
  assert.equal(await ada.ask('started'), 'BRIDGE_DOWN')
  assert.equal(await ada.ask('get place'), 'BRIDGE_DOWN')
  assert.equal(await ada.ask('hear news'), 'BRIDGE_DOWN')
  assert.equal(await ada.ask('say news hello'), 'BRIDGE_DOWN')
  assert.equal((await server.metrics()).sum('polyloop_bridge_up', { shard: 'bridge' }), 0)
})

test('bridge: when Redis comes the host is healthy, and what is called works', async () => {
  using ada = await open()
  await redis.start()
  await waitUntil('it is healthy', () => server.isHealthy())
  assert.deepEqual((await server.health()).bridge, { kind: 'redis', status: 'connected' })
  await ada.hear('news')
  assert.equal(await ada.ask('say news hello'), '1')
  await waitUntil('it is heard', () => ada.heard.length === 1)
  assert.equal((await server.metrics()).sum('polyloop_bridge_up', { shard: 'bridge' }), 1)
})

test('bridge: Redis is lost and comes back: listeners are told of the gap and hear what is said behind it', async () => {
  const talkers = await Promise.all(Array.from({ length: 4 }, open))
  for (const talker of talkers) await talker.hear('news')
  await redis.kill()
  await waitUntil('it is degraded', isDegraded)
  assert.equal(await talkers[0]?.ask('say news nobody hears this'), 'BRIDGE_DOWN')
  await redis.start()
  await waitUntil('it is healthy', () => server.isHealthy())
  await waitUntil('all are told', () => talkers.every(({ gaps }) => gaps.length === 1))
  assert.equal(await talkers[0]?.ask('say news again'), '1')
  await waitUntil('all hear it', () => talkers.every(({ heard }) => heard.length === 1))
  for (const { heard, gaps } of talkers) assert.deepEqual([heard, gaps], [['news again'], ['news']])
  assert.ok((await server.metrics()).sum('polyloop_bridge_reconnects_total') > 0)
  for (const talker of talkers) talker[Symbol.dispose]()
})

test('bridge: Redis hangs: the host is degraded, calls end, and it can be stopped', async () => {
  const ada = await open()
  redis.freeze()
  await waitUntil('it is degraded', isDegraded)
  assert.match(await ada.ask('get place'), /^BRIDGE_(DOWN|LOST|TIMEOUT)$/)
  ada[Symbol.dispose]()
  const { status } = await server.stop()
  assert.equal(status, 0)
  assert.deepEqual(server.stray, [])
})
