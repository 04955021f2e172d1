// Handshakes that a service decides on, in a whole server: beside requests, over TLS, while shards come and go, at the end.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ClientOptions, WebSocket } from 'ws'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'
import { agentOf, ask } from './http-client.ts'
import type { GateCounts } from './upgrade-service.ts'

const FOLDER = join(import.meta.dirname, '../harness/certificate')
const FILES = { cert: join(FOLDER, 'cert.pem'), key: join(FOLDER, 'key.pem') }

function start(): Promise<Server> {
  return startServer({
    shards: 1,
    modules: ['test/integration/upgrade-service.ts'],
    settings: { 'services.bare.ws.tls.cert': FILES.cert, 'services.bare.ws.tls.key': FILES.key },
  })
}

function urlOf(server: Server, path: string): string {
  return `ws://127.0.0.1:${server.port('gate.ws')}${path}`
}

async function countsOf(server: Server): Promise<GateCounts> {
  return JSON.parse((await ask({ port: server.port('gate.ws'), path: '/', agent: agentOf() })).body) as GateCounts
}

async function refusalOf(url: string, options: ClientOptions = {}): Promise<[status: number, body: string]> {
  const client = new WebSocket(url, options)
  client.on('error', () => {}) // it is refused
  const [, response] = (await within('a refusal', once(client, 'unexpected-response'))) as [unknown, IncomingMessage]
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return [response.statusCode ?? 0, body]
}

test('upgrade: accepted with a value and a subprotocol, refused, or failed, also over TLS', async () => {
  await using server = await start()
  const secure = { ca: readFileSync(FILES.cert), servername: 'localhost' }
  const bare = `wss://127.0.0.1:${server.port('bare.ws')}`
  for (const [base, options] of [
    [urlOf(server, ''), {}],
    [bare, secure],
  ] as const) {
    const headers = { authorization: 'Bearer alice' }
    using client = new WebSocketClient(new WebSocket(`${base}/slowly/20`, ['first', 'second'], { ...options, headers }))
    assert.equal((await client.next())?.data.toString(), 'hello Bearer alice')
    assert.equal(client.raw.protocol, 'second')
    assert.equal(await client.ask('you?'), 'Bearer alice: you?')
    assert.deepEqual(await refusalOf(`${base}/no`, options), [403, 'Invalid authorization token'])
    assert.deepEqual(await refusalOf(`${base}/throw`, options), [500, 'Internal server error'])
  }
  assert.deepEqual(await countsOf(server), { asked: 6, opened: 2, abandoned: 0 })
  // Where a service has no requests, a request is told what to do.
  const plain = await ask({ port: server.port('bare.ws'), path: '/', agent: agentOf(true), ca: secure.ca })
  assert.deepEqual([plain.status, plain.headers.upgrade], [426, 'websocket'])
  assert.equal(server.logged('services.handler_failed').length, 2)
})

test('upgrade: a client that leaves while it is decided on is told to the service', async () => {
  await using server = await start()
  const clients = Array.from({ length: 50 }, () => new WebSocket(urlOf(server, '/hang')))
  for (const client of clients) client.on('error', () => {}) // it leaves before it is open
  await waitUntil('all are asked', async () => (await countsOf(server)).asked === clients.length)
  for (const client of clients) client.terminate()
  await waitUntil('all are abandoned', async () => (await countsOf(server)).abandoned === clients.length)
  assert.equal((await countsOf(server)).opened, 0)
  await waitUntil('their sockets are closed', async () => {
    const metrics = await server.metrics()
    return metrics.sum('polyloop_net_closed_total', { reason: 'client' }) >= clients.length
  })
})

test('upgrade: a reload waits for who is decided on, and takes him along', async () => {
  await using server = await start()
  const opening = WebSocketClient.open(urlOf(server, '/slowly/1500'))
  await waitUntil('it is asked', async () => (await countsOf(server)).asked === 1)
  const headers = { 'content-type': 'application/json' }
  assert.equal((await server.fetch('/api/v1/reload', { method: 'POST', headers, body: '{}' })).status, 202)
  using client = await opening
  assert.equal((await client.next())?.data.toString(), 'hello nobody')
  await waitUntil('it is done', () => server.logged('runtime.move_done').length === 1, 30_000)
  assert.equal(await client.ask('still?'), 'nobody: still?')
  // The module is new there: nobody was asked in the new shard.
  assert.deepEqual(await countsOf(server), { asked: 0, opened: 0, abandoned: 0 })
})

test('upgrade: the end of the server is a 503 for who is decided on, and waits for nobody', async () => {
  await using server = await start()
  const refusals = Array.from({ length: 20 }, () => refusalOf(urlOf(server, '/hang')))
  await waitUntil('all are asked', async () => (await countsOf(server)).asked === refusals.length)
  assert.deepEqual(await server.stop(), { status: 0, signal: null })
  for (const refusal of await Promise.all(refusals)) assert.deepEqual(refusal, [503, ''])
  assert.deepEqual(server.stray, [])
})
