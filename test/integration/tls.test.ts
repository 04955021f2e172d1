// TLS listeners, TCP and WebSocket, with the key pair in test/harness/certificate (made for tests, trusted by nobody).
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { LineClient, openSocket, readAll } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { handshakeStatus, WebSocketClient } from '../harness/web-socket-client.ts'

const FOLDER = join(import.meta.dirname, '../harness/certificate')
const FILES = { cert: join(FOLDER, 'cert.pem'), key: join(FOLDER, 'key.pem') }
const CA = readFileSync(FILES.cert)
const HEAD_MS = 1_000
const BULK_BYTES = 4 * 1024 * 1024

const settings = {
  'services.echo.tcp.tls.cert': FILES.cert,
  'services.echo.tcp.tls.key': FILES.key,
  'services.echo.ws.tls.cert': FILES.cert,
  'services.echo.ws.tls.key': FILES.key,
  'net.headTimeout': `${HEAD_MS}ms`,
}

let server: Server

before(async () => {
  server = await startServer({ settings })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

async function openSecure(port: number, first?: string): Promise<TLSSocket> {
  const plain = await openSocket({ port })
  if (first !== undefined) plain.write(first)
  const socket = connect({ socket: plain, ca: CA, servername: 'localhost' })
  await within('a TLS handshake', once(socket, 'secureConnect'))
  socket.on('error', () => {}) // 'close' follows
  return socket
}

test('tls: echo over TCP, with half-close, for several connections', async () => {
  for (let index = 1; index <= 5; index++) {
    const client = new LineClient(await openSecure(server.port('echo.tcp')))
    assert.match((await client.ask('hello')) ?? '', /^\[Conn \d+\] hello$/)
    client.socket.write('no newline')
    client.end()
    assert.match((await client.next()) ?? '', /^\[Conn \d+\] no newline$/)
    assert.equal(await within('the end', client.ended), true)
    client.socket.destroy()
  }
})

test('tls: versions below 1.2 are refused', async () => {
  const socket = connect({
    port: server.port('echo.tcp'),
    host: '127.0.0.1',
    ca: CA,
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  })
  const [error] = (await within('a refusal', once(socket, 'error'))) as [Error]
  assert.match(error.message, /version|protocol|unsupported|alert/i)
})

test('tls: echo over WebSocket, small and large', async () => {
  const url = server.url('echo.ws', '/?session=secure').replace('ws:', 'wss:').replace('127.0.0.1', 'localhost')
  using client = await WebSocketClient.open(url, { ca: CA })
  assert.equal(await client.ask('hello'), 'hello')
  const large = randomBytes(1024 * 1024)
  client.send(large)
  assert.ok((await client.next())?.data.equals(large))
  client.close(1000)
  assert.equal((await within('the close', client.closed)).code, 1000)
  assert.equal(await handshakeStatus(url, { ca: CA, protocolVersion: 8 }), 426)
})

test('tls: a client that does not speak TLS is closed, logged and counted, as is one that says nothing', async () => {
  const plain = await openSocket({ port: server.port('echo.tcp') })
  plain.write('GET / HTTP/1.1\r\n\r\n')
  const answer = (await readAll(plain)).toString('latin1')
  assert.ok(!answer.includes('GET'), 'nothing is echoed')
  plain.destroy()
  const startMs = performance.now()
  const silent = await openSocket({ port: server.port('echo.ws') })
  await readAll(silent)
  assert.ok(performance.now() - startMs >= HEAD_MS - 1)
  silent.destroy()
  await waitUntil('the log line', () => server.logged('net.tls_failed').length > 0)
  await waitUntil('both are off the books', async () => {
    const metrics = await server.metrics()
    return metrics.sum('polyloop_shard_connections') === 0
  })
})

test('tls: bulk data through a slow reader arrives whole', async () => {
  await using raw = await startServer({ shards: 1, settings: { ...settings, 'services.echo.mode': 'raw' } })
  const socket = await openSecure(raw.port('echo.tcp'))
  const bytes = randomBytes(BULK_BYTES)
  socket.write(bytes)
  socket.end()
  const echoed = await readAll(socket)
  assert.ok(echoed.equals(bytes), `${echoed.length} bytes`)
  socket.destroy()
})

test('tls: behind a PROXY header, which comes first and in the clear', async () => {
  await using proxied = await startServer({
    modules: ['test/integration/relay-service.ts'],
    settings: {
      'services.relay.tcp.proxyProtocol': true,
      'services.relay.tcp.tls.cert': FILES.cert,
      'services.relay.tcp.tls.key': FILES.key,
    },
  })
  const socket = await openSecure(proxied.port('relay.tcp'), 'PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n')
  const client = new LineClient(socket)
  assert.equal(await client.ask('remote'), '192.0.2.7 4711')
  client.socket.destroy()
})

test('tls: shutdown reaches both kinds of connection', async () => {
  await using stopping = await startServer({ settings })
  const line = new LineClient(await openSecure(stopping.port('echo.tcp')))
  await line.ask('hello')
  const url = stopping.url('echo.ws').replace('ws:', 'wss:').replace('127.0.0.1', 'localhost')
  using client = await WebSocketClient.open(url, { ca: CA })
  stopping.signal('SIGTERM')
  assert.deepEqual(await within('the close', client.closed), { code: 1001, reason: 'server shutting down' })
  assert.equal(await within('the end', line.ended), true)
  line.end()
  assert.deepEqual(await within('the exit', stopping.ended), { status: 0, signal: null })
})
