// A shard dies, and nobody knows what its clients were sent last: who says so gets what came behind that, and nobody gets
// anything twice.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventFrame } from '../harness/hub-client.ts'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'
import { shardOf } from '../harness/shard-key.ts'

const SHARDS = 2

test('hub crash: a client with offsets gets nothing twice, and all it missed when it says what it got last', async () => {
  await using hub = await HubServer.start({ shards: SHARDS, hub: { rateLimits: MANY_BROADCASTS } })
  // The channel lives on the other one, so that its history stays.
  const home = shardOf('topic/hub.metrics', SHARDS)
  const victim = SHARDS - 1 - home
  using admin = await hub.enterOn(home, { claims: { sub: 'admin' } })
  const counting = await hub.enterOn(victim, { query: { offsets: '1' } })
  const plain = await hub.enterOn(victim)
  const clients = [counting, plain]
  for (const client of clients) await client.subscribe('metrics')
  const tokens = await Promise.all(clients.map((client) => client.token()))
  const [countingToken = '', plainToken = ''] = tokens
  const publish = async (first: number, last: number): Promise<void> => {
    for (let number = first; number <= last; number++) await admin.broadcast('metrics', { number })
  }
  await publish(1, 3)
  let got: EventFrame | undefined
  for (let number = 1; number <= 3; number++) {
    got = await counting.nextEvent()
    assert.equal((await plain.nextEvent()).data.number, number)
  }
  await hub.server.kill(victim)
  await Promise.all(clients.map(({ closed }) => closed))
  await publish(4, 5)
  for (const [token, hasOffsets] of [
    [plainToken, false],
    [countingToken, true],
  ] as const) {
    using back = await hub.resume(token)
    const { type, missed, dropped } = await back.next()
    assert.deepEqual([type, missed, dropped], ['session_restored', 0, hasOffsets ? 6 : 5])
    await publish(6, 6)
    // With offsets it comes when the client has not said in time what it got last.
    assert.equal((await back.nextEvent()).data.number, 6)
    if (!hasOffsets) continue
    const { epoch, offset } = got ?? {}
    const { channels } = await back.ask({ type: 'recover', positions: { metrics: { epoch, offset } } })
    assert.deepEqual(channels, { metrics: { recovered: true, missed: 3 } })
    for (const number of [4, 5, 6]) assert.equal((await back.nextEvent()).data.number, number)
  }
  const page = await hub.server.metrics()
  assert.equal(page.sum('neurograph_ws_buffer_overflow_total'), 11)
})
