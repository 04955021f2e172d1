// HTTP listeners of a whole server: placement, keep-alive, limits, TLS, PROXY, WebSockets beside, and datagram keys.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openSocket, readAll } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'
import { agentOf, ask } from './http-client.ts'

const SHARDS = 2
const FOLDER = join(import.meta.dirname, '../harness/certificate')
const FILES = { cert: join(FOLDER, 'cert.pem'), key: join(FOLDER, 'key.pem') }
const CA = readFileSync(FILES.cert)

let server: Server

before(async () => {
  server = await startServer({
    shards: SHARDS,
    modules: ['test/integration/http-service.ts'],
    settings: {
      'services.secure.http.tls.cert': FILES.cert,
      'services.secure.http.tls.key': FILES.key,
      'services.proxied.http.proxyProtocol': true,
      'services.narrow.maxConnections': 1,
      'net.headTimeout': '500ms',
      'net.sendBuffer.high': '64KiB',
      'net.sendBuffer.max': '8MiB',
    },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

async function exchange(listener: string, ...pieces: string[]): Promise<string> {
  const socket = await openSocket({ port: server.port(listener) })
  for (const piece of pieces) socket.write(piece)
  const text = (await readAll(socket)).toString('latin1')
  socket.destroy()
  return text
}

function get(path: string, ...headers: string[]): string {
  return [`GET ${path} HTTP/1.1`, 'Host: a', ...headers, '', ''].join('\r\n')
}

test('http: a request is served by the shard of its session key, and a connection is kept', async () => {
  const agent = agentOf()
  const port = server.port('web.http')
  for (const shard of [0, 1]) {
    const name = sessionOn(shard, SHARDS, 'web')
    for (let round = 0; round < 3; round++) {
      const first = await ask({ port, path: `/${name}/x`, agent: agentOf(), body: `round ${round}` })
      assert.deepEqual([first.status, first.body], [200, `POST round ${round}`])
      assert.equal(first.headers['x-shard'], String(shard))
    }
  }
  // One connection stays where its first request placed it.
  const name = sessionOn(0, SHARDS, 'web')
  const other = sessionOn(1, SHARDS, 'web')
  assert.match((await ask({ port, path: `/${name}/who`, agent })).body, new RegExp(`^127.0.0.1 \\d+ web:${name}$`))
  const answer = await ask({ port, path: `/${other}/x`, agent })
  assert.deepEqual([answer.headers['x-shard'], answer.headers['keep-alive']], ['0', 'timeout=60'])
  agent.destroy()
})

test('http: pipelined requests are answered in order; the last one may say that it is', async () => {
  const text = await exchange(
    'web.http',
    `${get('/a/slowly/30')}POST /a/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none`,
    get('/a/x', 'Connection: close'),
  )
  assert.deepEqual(
    text
      .split('\r\n\r\n')
      .slice(1)
      .map((body) => body.split('HTTP/')[0]),
    ['GET ', 'POST one', 'GET '],
  )
})

test('http: heads have 16 KiB and half a second, the first as the next', async () => {
  assert.match(await exchange('web.http', get('/', `X: ${'x'.repeat(16 * 1024)}`)), /^HTTP\/1\.1 431 /)
  assert.match(await exchange('web.http', 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /)
  const startMs = performance.now()
  assert.equal(await exchange('web.http', 'GET / HTTP/1.1\r\n'), '')
  const text = await exchange('web.http', get('/a/x'), 'GET / HTTP/1.1\r\n')
  assert.match(text, /^HTTP\/1\.1 200 .*GET $/s)
  const tookMs = performance.now() - startMs
  assert.ok(tookMs >= 1_000, `${tookMs} ms`)
  await waitUntil('both ends are counted', async () => {
    return (await server.metrics()).sum('polyloop_net_closed_total', { reason: 'head_timeout' }) === 2
  })
})

test('http: a client that does not read its answer is dropped, and said to be slow', async () => {
  const socket = await openSocket({ port: server.port('web.http') })
  socket.pause()
  socket.write(get('/a/much/1000'))
  const slow = async (): Promise<boolean> =>
    (await server.metrics()).sum('polyloop_net_closed_total', { reason: 'too_slow' }) === 1
  await waitUntil('it is dropped', slow)
  const [line, ...more] = server.logged('net.client_slow')
  assert.deepEqual([line?.service, more.length], ['web', 0])
  assert.ok(Number(line?.bytes) > 0.8 * 8 * 1024 * 1024)
  socket.destroy()
})

test('http: over TLS it is the same', async () => {
  const agent = agentOf(true)
  const port = server.port('secure.http')
  for (let round = 0; round < 3; round++) {
    const body = 'x'.repeat(100_000)
    const answer = await ask({ port, path: '/a/x', agent, body, ca: CA })
    assert.deepEqual([answer.status, answer.body], [200, `POST ${body}`])
  }
  assert.match((await ask({ port, path: '/a/who', agent, ca: CA })).body, /^127\.0\.0\.1 \d+ peer:127\.0\.0\.1:\d+$/)
  agent.destroy()
})

test('http: behind a proxy the request has the address of its client', async () => {
  const text = await exchange(
    'proxied.http',
    `PROXY TCP4 192.0.2.1 192.0.2.9 1234 80\r\n${get('/a/who', 'Connection: close')}`,
  )
  assert.match(text, /\r\n\r\n192\.0\.2\.1 1234 peer:192\.0\.2\.1:1234$/)
  assert.equal(await exchange('proxied.http', get('/a/who')), '')
})

test('http: a surplus request gets 503', async () => {
  const agent = agentOf()
  const port = server.port('narrow.http')
  assert.equal((await ask({ port, path: '/a/x', agent })).status, 200)
  assert.match(await exchange('narrow.http', get('/a/x')), /^HTTP\/1\.1 503 .*Retry-After: 1/s)
  agent.destroy()
})

test('http: a listener for WebSockets answers requests, too', async () => {
  const port = server.port('web.ws')
  const agent = agentOf()
  assert.equal((await ask({ port, path: '/a/x', agent })).body, 'GET ')
  using client = await WebSocketClient.open(server.url('web.ws'))
  assert.equal(await client.ask('hello'), 'hello')
  assert.equal((await ask({ port, path: '/a/x', agent, body: 'again' })).body, 'POST again')
  const refused = await exchange(
    'web.ws',
    get('/', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 12', 'Sec-WebSocket-Key: x'),
  )
  assert.match(refused, /^HTTP\/1\.1 400 /)
  client.close(1000)
  agent.destroy()
})

test('http: the figures know requests, answers and connections', async () => {
  const agent = agentOf()
  const before_ = await server.metrics()
  for (let round = 0; round < 5; round++)
    await ask({ port: server.port('secure.http'), path: '/a/x', agent: agentOf(true), ca: CA })
  const of = (name: string, metrics = before_, labels = {}): number =>
    metrics.sum(name, { service: 'secure', ...labels })
  const now = await waitUntil('the end of them', async () => {
    const metrics = await server.metrics()
    return (
      of('polyloop_net_messages_total', metrics, { direction: 'out' }) -
        of('polyloop_net_messages_total', before_, { direction: 'out' }) ===
        5 && metrics
    )
  })
  assert.equal(
    of('polyloop_net_messages_total', now, { direction: 'in' }) -
      of('polyloop_net_messages_total', before_, { direction: 'in' }),
    5,
  )
  agent.destroy()
})

test('udp: the session key of a datagram places it; without one the peer does', async () => {
  const socket = createSocket('udp4')
  const say = async (text: string): Promise<string> => {
    socket.send(text, server.port('web.udp'), '127.0.0.1')
    const [answer] = (await within(`an answer to ${text}`, once(socket, 'message'))) as [Buffer]
    return String(answer)
  }
  for (const shard of [0, 1]) {
    const name = sessionOn(shard, SHARDS, 'web')
    assert.equal(await say(`key=${name}`), `${shard} web:${name}`)
  }
  const { port } = socket.address()
  for (const text of ['hello', 'more', 'throw', `key=${'x'.repeat(2000)}`]) {
    assert.match(await say(text), new RegExp(`^[01] peer:127\\.0\\.0\\.1:${port}$`), text.slice(0, 20))
  }
  assert.equal(server.logged('net.session_of_failed').length, 1)
  socket.close()
})
