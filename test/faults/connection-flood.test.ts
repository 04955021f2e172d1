// More connections than the limits allow: the documented answer, the counter, and no harm to those inside.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineClient, openSocket, readAll } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil } from '../harness/wait.ts'
import { handshakeStatus, WebSocketClient } from '../harness/web-socket-client.ts'

const LIMIT = 10
const SURPLUS = 40
const FAULT = ['test/harness/fault-service.ts']

function refused(server: Server, reason: string): Promise<number> {
  return server.metrics().then((metrics) => metrics.sum('polyloop_net_refused_total', { reason }))
}

async function fill(server: Server, count: number, options: { localAddress?: string } = {}): Promise<LineClient[]> {
  const clients = await Promise.all(
    Array.from({ length: count }, () => LineClient.open({ port: server.port('echo.tcp'), ...options })),
  )
  for (const client of clients) assert.match((await client.ask('in')) ?? 'closed', /^\[Conn \d+\] in$/)
  return clients
}

/** Surplus TCP connections end without a byte. */
async function floodTcp(server: Server, options: { localAddress?: string } = {}): Promise<void> {
  const answers = await Promise.all(
    Array.from({ length: SURPLUS }, async () => {
      const socket = await openSocket({ port: server.port('echo.tcp'), ...options })
      socket.write('hello\n')
      const answer = await readAll(socket)
      socket.destroy()
      return answer.length
    }),
  )
  assert.deepEqual(
    answers.filter((bytes) => bytes > 0),
    [],
  )
}

async function floodWs(server: Server, options: { localAddress?: string } = {}): Promise<void> {
  const answers = await Promise.all(
    Array.from({ length: SURPLUS }, () => handshakeStatus(server.url('echo.ws'), options)),
  )
  assert.deepEqual([...new Set(answers)], [503])
}

async function freed(server: Server, clients: readonly LineClient[]): Promise<void> {
  for (const client of clients) client.end()
  for (const client of clients) await client.ended
  for (const client of clients) client.socket.destroy()
  await waitUntil('a place is free again', async () => (await handshakeStatus(server.url('echo.ws'))) === 101)
}

test("flood: over a service's maxConnections TCP ends without data, WebSocket gets 503, other services go on", async () => {
  await using server = await startServer({ modules: FAULT, settings: { 'services.echo.maxConnections': LIMIT } })
  const clients = await fill(server, LIMIT)
  await floodTcp(server)
  await floodWs(server)
  assert.equal(await refused(server, 'service_limit'), 2 * SURPLUS)
  using other = await LineClient.open({ port: server.port('fault.tcp') })
  assert.match((await other.ask('where')) ?? '', /^\d$/)
  for (const client of clients) assert.match((await client.ask('still')) ?? '', /still$/)
  await freed(server, clients)
  assert.deepEqual(server.stray, [])
})

test('flood: net.maxConnections holds over all services together', async () => {
  await using server = await startServer({ modules: FAULT, settings: { 'net.maxConnections': LIMIT } })
  const clients = await fill(server, LIMIT - 1)
  using other = await LineClient.open({ port: server.port('fault.tcp') })
  assert.match((await other.ask('where')) ?? '', /^\d$/)
  await floodTcp(server)
  await floodWs(server)
  assert.equal(await handshakeStatus(server.url('fault.ws')), 503)
  assert.equal(await refused(server, 'process_limit'), 2 * SURPLUS + 1)
  for (const client of clients) assert.match((await client.ask('still')) ?? '', /still$/)
  await freed(server, clients)
})

test('flood: net.maxConnectionsPerAddress stops one address, and only it', async () => {
  await using server = await startServer({ modules: FAULT, settings: { 'net.maxConnectionsPerAddress': LIMIT } })
  const greedy = { localAddress: '127.0.0.2' }
  const clients = await fill(server, LIMIT, greedy)
  await floodTcp(server, greedy)
  await floodWs(server, greedy)
  assert.equal(await refused(server, 'address_limit'), 2 * SURPLUS)
  for (const localAddress of ['127.0.0.1', '127.0.0.3']) {
    using ws = await WebSocketClient.open(server.url('echo.ws'), { localAddress })
    assert.equal(await ws.ask('welcome'), 'welcome')
  }
  for (const client of clients) assert.match((await client.ask('still')) ?? '', /still$/)
  await freed(server, clients)
  // The end of a connection frees its place for the same address.
  for (const client of await fill(server, LIMIT, greedy)) client.socket.destroy()
})

test('flood: places of a crashed shard are free again', async () => {
  await using server = await startServer({
    shards: 1,
    modules: FAULT,
    settings: { 'net.maxConnectionsPerAddress': LIMIT, 'services.echo.maxConnections': LIMIT },
  })
  await fill(server, LIMIT)
  assert.equal(await handshakeStatus(server.url('echo.ws')), 503)
  await server.kill(0)
  await server.recovered(0, 1)
  for (const client of await fill(server, LIMIT)) client.socket.destroy()
})
