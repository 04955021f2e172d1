// Echo over WebSocket (E9) and the rules of every WebSocket listener, against the running product: `ws` is the client.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { openSocket, readAll } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { handshakeStatus, WebSocketClient } from '../harness/web-socket-client.ts'

const MESSAGE_BYTES_MAX = 1024 * 1024
const HEAD_BYTES_MAX = 16 * 1024
const KEY = Buffer.alloc(16, 7).toString('base64')
/** Far below Node's keep-alive time: an answer that refuses is the last one. */
const ANSWER_MS = 2_000
const UPGRADE = ['Host: x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13'] as const

let server: Server

before(async () => {
  server = await startServer()
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

/** The whole answer to a raw request head, behind which the server ends the connection. */
async function answerTo(requestLine: string, headers: readonly string[], body = ''): Promise<string> {
  const socket = await openSocket({ port: server.port('echo.ws') })
  socket.write(`${[requestLine, ...headers].join('\r\n')}\r\n\r\n${body}`)
  const answer = (await within('answer and end', readAll(socket), ANSWER_MS)).toString()
  socket.destroy()
  return answer
}

test('websocket: text returns as text, binary as binary, message for message', async () => {
  using client = await WebSocketClient.open(server.url('echo.ws', '/any/path'))
  const payloads: (string | Buffer)[] = ['', 'text', 'žluť 🐎', Buffer.alloc(0), Buffer.from([0, 255, 128])]
  for (const size of [125, 126, 65_535, 65_536, 300_000]) payloads.push(randomBytes(size), 'x'.repeat(size))
  for (const payload of payloads) client.send(payload)
  for (const payload of payloads) {
    const message = await client.next()
    assert.equal(message?.isBinary, typeof payload !== 'string')
    assert.ok(message?.data.equals(Buffer.from(payload)), `${payload.length} bytes`)
  }
})

test('websocket: a message of 1 MiB returns, one byte more gets 1009 "message too large", whole or in fragments', async () => {
  const largest = randomBytes(MESSAGE_BYTES_MAX)
  using client = await WebSocketClient.open(server.url('echo.ws'))
  client.send(largest)
  assert.ok((await client.next())?.data.equals(largest))
  client.send(Buffer.alloc(MESSAGE_BYTES_MAX + 1))
  assert.deepEqual(await within('the close', client.closed), { code: 1009, reason: 'message too large' })
  using fragmented = await WebSocketClient.open(server.url('echo.ws'))
  fragmented.raw.send(Buffer.alloc(MESSAGE_BYTES_MAX), { fin: false })
  fragmented.raw.send(Buffer.alloc(1), { fin: true })
  assert.equal((await within('the close', fragmented.closed)).code, 1009)
})

test('websocket: fragments are put together, with pings answered in between', async () => {
  using client = await WebSocketClient.open(server.url('echo.ws'))
  client.raw.send('one ', { fin: false })
  client.raw.ping('in between')
  client.raw.send('two ', { fin: false })
  client.raw.send('three', { fin: true })
  assert.equal((await client.next())?.data.toString(), 'one two three')
  await waitUntil('the pong', () => client.pongs.includes('in between'))
})

test('websocket: a close frame is answered with its code; without a code with none', async () => {
  const closes: readonly [number | undefined, number][] = [
    [1000, 1000],
    [1001, 1001],
    [4321, 4321],
    [undefined, 1005],
  ]
  for (const [sent, received] of closes) {
    using client = await WebSocketClient.open(server.url('echo.ws'))
    client.close(sent, sent === undefined ? undefined : 'bye')
    assert.equal((await within('the close', client.closed)).code, received)
  }
})

test('websocket: messages before the close frame come back before it', async () => {
  using client = await WebSocketClient.open(server.url('echo.ws'))
  for (let index = 0; index < 100; index++) client.send(`${index}`)
  client.close(1000)
  for (let index = 0; index < 100; index++) assert.equal((await client.next())?.data.toString(), `${index}`)
  assert.equal((await client.closed).code, 1000)
})

test('websocket: ill-formed text gets 1007, an unmasked or reserved frame 1002', async () => {
  using client = await WebSocketClient.open(server.url('echo.ws'))
  client.raw.send(Buffer.from([0xff]), { binary: false })
  assert.equal((await within('the close', client.closed)).code, 1007)
  for (const frame of [Buffer.from([0x81, 0x01, 0x61]), Buffer.from([0xf1, 0x80, 0, 0, 0, 0])]) {
    const socket = await openSocket({ port: server.port('echo.ws') })
    socket.write(`GET / HTTP/1.1\r\n${UPGRADE.join('\r\n')}\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`)
    socket.write(frame)
    const answer = await readAll(socket)
    assert.match(answer.toString('latin1'), /^HTTP\/1\.1 101 /)
    assert.deepEqual([...answer.subarray(-4)], [0x88, 0x02, 0x03, 0xea])
    socket.destroy()
  }
})

test('websocket: a handshake without a proper key gets 400, of another version 426 with the right one', async () => {
  const get = 'GET / HTTP/1.1'
  assert.match(await answerTo(get, UPGRADE), /^HTTP\/1\.1 400 /)
  assert.match(await answerTo(get, [...UPGRADE, 'Sec-WebSocket-Key: short']), /^HTTP\/1\.1 400 /)
  const other = UPGRADE.map((header) => header.replace(' 13', ' 8'))
  assert.match(
    await answerTo(get, [...other, `Sec-WebSocket-Key: ${KEY}`]),
    /^HTTP\/1\.1 426 [\s\S]*Sec-WebSocket-Version: 13\r\n/,
  )
})

test('websocket: a plain GET gets 426 with Upgrade, another method 405 with Allow, nonsense 400', async () => {
  assert.match(await answerTo('GET /chat HTTP/1.1', ['Host: x']), /^HTTP\/1\.1 426 [\s\S]*Upgrade: websocket\r\n/i)
  assert.match(await answerTo('GET / HTTP/1.0', []), /^HTTP\/1\.1 426 /)
  assert.match(
    await answerTo('POST / HTTP/1.1', ['Host: x', 'Content-Length: 2'], '{}'),
    /^HTTP\/1\.1 405 [\s\S]*Allow: GET\r\n/i,
  )
  assert.match(
    await answerTo('PUT / HTTP/1.1', [...UPGRADE, `Sec-WebSocket-Key: ${KEY}`]),
    /^HTTP\/1\.1 405 [\s\S]*Allow: GET\r\n/i,
  )
  const head = await answerTo('HEAD / HTTP/1.1', ['Host: x'])
  assert.match(head, /^HTTP\/1\.1 (405|426) /)
  assert.ok(head.endsWith('\r\n\r\n'), 'an answer to HEAD has no body')
  assert.match(await answerTo('not http at all', []), /^HTTP\/1\.1 400 /)
})

test('websocket: a head of more than 16 KiB gets 431, one below is served', async () => {
  const padding = 'x'.repeat(1000)
  const headers = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`X-Padding-${index}`, padding]))
  assert.equal(await handshakeStatus(server.url('echo.ws'), { headers: headers(15) }), 101)
  assert.equal(await handshakeStatus(server.url('echo.ws'), { headers: headers(17) }), 431)
  const target = `/?session=${'k'.repeat(HEAD_BYTES_MAX)}`
  assert.equal(await handshakeStatus(server.url('echo.ws', target)), 431)
})

test('websocket: no extension and no subprotocol by default', async () => {
  using client = await WebSocketClient.open(server.url('echo.ws'), { perMessageDeflate: true })
  assert.equal(client.raw.extensions, '')
  assert.equal(await client.ask('plain'), 'plain')
})

test('websocket: permessageDeflate offers compression without context takeover, and messages stay what they are', async () => {
  await using compressing = await startServer({ shards: 1, settings: { 'services.echo.permessageDeflate': true } })
  const url = compressing.url('echo.ws')
  using client = await WebSocketClient.open(url, { perMessageDeflate: { threshold: 0 } })
  assert.match(client.raw.extensions, /^permessage-deflate/)
  const text = 'again and '.repeat(10_000)
  for (const payload of [text, Buffer.from(text), '', 'a', randomBytes(100_000)]) {
    client.send(payload)
    const message = await client.next()
    assert.ok(message?.data.equals(Buffer.from(payload)), `${payload.length} bytes`)
    assert.equal(message?.isBinary, typeof payload !== 'string')
  }
  using plain = await WebSocketClient.open(url)
  assert.equal(plain.raw.extensions, '')
  assert.equal(await plain.ask('plain'), 'plain')
  // A bomb: 1 MiB + 1 of zeros is a kilobyte on the wire, and too large all the same.
  client.send(Buffer.alloc(MESSAGE_BYTES_MAX + 1))
  assert.equal((await within('the close', client.closed)).code, 1009)
})
