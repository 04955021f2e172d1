// The session proxy's tools that talk to Redis alone: without a proxy, with an outage, with a password.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'
import { Tool } from './tool-process.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis[Symbol.asyncDispose]())

test('auth-token-setter: a time to live, strange ids, and 1 without Redis', async () => {
  await using strange = new Tool(redis.url, 'auth-token-setter', 'a:b/ü %2F', 'tökén', '--ttl=1h')
  assert.equal(await strange.status(), 0, strange.err)
  assert.equal(redis.command('GET', 'session:a:b/ü %2F:auth'), 'tökén')
  const ttl = Number(redis.command('TTL', 'session:a:b/ü %2F:auth'))
  assert.ok(ttl > 3_500 && ttl <= 3_600, `${ttl}`)
  await using long = new Tool(redis.url, 'auth-token-setter', 'x'.repeat(257), 'token', '--ttl', '-')
  assert.equal(await long.status(), 2)
  assert.match(long.err, /^auth-token-setter: --ttl is .*\nauth-token-setter: <session_id> has 1 to 256 bytes/)
  await using alone = new Tool(redis.url, 'auth-token-setter', 'x', 'token', '--redis-url=redis://:geheim@127.0.0.1:1')
  assert.equal(await alone.status(), 1)
  assert.match(alone.err, /^auth-token-setter: no connection to redis:\/\/127\.0\.0\.1:1: .*ECONNREFUSED.*\n$/)
})

test('redis-subscriber, redis-publisher: go on when Redis was away, and say so', async () => {
  await using own = await startRedis()
  const flag = `--redis-url=${own.url}`
  await using subscriber = new Tool(redis.url, 'redis-subscriber', 's', flag)
  await using publisher = new Tool(redis.url, 'redis-publisher', 's', flag)
  await Promise.all([subscriber.says(/^subscribed/m), publisher.says(/Message #1/)])
  await own.kill()
  await waitUntil('a message fails', () => /^redis-publisher: message \d+ was not published: /m.test(publisher.err))
  await own.start()
  await waitUntil(
    'the gap',
    () => subscriber.err === 'redis-subscriber: Redis was away: messages may be missing here\n',
  )
  const failed = Number(/message (\d+)/.exec(publisher.err)?.[1])
  await publisher.says(new RegExp(`Message #(?!1"|${failed}")`))
  own.command('PUBLISH', 'session:s:up', '"back\n"')
  await subscriber.says(/^\[UPSTREAM\] "back\\u000a"$/m)
  assert.deepEqual(await Promise.all([publisher.interrupt(), subscriber.interrupt()]), [0, 0])
})

test('tools: a password that is wrong or missing is named by Redis, and never printed', async () => {
  await using own = await startRedis({ password: 'geheim' })
  const wrong = own.url.replace('geheim', 'falsch')
  for (const [url, reason] of [
    [wrong, /WRONGPASS/],
    [`redis://127.0.0.1:${own.port}`, /NOAUTH/],
  ] as const) {
    await using setter = new Tool(redis.url, 'auth-token-setter', 's', 't', `--redis-url=${url}`)
    assert.equal(await setter.status(), 1)
    assert.match(setter.err, reason)
    assert.ok(!setter.err.includes('falsch'))
  }
  await using setter = new Tool(redis.url, 'auth-token-setter', 's', 't', `--redis-url=${own.url}`)
  assert.equal(await setter.status(), 0, setter.err)
})
