// HTTP while shards come and go: no request fails, and at the end of the server what was asked is answered.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { openSocket, readAll } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { agentOf, ask, HttpCrowd } from './http-client.ts'

const CLIENTS = 30
const MOVED_MS_MAX = 60_000
const FOLDER = join(import.meta.dirname, '../harness/certificate')
const FILES = { cert: join(FOLDER, 'cert.pem'), key: join(FOLDER, 'key.pem') }

function start(): Promise<Server> {
  return startServer({
    shards: 2,
    modules: ['test/integration/http-service.ts'],
    settings: { 'services.secure.http.tls.cert': FILES.cert, 'services.secure.http.tls.key': FILES.key },
  })
}

async function moves(server: Server, path: string, body: object, count: number): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const answer = await server.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
  assert.equal(answer.status, 202)
  await waitUntil(`move ${count}`, () => server.logged('runtime.move_done').length >= count, MOVED_MS_MAX)
}

test('http: reloads and other numbers of shards cost no request, and no connection', async () => {
  await using server = await start()
  const crowd = new HttpCrowd({ port: server.port('web.http'), clients: CLIENTS })
  await waitUntil('everybody asks', () => crowd.answers > 2 * CLIENTS)
  let count = 0
  await moves(server, '/api/v1/reload', {}, ++count)
  for (const shards of [3, 2]) await moves(server, '/api/v1/shards', { count: shards }, ++count)
  const before = crowd.answers
  await waitUntil('they go on', () => crowd.answers > before + CLIENTS)
  await crowd.stop()
  assert.equal(crowd.connections, CLIENTS)
  assert.ok(crowd.shards.has('2'), 'the third shard served, too')
  assert.deepEqual(server.logged('runtime.rollout_failed'), [])
  assert.deepEqual(server.stray, [])
})

test('http: over TLS, where nothing moves, a busy connection is closed with its answer', async () => {
  await using server = await start()
  const ca = readFileSync(FILES.cert)
  const agent = agentOf(true)
  const port = server.port('secure.http')
  assert.equal((await ask({ port, path: '/a/x', agent, ca })).status, 200)
  const idle = agentOf(true)
  assert.equal((await ask({ port, path: '/a/x', agent: idle, ca })).status, 200)
  const [kept] = Object.values(idle.freeSockets).flatMap((sockets) => sockets ?? [])
  assert.ok(kept)
  const busy = request({ host: '127.0.0.1', servername: 'localhost', port, path: '/a/x', method: 'POST', agent, ca })
  busy.write('half a ')
  const asked = async (): Promise<boolean> =>
    (await server.metrics()).sum('polyloop_net_messages_total', { service: 'secure', direction: 'in' }) === 3
  await waitUntil('it is asked', asked)
  const moving = moves(server, '/api/v1/reload', {}, 1)
  await within('the end of the idle one', once(kept, 'close'), MOVED_MS_MAX)
  const answer = once(busy, 'response')
  busy.end('body')
  const [response] = (await within('an answer', answer)) as [IncomingMessage]
  assert.deepEqual([response.statusCode, response.headers.connection], [200, 'close'])
  assert.equal(String(await response.toArray()), 'POST half a body')
  await moving
  assert.equal((await ask({ port, path: '/a/x', agent: idle, ca })).status, 200)
  await waitUntil('both ends are counted', async () => {
    return (await server.metrics()).sum('polyloop_net_closed_total', { reason: 'restart' }) === 2
  })
  for (const one of [agent, idle]) one.destroy()
})

test('http: when the server ends, requests in progress are answered and nothing else', async () => {
  await using server = await start()
  const port = server.port('web.http')
  const idle = await openSocket({ port })
  idle.write('GET /a/x HTTP/1.1\r\nHost: a\r\n\r\n')
  const busy = await openSocket({ port })
  busy.write('GET /a/slowly/500 HTTP/1.1\r\nHost: a\r\n\r\nGET /a/x HTTP/1.1\r\nHost: a\r\n\r\n')
  for (const socket of [idle, busy]) socket.once('end', () => socket.end())
  const texts = [readAll(idle), readAll(busy)]
  await waitUntil('both are asked', async () => {
    const metrics = await server.metrics()
    return metrics.sum('polyloop_net_messages_total', { service: 'web', direction: 'in' }) === 2
  })
  const ended = await server.stop()
  assert.deepEqual(ended, { status: 0, signal: null })
  const [ofIdle = '', ofBusy = ''] = (await Promise.all(texts)).map(String)
  assert.equal(ofIdle.match(/HTTP\/1\.1 200/g)?.length, 1)
  assert.equal(ofBusy.match(/HTTP\/1\.1 200/g)?.length, 1)
  assert.match(ofBusy, /Connection: close/)
  for (const socket of [idle, busy]) socket.destroy()
})
