// What is on the wire around a handshake of the session proxy: bytes that come early, clients that leave before the answer,
// compressed connections beside plain ones, messages in pieces.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { nextText, RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const MASK = Buffer.from([1, 2, 3, 4])
const LEAVERS = 50

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start({ settings: { 'services.session-proxy.permessageDeflate': true } })
})

after(async () => {
  proxy.redis.thaw()
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

function headOf(session: string): string {
  return [
    `GET /agent1/ws/${session} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Authorization: Bearer ${TOKEN}`,
    '\r\n',
  ].join('\r\n')
}

/** A text frame of a client; below 126 bytes. */
function frameOf(text: string): Buffer {
  const payload = Buffer.from(text)
  for (const [index, byte] of payload.entries()) payload[index] = byte ^ (MASK[index % MASK.length] ?? 0)
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), MASK, payload])
}

async function socketTo(): Promise<Socket> {
  const socket = connect(proxy.server.port('session-proxy.ws'), '127.0.0.1')
  socket.on('error', () => {}) // 'close' follows
  await within('a connection', once(socket, 'connect'))
  return socket
}

test('session-proxy: frames that come right behind the head are not lost, and keep their order', async () => {
  await proxy.backend.setToken('early', TOKEN)
  using uplink = await proxy.backend.listen('early')
  const socket = await socketTo()
  try {
    const frames = ['1', '"two"', '[3]'].map(frameOf)
    socket.write(
      Buffer.concat([Buffer.from(headOf('early')), ...frames.slice(0, 2), frames[2]?.subarray(0, 3) ?? MASK]),
    )
    const [answer] = (await within('an answer', once(socket, 'data'))) as [Buffer]
    assert.match(answer.toString('latin1'), /^HTTP\/1\.1 101 /)
    assert.match(answer.toString('latin1'), /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i)
    for (const text of ['1', '"two"']) assert.equal(`${await uplink.next()}`, text)
    socket.write(frames[2]?.subarray(3) ?? MASK)
    assert.equal(`${await uplink.next()}`, '[3]')
  } finally {
    socket.destroy()
  }
})

test('session-proxy: clients that leave before their answer leave nothing behind', async () => {
  await proxy.backend.setToken('leaver', TOKEN)
  proxy.redis.freeze()
  try {
    const sockets = await Promise.all(Array.from({ length: LEAVERS }, socketTo))
    for (const socket of sockets) socket.write(headOf('leaver'))
    // So they have been read.
    await waitUntil('they are counted', async () => {
      const { services } = await proxy.server.health()
      return services['session-proxy']?.connections === LEAVERS
    })
    for (const [index, socket] of sockets.entries()) {
      if (index % 2 === 0) socket.resetAndDestroy()
      else socket.destroy()
    }
  } finally {
    proxy.redis.thaw()
  }
  const isGone = async (): Promise<boolean> => {
    const { services } = await proxy.server.health()
    return services['session-proxy']?.connections === 0 && (await proxy.backend.channels()).length === 0
  }
  await waitUntil('all is gone', isGone)
  assert.equal(await proxy.activeConnections(), 0)
  using client = await proxy.open('leaver')
  await proxy.backend.publish('leaver', '1')
  assert.equal(await nextText(client), '1')
})

test('session-proxy: compressed and plain connections of a session hear the same', async () => {
  await proxy.backend.setToken('mixed', TOKEN)
  const headers = { Authorization: `Bearer ${TOKEN}` }
  using plain = await WebSocketClient.open(proxy.url('mixed'), { headers })
  using packed = await WebSocketClient.open(proxy.url('mixed'), { headers, perMessageDeflate: { threshold: 0 } })
  assert.deepEqual([plain.raw.extensions, packed.raw.extensions.split(';')[0]], ['', 'permessage-deflate'])
  using uplink = await proxy.backend.listen('mixed')
  for (const text of ['', '1', JSON.stringify('ж'.repeat(100_000)), 'not json']) {
    await proxy.backend.publish('mixed', text)
    assert.deepEqual([await nextText(plain), await nextText(packed)], [text, text])
  }
  for (const client of [plain, packed]) {
    const text = JSON.stringify({ from: client.raw.extensions, data: 'x'.repeat(100_000) })
    client.send(text)
    assert.equal(`${await uplink.next()}`, text)
    assert.equal(await client.ask('{'), '{"error":"Invalid JSON format"}')
  }
})

test('session-proxy: a compressed text that would be over 1 MiB is answered and closes with 1009', async () => {
  await proxy.backend.setToken('bomb', TOKEN)
  const options = { headers: { Authorization: `Bearer ${TOKEN}` }, perMessageDeflate: { threshold: 0 } }
  using client = await WebSocketClient.open(proxy.url('bomb'), options)
  client.send(`"${'x'.repeat(8 * 1024 * 1024)}"`)
  assert.equal(await nextText(client), '{"error":"Message too large","max_size":1048576}')
  assert.deepEqual(await within('a close', client.closed), { code: 1009, reason: 'message too large' })
})

test('session-proxy: a message in pieces, with pings in between, goes up as one', async () => {
  using client = await proxy.enter('pieces')
  using uplink = await proxy.backend.listen('pieces')
  const text = JSON.stringify('ж😀'.repeat(50))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at++) {
    client.raw.send(bytes.subarray(at, at + 1), { fin: at === bytes.length - 1, binary: false })
    if (at % 50 === 0) client.raw.ping(`${at}`)
  }
  assert.equal(`${await uplink.next()}`, text)
  assert.equal(client.pongs.length, Math.ceil(bytes.length / 50))
})
