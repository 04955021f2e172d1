import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OPCODE } from '../../../src/net/websocket/frame.ts'
import { isJson, UPSTREAM_MESSAGES_MAX } from '../../../src/services/session-proxy/member.ts'
import { moved } from '../../net/move-fixture.ts'
import { encodeClientFrame } from '../../net/websocket/client-frame.ts'
import { inflateFrame } from '../../net/websocket/server-frame.ts'
import { ProxyWorld, SESSION } from './proxy-world.ts'

const GAP = '{"type":"control","command":"gap"}'
const INVALID = '{"error":"Invalid JSON format"}'
const UNAVAILABLE = '{"error":"Upstream unavailable"}'

async function openWorld(...given: ConstructorParameters<typeof ProxyWorld>): Promise<ProxyWorld> {
  const world = new ProxyWorld(...given)
  await world.setToken()
  return world
}

test('member: any JSON value goes up, byte by byte and in order; anything else is answered', async () => {
  await using world = await openWorld()
  const heard = await world.up()
  const client = await world.open()
  const texts = ['{"type":"ping",\n "counter":1}', '"text"', ' 1e3 ', 'null', '[1,{}]', '"ю\\u0000😀"']
  for (const text of texts) world.say(client, text)
  for (const text of ['', '{', 'undefined', "{'a':1}", '\ufeff{}', '1 2']) world.say(client, text)
  world.say(client, 'true')
  await world.until('all has come', () => heard.length === texts.length + 1)
  assert.deepEqual(heard, [...texts, 'true'])
  await world.until('all is answered', () => client.frames.texts.length === 6)
  assert.deepEqual(client.frames.texts, Array(6).fill(INVALID))
  assert.equal(await world.count('messages_received_total', { source: 'client' }), 13)
  assert.equal(await world.count('messages_sent_total', { dest: 'redis' }), 7)
  assert.equal(await world.count('errors_total', { type: 'invalid_json' }), 6)
})

test('member: JSON is what JSON.parse takes', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.equal(isJson(Buffer.from(text)), true)
      assert.equal(isJson(Buffer.from(`${text},`)), false)
    }),
  )
})

test('member: binary is refused with 1003', async () => {
  await using world = await openWorld()
  const client = await world.open()
  world.say(client, Buffer.from('{}'), OPCODE.binary)
  await world.until('it is closed', () => client.frames.close !== undefined)
  assert.equal(client.frames.close, '1003 binary frames are not supported')
  client.socket.end(encodeClientFrame({ opcode: OPCODE.close }))
  await world.until('it is gone', () => world.net.size === 0)
  assert.equal(await world.count('errors_total', { type: 'binary' }), 1)
  assert.equal(await world.count('active_connections'), 0)
})

test('member: what cannot be published is answered, and the connection stays', async () => {
  await using world = await openWorld()
  const heard = await world.up()
  const client = await world.open()
  world.engine.failing.set('publish', 'BRIDGE_DOWN')
  world.say(client, '1')
  await world.until('it is answered', () => client.frames.texts.length === 1)
  world.engine.failing.clear()
  world.say(client, '2')
  await world.until('the next one goes up', () => heard.length === 1)
  assert.deepEqual(heard, ['2'])
  assert.deepEqual(client.frames.texts, [UNAVAILABLE])
  assert.equal(await world.count('errors_total', { type: 'publish' }), 1)
})

test('member: a client is not read from while too much of it waits for the bridge', async () => {
  await using world = await openWorld()
  const heard = await world.up()
  const client = await world.open()
  world.engine.held.add('publish')
  const sent = 3 * UPSTREAM_MESSAGES_MAX
  for (let number = 0; number < sent; number++) world.say(client, String(number))
  const published = (): number => world.engine.ran.filter(({ operation }) => operation === 'publish').length
  await world.until('it is full', () => published() === UPSTREAM_MESSAGES_MAX)
  await world.settle()
  assert.equal(published(), UPSTREAM_MESSAGES_MAX)
  assert.equal(world.connection(client).paused, true)
  // While it is not read from, nothing can be heard of it.
  await world.pass(31_000)
  assert.equal(client.frames.close, undefined)
  world.engine.release()
  await world.until('all has come', () => heard.length === sent)
  assert.deepEqual(
    heard,
    Array.from({ length: sent }, (_, number) => String(number)),
  )
  assert.equal(world.connection(client).paused, false)
})

test('member: each connection of a session gets what comes down, verbatim; one that ends leaves the others', async () => {
  await using world = await openWorld()
  const clients = [await world.open(), await world.open(), await world.open()]
  const texts = ['not JSON at all', '', '{"ю":"😀"}', 'x'.repeat(70_000)]
  assert.equal(await world.down(texts[0] ?? ''), 1, 'the host has one subscription')
  for (const text of texts.slice(1)) await world.down(text)
  for (const { frames } of clients) {
    await world.until('all has come', () => frames.texts.length === texts.length)
    assert.deepEqual(frames.texts, texts)
  }
  assert.equal(await world.count('active_connections'), 3)
  assert.equal(await world.count('messages_received_total', { source: 'redis' }), texts.length)
  assert.equal(await world.count('messages_sent_total', { dest: 'client' }), 3 * texts.length)
  assert.equal(await world.count('redis_pubsub_channels_active'), 1)
  const [first, ...others] = clients
  first?.socket.destroy()
  await world.until('it is gone', () => world.net.size === 2)
  await world.down('still')
  for (const { frames } of others) await world.until('it comes', () => frames.texts.at(-1) === 'still')
  for (const { socket } of others) socket.destroy()
  await world.until('all are gone', () => world.net.size === 0)
  await world.settle()
  assert.equal(await world.count('active_connections'), 0)
  assert.equal(await world.count('redis_pubsub_channels_active'), 0)
  assert.equal(await world.down('for nobody'), 0)
})

test('member: what is not UTF-8 cannot be text, and is dropped and counted', async () => {
  await using world = await openWorld()
  const [client, other] = [await world.open(), await world.open()]
  await world.down(Buffer.from([0x22, 0xff, 0x22]))
  await world.down('next')
  for (const { frames } of [client, other]) {
    await world.until('the next one comes', () => frames.texts.length === 1)
    assert.deepEqual(frames.texts, ['next'])
  }
  assert.equal(await world.count('errors_total', { type: 'invalid_utf8' }), 1)
})

test('member: sessions do not hear each other', async () => {
  await using world = await openWorld()
  await world.setToken('other')
  const client = await world.open()
  const other = await world.open({ target: '/agent/ws/other' })
  await world.down('a')
  await world.down('b', 'other')
  await world.down('c')
  await world.until('all has come', () => client.frames.texts.length === 2 && other.frames.texts.length === 1)
  assert.deepEqual(client.frames.texts, ['a', 'c'])
  assert.deepEqual(other.frames.texts, ['b'])
})

test('member: a gap is told to each connection, unless that is off', async () => {
  await using world = await openWorld()
  const clients = [await world.open(), await world.open()]
  world.tellGap(SESSION)
  await world.down('after')
  for (const { frames } of clients) {
    await world.until('all has come', () => frames.texts.length === 2)
    assert.deepEqual(frames.texts, [GAP, 'after'])
  }
  await using quiet = await openWorld({ config: { gapNotice: false } })
  const client = await quiet.open()
  quiet.tellGap(SESSION)
  await quiet.down('after')
  await quiet.until('it comes', () => client.frames.texts.length === 1)
  assert.deepEqual(client.frames.texts, ['after'])
})

test('member: a client that does not read is closed, and counted before', async () => {
  const max = 1024 * 1024
  await using world = await openWorld({ limits: { sendBufferMaxBytes: max, sendBufferHighBytes: 256 * 1024 } })
  const [slow, quick] = [await world.open(), await world.open()]
  slow.socket.pause()
  const text = 'x'.repeat(512 * 1024)
  let sent = 0
  while (world.net.at(slow.id)?.open === true) {
    await world.down(text)
    sent++
    await world.until('the quick one has it', () => quick.frames.bytes > sent * text.length)
    assert.ok(sent < 100)
  }
  assert.equal(await world.count('backpressure_events_total', { event: 'warning' }), 1)
  assert.equal(await world.count('backpressure_events_total', { event: 'closed' }), 1)
})

test('member: bytes that wait for clients are in the metrics', async () => {
  await using world = await openWorld()
  const client = await world.open()
  client.socket.pause()
  assert.equal(await world.count('buffer_utilization_bytes'), 0)
  for (let round = 0; round < 16; round++) await world.down('x'.repeat(512 * 1024))
  await world.settle()
  const bytes = await world.count('buffer_utilization_bytes')
  assert.ok(bytes > 0 && bytes < 9 * 1024 * 1024, `${bytes}`)
})

test('member: compressed where that was agreed', async () => {
  await using world = await openWorld({ deflate: true })
  const clients = [await world.open(), await world.open()]
  const text = JSON.stringify({ payload: 'again and '.repeat(1_000) })
  await world.down(text)
  for (const { frames } of clients) {
    await world.until('it comes', () => frames.all.length === 1)
    const [frame] = frames.all
    assert.ok(frame?.isCompressed)
    assert.equal(inflateFrame(frame).toString(), text)
  }
})

test('member: moves with what it had heard: nothing is lost and nothing comes twice', async () => {
  await using world = await openWorld()
  const heard = await world.up()
  const clients = [await world.open(), await world.open()]
  let sent = 0
  const publish = async (): Promise<void> => void (await world.down(String(sent++)))
  for (let round = 0; round < 6; round++) {
    await publish()
    for (const client of clients) {
      // Published on its way, too.
      const leaving = world.net.send(world.connection(client) as never)
      const published = publish()
      const from = world.connection(client).loop
      const posted = await leaving
      await Promise.all([published, publish()])
      assert.ok(posted !== undefined)
      world.net.thaw(posted, from)
      world.say(client, String(round))
      await publish()
    }
  }
  const wanted = Array.from({ length: sent }, (_, number) => String(number))
  for (const { frames } of clients) {
    await world.until('all has come', () => frames.texts.length >= sent)
    assert.deepEqual(frames.texts, wanted)
  }
  await world.until('all has gone up', () => heard.length === 12)
  assert.equal(await world.count('active_connections'), 2)
  assert.equal(await world.count('connections_total', { status: 'accepted' }), 2)
  for (const { socket } of clients) socket.destroy()
  await world.until('all are gone', () => world.net.size === 0)
  await world.pass(2_100)
  assert.equal(await world.down('for nobody'), 0)
})

test('member: does not move while it publishes, so that nothing is overtaken', async () => {
  await using world = await openWorld()
  const client = await world.open()
  world.engine.held.add('publish')
  world.say(client, '1')
  await world.until('it is on its way', () => !world.connection(client).state.settled)
  let isOver = false
  const moving = moved(world.net, world.connection(client) as never).then(() => {
    isOver = true
  })
  await world.settle()
  assert.equal(isOver, false)
  world.engine.release()
  await moving
})

test('member: one that moved and is refused its channel is not deaf for long', async () => {
  await using world = await openWorld()
  const client = await world.open()
  const posted = await world.net.send(world.connection(client) as never)
  assert.ok(posted !== undefined)
  // Longer away than the bridge keeps anything, and then the server is down.
  await world.pass(2_300)
  world.engine.failing.set('subscribe', 'BRIDGE_DOWN')
  world.net.thaw(posted, world.net.loops[0])
  await world.settle()
  await world.pass(900)
  assert.deepEqual(client.frames.texts, [])
  world.engine.failing.clear()
  await world.pass(300)
  await world.down('after')
  await world.until('it hears again', () => client.frames.texts.length === 2)
  assert.deepEqual(client.frames.texts, [GAP, 'after'])
})
