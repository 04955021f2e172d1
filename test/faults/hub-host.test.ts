// The hub on two hosts with one Redis: sessions go from one to the other, with everything they missed; one of the hosts
// dies, and all its clients go on at the other.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { HubClient } from '../harness/hub-client.ts'
import { HubCluster } from '../harness/hub-cluster.ts'
import { HubCrowd } from '../harness/hub-crowd.ts'
import { HubPress } from '../harness/hub-press.ts'
import { MANY_BROADCASTS } from '../harness/hub-server.ts'
import { waitUntil } from '../harness/wait.ts'

const COUNT = 250
const HISTORY = 5_000

let cluster: HubCluster
before(async () => {
  cluster = await HubCluster.start(2, { rateLimits: MANY_BROADCASTS, 'history.size': HISTORY, bufferSize: HISTORY })
})
after(() => cluster[Symbol.asyncDispose]())

/** Everybody has subscribed everywhere: what one host publishes comes to the other. */
async function joined(publisher: HubClient, listener: HubClient): Promise<void> {
  await listener.subscribe('metrics')
  let isHeard = false
  await waitUntil('the hosts hear each other', async () => {
    await publisher.broadcast('metrics', { hello: true })
    listener.send({ type: 'ping' })
    for (let frame = await listener.next(); frame.type !== 'pong'; frame = await listener.next()) isHeard = true
    return isHeard
  })
}

test('hub hosts: a session goes from host to host, and its old connection gives way', async () => {
  const [one, other] = cluster.pair
  using publisher = await one.admin()
  using listener = await other.admin()
  await joined(publisher, listener)
  const client = await one.enter({ claims: { sub: 'ada' } })
  await client.subscribe('metrics')
  const token = await client.token()
  // While it is still open on the first.
  const second = await other.resume(token)
  assert.deepEqual(await client.closed, { code: 4500, reason: 'session resumed elsewhere' })
  const restored = await second.next()
  assert.deepEqual([restored.type, restored.user_id, restored.channels], ['session_restored', 'ada', ['metrics']])
  const again = await second.token()
  await second.leave()
  for (let number = 1; number <= 3; number++) await publisher.broadcast('metrics', { number })
  using third = await one.resume(again)
  const missed = await third.next()
  assert.deepEqual([missed.type, missed.missed, missed.dropped], ['session_restored', 3, 0])
  for (let number = 1; number <= 3; number++) assert.equal((await third.nextEvent()).data.number, number)
  // Both tokens are used, whichever host is asked.
  for (const used of [token, again]) {
    using fresh = await other.resume(used)
    assert.deepEqual((await fresh.ask({ type: 'get_subscriptions' })).channels, [])
  }
})

test('hub hosts: events about one host say which', async () => {
  const [one, other] = cluster.pair
  using watcher = await other.admin()
  await watcher.subscribe('connections')
  const client = await one.enter()
  const seen = new Set<string>()
  while (!seen.has(client.id)) {
    const { data } = await watcher.nextEvent()
    assert.match(String(data.host), /^.+:\d+$/)
    seen.add(String(data.client_id))
  }
  await client.leave()
})

test('hub hosts: a host dies, and each of its clients ends with every event once', async (context) => {
  const [one, other] = cluster.pair
  let isDead = false
  using crowd = await HubCrowd.gather({
    count: COUNT,
    url: (query) => (isDead ? other : one).server.url('hub.ws', `/ws${query}`),
  })
  using publisher = await other.admin()
  const press = new HubPress(publisher)
  const storm = await crowd.storm(() => {
    isDead = true
    one.server.signal('SIGKILL')
  })
  await crowd.caughtUp(await press.stop())
  context.diagnostic(`${COUNT} clients of a dead host back after ${storm.backMs.toFixed(0)} ms`)
  assert.deepEqual([storm.fresh, storm.gaps, storm.wrong], [0, 0, 0])
})

test('hub hosts: a host drains, and what its clients are told opens their sessions on another', async () => {
  const [, host] = cluster.pair
  const client = await host.enter({ claims: { sub: 'ada' } })
  await client.subscribe('metrics')
  const [told] = await Promise.all([client.next(), host.server.stop()])
  assert.equal(told.type, 'disconnected')
  assert.deepEqual(await client.closed, { code: 1001, reason: 'server shutting down' })
  await using other = await cluster.startHost()
  using back = await other.resume(String(told.reconnection_token))
  const restored = await back.next()
  assert.deepEqual([restored.type, restored.user_id, restored.channels], ['session_restored', 'ada', ['metrics']])
})
