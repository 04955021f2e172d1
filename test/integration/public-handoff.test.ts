// net.handoff=public: the way without undocumented API. Everything is served, only placed by address.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { LineClient, openSocket } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { handshakeStatus, WebSocketClient } from '../harness/web-socket-client.ts'

const SHARDS = 3

let server: Server

before(async () => {
  server = await startServer({ shards: SHARDS, settings: { 'net.handoff': 'public' } })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

test('public handoff: it says that it is used, and why', () => {
  const [line] = server.logged('net.handoff_public')
  assert.deepEqual([line?.level, line?.reason], ['warn', 'configured'])
})

test('public handoff: TCP, with half-close and bytes that came before the handover', async () => {
  for (let index = 0; index < 10; index++) {
    const socket = await openSocket({ port: server.port('echo.tcp') })
    socket.write('early\n')
    const client = new LineClient(socket)
    assert.match((await client.next()) ?? '', /^\[Conn \d+\] early$/)
    client.socket.write('no newline')
    client.end()
    assert.match((await client.next()) ?? '', /^\[Conn \d+\] no newline$/)
    assert.equal(await within('the end', client.ended), true)
    client.socket.destroy()
  }
})

test('public handoff: WebSocket, its refusals and its close', async () => {
  for (let index = 0; index < 10; index++) {
    using client = await WebSocketClient.open(server.url('echo.ws', `/?session=${index}`))
    assert.equal(await client.ask('hello'), 'hello')
    client.close(1000)
    assert.equal((await within('the close', client.closed)).code, 1000)
  }
  assert.equal(await handshakeStatus(server.url('echo.ws'), { protocolVersion: 8 }), 426)
})

test('public handoff: UDP', async () => {
  const socket = createSocket('udp4')
  try {
    socket.connect(server.port('echo.udp'), '127.0.0.1')
    await once(socket, 'connect')
    const answer = once(socket, 'message')
    socket.send('hello')
    const [received] = (await within('a datagram', answer)) as [Buffer]
    assert.equal(received.toString(), 'hello')
  } finally {
    socket.close()
  }
})

test('public handoff: all shards serve, and a killed one comes back', async () => {
  const clients = await Promise.all(
    Array.from({ length: 60 }, () => LineClient.open({ port: server.port('echo.tcp') })),
  )
  for (const client of clients) assert.match((await client.ask('one')) ?? '', /one$/)
  const metrics = await server.metrics()
  for (let shard = 0; shard < SHARDS; shard++) {
    const shown = metrics.sum('polyloop_shard_connections', { shard: String(shard) })
    assert.ok(shown > 0, `shard ${shard} serves ${shown}`)
  }
  await server.kill(1)
  await server.recovered(1, 1)
  const kept = clients.filter((client) => !client.isOver)
  assert.ok(kept.length > 0 && kept.length < clients.length)
  for (const client of kept) assert.match((await client.ask('two')) ?? '', /two$/)
  for (const client of clients) client.socket.destroy()
  await waitUntil('all are gone', async () => (await server.metrics()).sum('polyloop_shard_connections') === 0)
})

test('public handoff: with proxyProtocol it refuses to start, because it cannot read the header', async () => {
  await using refused = await startServer({
    unready: true,
    settings: { 'net.handoff': 'public', 'services.echo.tcp.proxyProtocol': true },
  })
  assert.deepEqual(await within('the end', refused.ended, 20_000), { status: 1, signal: null })
  assert.match(refused.stray.join('\n'), /HANDOFF_UNSUPPORTED/)
})

test('public handoff: shutdown', async () => {
  using client = await WebSocketClient.open(server.url('echo.ws'))
  server.signal('SIGTERM')
  assert.deepEqual(await within('the close', client.closed), { code: 1001, reason: 'server shutting down' })
  assert.deepEqual(await within('the exit', server.ended), { status: 0, signal: null })
})
