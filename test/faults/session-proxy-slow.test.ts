// A client that does not read (S12): it is closed once 10 MiB wait for it, with one warning before; another session, on
// the same shard, sees no delay, and memory stays bounded.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { nextText, RedisProxy } from '../harness/proxy-server.ts'
import { waitUntil, within } from '../harness/wait.ts'

const MIB = 1024 * 1024
const LIMIT_BYTES = 10 * MIB
const PAYLOAD_BYTES = 64 * 1024
/** Beyond the limit, what the kernel takes on both sides. */
const PUBLISHED_BYTES_MAX = 64 * MIB
const GROWTH_BYTES_MAX = 96 * MIB
/** As slow as a busy machine is; a shard that waited would take seconds. */
const DELAY_MS_MAX = 500

let proxy: RedisProxy

before(async () => {
  // One shard: they meet there.
  proxy = await RedisProxy.start({ shards: 1 })
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

test('session-proxy: a client that does not read is closed over 10 MiB, and nobody else waits', async () => {
  using slow = await proxy.enter('slow')
  using brother = await proxy.open('slow')
  using other = await proxy.enter('other')
  slow.raw.pause()
  const before = proxy.server.rss()
  const payload = 'x'.repeat(PAYLOAD_BYTES)
  const events = async (event: string): Promise<number> =>
    (await proxy.server.metrics()).sum('wsproxy_backpressure_events_total', { event })
  const delays: number[] = []
  let published = 0
  let buffered = 0
  while ((await events('closed')) === 0) {
    assert.ok(published < PUBLISHED_BYTES_MAX, `${published} bytes and not closed`)
    for (let count = 0; count < 8; count++) {
      await proxy.backend.publish('slow', payload)
      published += PAYLOAD_BYTES
      const startMs = performance.now()
      await proxy.backend.publish('other', `${count}`)
      assert.equal(await nextText(other), `${count}`)
      delays.push(performance.now() - startMs)
      assert.equal((await nextText(brother))?.length, PAYLOAD_BYTES)
    }
    buffered = Math.max(buffered, (await proxy.server.metrics()).sum('wsproxy_buffer_utilization_bytes'))
  }
  assert.ok(published > LIMIT_BYTES, `closed after ${published} bytes`)
  // The message that was too much is among them, until the connection has ended.
  const isBounded = buffered > LIMIT_BYTES / 2 && buffered <= LIMIT_BYTES + 2 * PAYLOAD_BYTES
  assert.ok(isBounded, `${buffered} bytes were buffered`)
  assert.ok(Math.max(...delays) < DELAY_MS_MAX, `${Math.max(...delays)} ms`)
  const grown = proxy.server.rss() - before
  assert.ok(grown < GROWTH_BYTES_MAX, `${(grown / MIB).toFixed(1)} MiB more`)
  assert.deepEqual([await events('warning'), await events('closed')], [1, 1])

  // What it had been sent is there, and then why it ends.
  slow.raw.resume()
  assert.deepEqual(await within('a close', slow.closed), { code: 1008, reason: 'client too slow' })
  await proxy.backend.publish('slow', 'for who is left')
  assert.equal(await nextText(brother), 'for who is left')
  await waitUntil('nothing is buffered', async () => {
    return (await proxy.server.metrics()).sum('wsproxy_buffer_utilization_bytes') === 0
  })
})

test('session-proxy: a client that reads again below the limit has lost nothing', async () => {
  using late = await proxy.enter('late')
  late.raw.pause()
  const count = (6 * MIB) / PAYLOAD_BYTES
  for (let number = 0; number < count; number++) {
    await proxy.backend.publish('late', `${number}`.padEnd(PAYLOAD_BYTES))
  }
  late.raw.resume()
  for (let number = 0; number < count; number++) assert.equal((await nextText(late))?.trimEnd(), `${number}`)
})
