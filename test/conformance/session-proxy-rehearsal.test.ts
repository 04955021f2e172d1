// What a new shard does before it is ready to have the code of its hot path compiled: nobody sees it, and nobody waits for it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { nextText, RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { waitUntil } from '../harness/wait.ts'

/** Of both directions, and of each shard. */
const PUBLISHED_MIN = 200
const SHARDS = 2
/** Nobody listens there. */
const NOBODY = 'redis://127.0.0.1:1'
const COUNTED = [
  'wsproxy_messages_received_total',
  'wsproxy_messages_sent_total',
  'wsproxy_connections_total',
  'wsproxy_redis_pubsub_channels_active',
  'polyloop_bridge_messages_total',
  'polyloop_shard_connections',
  'polyloop_net_messages_total',
  'polyloop_net_bytes_total',
]

class RedisView implements Disposable {
  readonly #redis: Redis

  constructor(url: string) {
    this.#redis = new Redis(url)
  }

  async published(): Promise<number> {
    const stats = await this.#redis.info('commandstats')
    return Number(/^cmdstat_publish:calls=(\d+)/m.exec(stats)?.[1] ?? 0)
  }

  channels(): Promise<unknown> {
    return this.#redis.pubsub('CHANNELS')
  }

  [Symbol.dispose](): void {
    this.#redis.disconnect()
  }
}

test('rehearsal: goes through Redis and through each shard, and leaves nothing behind', async () => {
  await using proxy = await RedisProxy.start({
    shards: SHARDS,
    settings: { 'shard.rehearsal': '10s', 'log.level': 'debug' },
  })
  using redis = new RedisView(proxy.redis.url)
  const published = await redis.published()
  assert.ok(published >= SHARDS * PUBLISHED_MIN, `${published} messages`)
  await waitUntil('nothing is subscribed any more', async () => String(await redis.channels()) === '')
  const page = await proxy.server.metrics()
  for (const name of COUNTED) assert.equal(page.sum(name), 0, name)
  assert.deepEqual(proxy.server.logged('services.rehearsal_failed'), [])
  assert.deepEqual(proxy.server.logged('proxy.opened'), [])
  const client = await proxy.enter('behind')
  await proxy.backend.publish('behind', '{"first":1}')
  assert.equal(await nextText(client), '{"first":1}')
  client.close()

  // The clients of a shard that failed are waiting.
  const before = await redis.published()
  await proxy.server.kill(0)
  await proxy.server.recovered(0, 1)
  assert.ok((await redis.published()) < before + PUBLISHED_MIN)
  assert.deepEqual(proxy.server.stray, [])
})

test('rehearsal: off by its option', async () => {
  await using proxy = await RedisProxy.start({ shards: 1, settings: { 'shard.rehearsal': 0 } })
  using redis = new RedisView(proxy.redis.url)
  assert.ok((await redis.published()) < PUBLISHED_MIN)
})

test('rehearsal: without a server to rehearse with, the shard is ready all the same', async () => {
  await using proxy = await RedisProxy.start({
    shards: 1,
    settings: { 'shard.rehearsal': '100ms', 'log.level': 'debug' },
    urlOf: () => NOBODY,
  })
  assert.equal(proxy.server.logged('services.rehearsal_failed').length, 1)
  assert.equal((await proxy.knockAt('nobody', TOKEN)).status, 500)
})
