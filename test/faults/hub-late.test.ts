// A host that cannot read the log of a channel: who comes back there is told so, and gets what it missed when it can.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'

const LOG = 'topic:hub.tick'

function start(redis: RedisServer): Promise<HubServer> {
  return HubServer.start({
    shards: 1,
    hub: { rateLimits: MANY_BROADCASTS, channels: 'tick,metrics', 'roles.subscribe': 'anonymous=*,admin=*' },
    settings: { 'bridge.redis.url': redis.url },
  })
}

test('hub late: a channel that is not known in time is told of, and replayed, when it is', async () => {
  await using redis = await startRedis()
  await using one = await start(redis)
  using admin = await one.admin()
  const client = await one.enter()
  await client.subscribe('tick', 'metrics')
  const token = await client.token()
  await client.leave()
  for (let number = 1; number <= 3; number++) await admin.broadcast('tick', { number })
  await admin.broadcast('metrics', { number: 4 })
  redis.command('RENAME', LOG, 'aside')
  redis.command('SET', LOG, 'no log')
  await using fresh = await start(redis)
  using back = await fresh.resume(token)
  const first = await back.next()
  assert.deepEqual([first.type, first.channels, first.missed], ['session_restored', ['tick', 'metrics'], 1])
  assert.equal((await back.nextEvent()).data.number, 4)
  redis.command('DEL', LOG)
  redis.command('RENAME', 'aside', LOG)
  const second = await back.next(15_000)
  assert.deepEqual([second.type, second.missed, second.dropped], ['session_restored', 3, 0])
  for (let number = 1; number <= 3; number++) {
    const event = await back.nextEvent()
    assert.deepEqual([event.data.number, event.buffered_at !== undefined], [number, true])
  }
  await admin.broadcast('tick', { number: 5 })
  const live = await back.nextEvent()
  assert.deepEqual([live.data.number, live.buffered_at], [5, undefined])
})
