import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OPCODE } from '../../../src/net/websocket/frame.ts'
import { encodeClientFrame } from '../../net/websocket/client-frame.ts'
import { type Client, ProxyWorld } from './proxy-world.ts'

/** How much later than its time a timer of 15 to 30 seconds may come: the wheel's grain. */
const LATE_MS = 250

async function openWorld(): Promise<ProxyWorld> {
  const world = new ProxyWorld()
  await world.setToken()
  return world
}

async function pong(world: ProxyWorld, client: Client): Promise<void> {
  const before = world.net.bytesIn
  world.say(client, '', OPCODE.pong)
  await world.until('it has come', () => world.net.bytesIn > before)
}

async function timeouts(world: ProxyWorld): Promise<number> {
  return world.count('errors_total', { type: 'heartbeat' })
}

test('heartbeat: an empty ping every 15 s keeps whoever answers', async () => {
  await using world = await openWorld()
  const client = await world.open()
  await world.pass(14_999)
  assert.equal(client.frames.pings, 0)
  for (let round = 1; round <= 8; round++) {
    await world.pass(round === 1 ? 1 + LATE_MS : 15_000 + LATE_MS)
    await world.until('it is pinged', () => client.frames.pings === round)
    await pong(world, client)
  }
  assert.ok(client.frames.all.every(({ opcode, payload }) => opcode === OPCODE.ping && payload.length === 0))
  assert.equal(world.connection(client).open, true)
})

test('heartbeat: 30 s behind the last that came, and not before, a client is dropped with 1001', async () => {
  await using world = await openWorld()
  const client = await world.open()
  await world.pass(10_000)
  await pong(world, client)
  // What is sent to it says nothing about it.
  await world.pass(29_900)
  await world.down('{}')
  await world.settle()
  assert.equal(client.frames.close, undefined)
  await world.pass(100 + LATE_MS)
  await world.until('it has ended', () => client.frames.ended)
  assert.equal(client.frames.close, '1001 heartbeat timeout')
  // Nobody waits for its answer.
  await world.until('it is gone', () => world.net.size === 0)
  assert.equal(await timeouts(world), 1)
  assert.equal(await world.count('active_connections'), 0)
  assert.equal(await world.count('redis_pubsub_channels_active'), 0)
})

test('heartbeat: a message is as good as a pong', async () => {
  await using world = await openWorld()
  const client = await world.open()
  for (let round = 0; round < 5; round++) {
    await world.pass(20_000)
    const before = world.net.bytesIn
    world.say(client, '{}')
    await world.until('it has come', () => world.net.bytesIn > before)
  }
  assert.equal(world.connection(client).open, true)
  assert.equal(await timeouts(world), 0)
})

test('heartbeat: whatever comes is a sign of life: a ping of the client, a part of a long text', async () => {
  await using world = await openWorld()
  const client = await world.open()
  const text = encodeClientFrame({ opcode: OPCODE.text, payload: JSON.stringify('x'.repeat(100)) })
  for (const bytes of [encodeClientFrame({ opcode: OPCODE.ping }), text.subarray(0, 40), text.subarray(40, 80)]) {
    await world.pass(25_000)
    const before = world.net.bytesIn
    client.socket.write(bytes)
    await world.until('it has come', () => world.net.bytesIn === before + bytes.length)
  }
  assert.equal(client.frames.close, undefined)
  await world.pass(30_000 + LATE_MS)
  await world.until('it has ended', () => client.frames.ended)
  assert.equal(client.frames.close, '1001 heartbeat timeout')
})

test('heartbeat: goes on where it was when the connection moves', async () => {
  await using world = await openWorld()
  const client = await world.open()
  for (const ms of [10_000, 4_000, 10_000]) {
    await world.pass(ms)
    assert.ok((await world.net.move(world.connection(client) as never)) !== undefined)
  }
  assert.equal(client.frames.pings, 1, 'at 15 s, wherever it was')
  await world.pass(5_900)
  assert.equal(client.frames.close, undefined)
  await world.pass(100 + LATE_MS)
  await world.until('it has ended', () => client.frames.ended)
  assert.equal(client.frames.close, '1001 heartbeat timeout')
})
