// Binary messages both ways, and compressed events. [PROTOCOLS 4.9]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { type BinaryType, packBinary, parseBinary } from '../../src/services/hub/binary-message.ts'
import type { HubClient } from '../harness/hub-client.ts'
import { HubServer } from '../harness/hub-server.ts'

const MEBIBYTE = 1024 * 1024

let hub: HubServer
let admin: HubClient
before(async () => {
  hub = await HubServer.start({ hub: { rateLimits: 'binary=1000/1000,broadcast=1000/1000' } })
  admin = await hub.admin()
})
after(() => hub[Symbol.asyncDispose]())

function frameOf(type: BinaryType, metadata: object, payload: Uint8Array): Buffer {
  return packBinary(type, JSON.stringify(metadata), payload)
}

test('hub binary: the example of the protocol', () => {
  const wanted = Buffer.from('01040002000000017B7DFF', 'hex')
  assert.deepEqual(packBinary('BINARY_DATA', '{}', Buffer.from([0xff])), wanted)
})

test('hub binary: a frame goes unchanged to those who opted in, as an event to others (H13, H14)', async () => {
  using binary = await hub.enter({ query: { binary: '1' } })
  using plain = await hub.enter()
  for (const client of [binary, plain]) await client.subscribe('metrics')
  for (const type of ['IMAGE', 'AUDIO', 'VIDEO', 'BINARY_DATA'] as const) {
    const metadata = { channel: 'metrics', format: 'x', width: null, extra: { a: [1] } }
    const frame = Buffer.concat([frameOf(type, metadata, Buffer.from([1, 2, 3])), Buffer.from('trailing')])
    const ack = await admin.ask(frame)
    assert.deepEqual([ack.type, ack.channel, ack.subscribers], ['broadcast_ack', 'metrics', 2])
    assert.deepEqual(await binary.nextBinary(), frame)
    const event = await plain.nextEvent()
    assert.equal(event.event_type, `binary.${type.toLowerCase()}`)
    assert.deepEqual(event.data, { type, metadata, payload_length: 3 })
  }
})

test('hub binary: frames and events of one channel keep their order', async () => {
  using binary = await hub.enter({ query: { binary: '1' } })
  await binary.subscribe('metrics')
  for (let number = 0; number < 10; number++) {
    admin.send({ type: 'broadcast', channel: 'metrics', data: { number } })
    admin.send(frameOf('BINARY_DATA', { channel: 'metrics', number }, Buffer.alloc(0)))
  }
  for (let number = 0; number < 10; number++) {
    assert.equal((await binary.nextEvent()).data.number, number)
    const parsed = parseBinary(await binary.nextBinary())
    assert.equal('metadata' in parsed && parsed.metadata.number, number)
  }
  for (let count = 0; count < 20; count++) assert.equal((await admin.next()).type, 'broadcast_ack')
})

test('hub binary: each error, and the connection stays open', async () => {
  const head = (version: number, type: number, metadata: number, payload: number): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt8(version, 0)
    bytes.writeUInt8(type, 1)
    bytes.writeUInt16BE(metadata, 2)
    bytes.writeUInt32BE(payload, 4)
    return bytes
  }
  const metadata = Buffer.from('{"channel":"metrics"}')
  const gzip = gzipSync('{"a":1}')
  for (const [frame, reason] of [
    [Buffer.alloc(0), 'Binary message too short'],
    [Buffer.alloc(7), 'Binary message too short'],
    [head(2, 4, 0, 0), 'Unsupported binary message version: 2'],
    [head(1, 0, 0, 0), 'Invalid binary message type: 0'],
    [head(1, 6, 0, 0), 'Invalid binary message type: 6'],
    [head(1, 4, 1, 0), 'Binary message truncated (metadata)'],
    [Buffer.concat([head(1, 4, metadata.length, 1), metadata]), 'Binary message truncated (payload)'],
    [Buffer.concat([head(1, 4, 2, 0), Buffer.from('[]')]), 'Invalid metadata JSON: not an object'],
    [Buffer.concat([head(1, 4, 1, 0), Buffer.from([0xff])]), 'Invalid metadata JSON: not UTF-8'],
    [frameOf('IMAGE', {}, Buffer.alloc(1)), 'metadata.channel is missing'],
    [frameOf('IMAGE', { channel: null }, Buffer.alloc(1)), 'metadata.channel is missing'],
    [frameOf('COMPRESSED_JSON', { channel: 'metrics' }, Buffer.from('x')), 'payload is not gzip'],
    [frameOf('COMPRESSED_JSON', { channel: 'metrics' }, gzipSync('{')), 'payload is not compressed JSON'],
    [
      frameOf('COMPRESSED_JSON', { channel: 'metrics' }, gzipSync(Buffer.alloc(16 * MEBIBYTE + 1, ' '))),
      'compressed JSON is larger than 16 MiB',
    ],
  ] as const) {
    assert.deepEqual(await admin.ask(frame), { type: 'error', message: `Invalid binary message: ${reason}` })
  }
  const empty = await admin.ask(head(1, 4, 0, 0))
  assert.match(String(empty.message), /^Invalid binary message: Invalid metadata JSON: /)
  const full = gzipSync(Buffer.concat([Buffer.alloc(16 * MEBIBYTE - 2, ' '), Buffer.from('{}')]))
  for (const payload of [gzip, full]) {
    const ack = await admin.ask(frameOf('COMPRESSED_JSON', { channel: 'metrics' }, payload))
    assert.equal(ack.type, 'broadcast_ack')
  }
  assert.equal((await admin.ask(frameOf('IMAGE', { channel: 'weather' }, gzip))).message, 'Unknown channel: weather')
  using viewer = await hub.enter({ claims: { sub: 'viewer' } })
  const refused = await viewer.ask(frameOf('IMAGE', { channel: 'metrics' }, gzip))
  assert.equal(refused.message, 'Permission denied: broadcast to metrics')
})

test('hub binary: 16 MiB pass, in pieces between the threads; one byte more is too large', async () => {
  using binary = await hub.enter({ query: { binary: '1' } })
  await binary.subscribe('metrics')
  const metadata = { channel: 'metrics' }
  const room = 16 * MEBIBYTE - 8 - JSON.stringify(metadata).length
  const payload = Buffer.alloc(room, 0x5a)
  payload.writeUInt32BE(0xdeadbeef, 12_345_678)
  const frame = frameOf('VIDEO', metadata, payload)
  assert.equal(frame.length, 16 * MEBIBYTE)
  using sender = await hub.admin()
  sender.send(frame)
  const got = await binary.nextBinary()
  assert.ok(got.equals(frame))
  assert.equal((await sender.next()).type, 'broadcast_ack')
  sender.send(Buffer.concat([frame, Buffer.alloc(1)]))
  assert.deepEqual(await sender.next(), { type: 'error', message: 'Message too large' })
  assert.equal((await sender.closed).code, 1009)
})

test('hub binary: an event of 12 KB comes compressed to those who want that, as text to others (H13)', async () => {
  using gzip = await hub.enter({ query: { compression: 'gzip' } })
  using binary = await hub.enter({ query: { binary: '1' } })
  for (const client of [gzip, binary]) await client.subscribe('metrics')
  const data = { text: 'abcdefghij'.repeat(1_200) }
  await admin.broadcast('metrics', data)
  const event = await binary.nextEvent()
  assert.deepEqual(event.data, data)
  const parsed = parseBinary(await gzip.nextBinary())
  assert.ok('payload' in parsed)
  assert.equal(parsed.type, 'COMPRESSED_JSON')
  const json = gunzipSync(parsed.payload)
  assert.deepEqual(JSON.parse(json.toString()), event)
  const wanted = { compression: 'gzip', original_size: json.length, compressed_size: parsed.payload.length }
  assert.deepEqual(parsed.metadata, wanted)
  // Shorter ones stay text; so do replies.
  await admin.broadcast('metrics', { text: '' })
  const overhead = JSON.stringify(await gzip.nextEvent()).length
  await admin.broadcast('metrics', { text: 'x'.repeat(1_023 - overhead) })
  assert.equal(JSON.stringify(await gzip.nextEvent()).length, 1_023)
  await admin.broadcast('metrics', { text: 'x'.repeat(1_024 - overhead) })
  assert.ok((await gzip.nextBinary()).length < 1_024)
  assert.equal((await gzip.ask({ type: 'ping', id: 'x'.repeat(64) })).type, 'pong')
})

test('hub binary: metadata nested as deep as fits keep nobody from the events behind', async () => {
  using plain = await hub.enter()
  await plain.subscribe('metrics')
  const deep = `${'['.repeat(32_000)}${']'.repeat(32_000)}`
  const frame = packBinary('IMAGE', `{"channel":"metrics","x":${deep}}`, Buffer.alloc(1))
  assert.equal((await admin.ask(frame)).type, 'broadcast_ack')
  await admin.broadcast('metrics', { a: 1 })
  assert.equal((await plain.nextEvent()).event_type, 'binary.image')
  assert.deepEqual((await plain.nextEvent()).data, { a: 1 })
})

test('hub binary: options that change count from the next event on', async () => {
  using client = await hub.enter()
  await client.subscribe('metrics')
  const data = { text: 'abcdefghij'.repeat(1_200) }
  const frame = frameOf('IMAGE', { channel: 'metrics' }, Buffer.from([7]))
  await client.ask({ type: 'set_options', compression: 'gzip' })
  await admin.broadcast('metrics', data)
  const parsed = parseBinary(await client.nextBinary())
  assert.equal('type' in parsed && parsed.type, 'COMPRESSED_JSON')
  await client.ask({ type: 'set_options', compression: 'none' })
  await admin.broadcast('metrics', data)
  assert.deepEqual((await client.nextEvent()).data, data)
  assert.equal((await admin.ask(frame)).type, 'broadcast_ack')
  assert.ok((await client.nextBinary()).equals(frame))
  await client.ask({ type: 'set_options', binary: false })
  assert.equal((await admin.ask(frame)).type, 'broadcast_ack')
  assert.equal((await client.nextEvent()).event_type, 'binary.image')
})

test('hub binary: missed frames come back unchanged, each as one event', async () => {
  const client = await hub.enter({ query: { binary: '1' } })
  await client.subscribe('metrics')
  const token = await client.token()
  await client.leave()
  const frame = frameOf('IMAGE', { channel: 'metrics' }, Buffer.alloc(600_000, 7))
  assert.equal((await admin.ask(frame)).type, 'broadcast_ack')
  await admin.broadcast('metrics', { a: 1 })
  using back = await hub.resume(token)
  assert.equal((await back.next()).missed, 2)
  assert.ok((await back.nextBinary()).equals(frame))
  assert.ok((await back.nextEvent()).buffered_at)
})

test('hub binary: permessage-deflate, for those who negotiate it: the same events, live and missed', async () => {
  await using own = await HubServer.start({ hub: { permessageDeflate: true }, shards: 1 })
  using sender = await own.admin()
  const options = { perMessageDeflate: true }
  const client = await own.enter({ options })
  assert.match(client.socket.raw.extensions, /permessage-deflate/)
  using plain = await own.enter()
  for (const one of [client, plain]) await one.subscribe('metrics')
  const data = { text: 'abcdefghij'.repeat(500) }
  await sender.broadcast('metrics', data)
  assert.deepEqual(await client.nextEvent(), await plain.nextEvent())
  const token = await client.token()
  await client.leave()
  await sender.broadcast('metrics', data)
  using back = await own.resume(token, { options })
  assert.equal((await back.next()).missed, 1)
  const missed = await back.nextEvent()
  assert.deepEqual(missed.data, data)
  assert.ok(missed.buffered_at)
})
