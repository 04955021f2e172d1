// Masters that die or step down while hosts talk: Sentinels and Clusters find another one, and so does the bridge.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keySlotOf } from '../../src/bridge/key-slot.ts'
import { bytes, GAP } from '../bridge/bridge-fixture.ts'
import { bridgeTo, type Subject } from '../bridge/redis-subject.ts'
import { Traffic } from '../bridge/traffic.ts'
import { type ClusterSetup, type RedisServer, startCluster, startSentinel } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'

const CHANNELS = 60
const FAILOVER_MS = 30_000

/** Writes until one is done: that is when a master is found. */
async function canWrite(subject: Subject, key: string): Promise<void> {
  const write = (): Promise<boolean> =>
    subject.bridge.set({ key, value: bytes('x') }).then(
      () => true,
      () => false,
    )
  await waitUntil(`${key} can be written`, write, FAILOVER_MS)
}

test('redis failover: the master of Sentinels is killed under load', async () => {
  await using setup = await startSentinel()
  await using subject = await bridgeTo(setup.url)
  await using traffic = (await new Traffic(subject.bridge, CHANNELS).open()).start()
  await traffic.flows()
  const first = setup.master()
  await first.kill()
  await subject.down()
  await canWrite(subject, 'x')
  await subject.up(FAILOVER_MS)
  assert.notEqual(setup.master(), first)
  await traffic.gapsEverywhere()
  await traffic.flows()
  await traffic.stop()
  await traffic.proveAlive(FAILOVER_MS)
  traffic.assertGapsTold()
  subject.assertIdle()
})

test('redis failover: a master that is demoted behind its connections is noticed', async () => {
  await using setup = await startSentinel()
  await using subject = await bridgeTo(setup.url)
  const master = setup.master()
  const traffic = await new Traffic(subject.bridge, 3).open()
  const other = setup.servers.find((server) => server !== master) as RedisServer
  // Nobody closes a connection, and what is published there from now on reaches nobody else.
  master.command('REPLICAOF', '127.0.0.1', other.port)
  await subject.down()
  assert.match(subject.figures.problem, /READONLY|closed|not connected|ECONNRESET|unreachable/)
  master.command('REPLICAOF', 'NO', 'ONE')
  await canWrite(subject, 'x')
  await subject.up(FAILOVER_MS)
  await traffic.proveAlive(FAILOVER_MS)
  subject.assertIdle()
})

/** The channels of a server. */
function channelsOn(traffic: Traffic, index: number, servers: number): number[] {
  const share = (channel: string): number => Math.floor((keySlotOf(channel) * servers) / 16_384)
  return [...traffic.channels.keys()].filter((at) => share(traffic.channels[at] ?? '') === index)
}

function ownerOf(setup: ClusterSetup, channel: string): RedisServer {
  const owner = setup.servers[Math.floor((keySlotOf(channel) * 3) / 16_384)]
  assert.ok(owner !== undefined)
  return owner
}

test('redis failover: a master of a Cluster is killed under load', async () => {
  await using setup = await startCluster(3, 1)
  await using subject = await bridgeTo(setup.url)
  await using traffic = (await new Traffic(subject.bridge, CHANNELS).open()).start()
  await traffic.flows()
  const [first, , , replica] = setup.servers as readonly [RedisServer, RedisServer, RedisServer, RedisServer]
  await first.kill()
  await subject.down()
  await waitUntil('the replica takes over', () => replica.info('role') === 'master', FAILOVER_MS)
  await subject.up(FAILOVER_MS)
  await traffic.stop()
  await traffic.proveAlive(FAILOVER_MS)
  traffic.assertGapsTold()
  const hit = channelsOn(traffic, 0, 3)
  assert.ok(hit.length > 0 && hit.length < CHANNELS)
  for (const [index, { heard }] of traffic.ears.entries()) {
    assert.equal(heard.includes(GAP), hit.includes(index), `channel ${index}: only those of the dead master have a gap`)
  }
  subject.assertIdle()
})

test('redis failover: slots of a Cluster move to another master, with channels, keys and logs', async () => {
  await using setup = await startCluster(3)
  await using subject = await bridgeTo(setup.url)
  const { bridge } = subject
  await using traffic = (await new Traffic(bridge, CHANNELS).open()).start()
  const [channel = ''] = traffic.channels
  const slot = keySlotOf(channel)
  const from = ownerOf(setup, channel)
  const to = setup.servers.find((server) => server !== from) as RedisServer
  const key = `{${channel}}`
  await bridge.set({ key, value: bytes('kept') })
  await traffic.flows()
  to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.command('CLUSTER', 'MYID'))
  from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.command('CLUSTER', 'MYID'))
  // In between: what is there is served by the one, what is new by the other.
  assert.deepEqual(await bridge.get({ key }), bytes('kept'))
  await bridge.set({ key: `${key}new`, value: bytes('new') })
  assert.deepEqual(await bridge.get({ key: `${key}new` }), bytes('new'))
  from.command('MIGRATE', '127.0.0.1', to.port, key, 0, 1_000)
  assert.deepEqual(await bridge.get({ key }), bytes('kept'))
  for (const server of [to, from, ...setup.servers])
    server.command('CLUSTER', 'SETSLOT', slot, 'NODE', to.command('CLUSTER', 'MYID'))
  await traffic.ears[0]?.hears(GAP)
  await subject.up()
  assert.deepEqual(await bridge.get({ key }), bytes('kept'))
  assert.equal((await bridge.append({ log: `${key}log`, payload: bytes('0'), countMax: 1, ttlSeconds: 9 })).offset, 1)
  await traffic.stop()
  await traffic.proveAlive()
  assert.equal(to.command('PUBSUB', 'SHARDNUMSUB', channel), `${channel}\n1`)
  assert.equal(from.command('PUBSUB', 'SHARDNUMSUB', channel), `${channel}\n0`)
  subject.assertIdle()
})
