// Five hundred clients lose their connections at once and come back with their tokens: each ends with every event once.
// With a cut of all, and when their shard dies. (5,000 of them: the soak `hub`.)
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HubCrowd, type Storm } from '../harness/hub-crowd.ts'
import { HubPress } from '../harness/hub-press.ts'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'
import { shardOf } from '../harness/shard-key.ts'

const COUNT = 500
const SHARDS = 2
/** More than is published while they are away. */
const HISTORY = 5_000

async function startHub(): Promise<HubServer> {
  return HubServer.start({
    shards: SHARDS,
    hub: { rateLimits: MANY_BROADCASTS, 'history.size': HISTORY, bufferSize: HISTORY },
  })
}

async function weather(hub: HubServer, publisherShard: number, harm?: () => Promise<void>): Promise<Storm> {
  using crowd = await HubCrowd.gather({ count: COUNT, url: (query) => hub.server.url('hub.ws', `/ws${query}`) })
  using publisher = await hub.enterOn(publisherShard, { claims: { sub: 'admin' } })
  const press = new HubPress(publisher)
  const storm = await crowd.storm(harm)
  await crowd.caughtUp(await press.stop())
  return storm
}

test('hub storm: all are cut at once, and each ends with every event once', async (context) => {
  await using hub = await startHub()
  const storm = await weather(hub, 0)
  context.diagnostic(`${COUNT} clients back after ${storm.backMs.toFixed(0)} ms`)
  assert.deepEqual([storm.fresh, storm.gaps, storm.wrong], [0, 0, 0])
  const page = await hub.server.metrics()
  assert.equal(page.sum('neurograph_ws_reconnections_total', { result: 'restored' }), COUNT)
})

test('hub storm: a shard dies, and its clients go on elsewhere with every event once', async (context) => {
  await using hub = await startHub()
  // The channel lives on the other one: with this its history would be gone, and clients would be told so.
  const home = shardOf('topic/hub.metrics', SHARDS)
  const victim = SHARDS - 1 - home
  const storm = await weather(hub, home, () => hub.server.kill(victim))
  context.diagnostic(`clients of a dead shard back after ${storm.backMs.toFixed(0)} ms`)
  assert.deepEqual([storm.fresh, storm.gaps, storm.wrong], [0, 0, 0])
})
