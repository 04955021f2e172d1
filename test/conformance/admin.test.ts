// The admin rows of the conformance checklist (A1 to A6, A8, A9) against the running product. A10 is in echo.test.ts,
// more of A8 and A9 in faults/, A7 in e2e/dashboard.test.ts.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { METRIC_NAMES } from '../../src/observe/family.ts'
import { ECHO_FAMILIES } from '../../src/services/echo/counter.ts'
import { ROOMS_FAMILIES } from '../../src/services/rooms/counter.ts'
import { SESSION_PROXY_FAMILIES } from '../../src/services/session-proxy/counter.ts'
import { LineClient } from '../harness/line-client.ts'
import { ALL_SERVICES, type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SHARDS = 2
const HANG_LIMIT_MS = 4_000
/** Longer than the suspicion of 1 s, shorter than the hang limit. */
const FREEZE_MS = 3_000
const ANSWER_MS = 2_000

let server: Server

before(async () => {
  server = await startServer({
    shards: SHARDS,
    services: ALL_SERVICES,
    modules: ['test/harness/fault-service.ts'],
    settings: { 'shard.hangLimit': `${HANG_LIMIT_MS}ms` },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

test('admin: /metrics parses and has every family of the runtime, of echo, of the session proxy and of rooms', async () => {
  const response = await server.fetch('/metrics')
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const { families } = await server.metrics()
  const tables = [ECHO_FAMILIES, SESSION_PROXY_FAMILIES, ROOMS_FAMILIES]
  const wanted = [...METRIC_NAMES, ...tables.flatMap((table) => Object.values(table).map(({ name }) => name))]
  assert.deepEqual(
    wanted.filter((name) => !families.has(name)),
    [],
  )
})

test('admin: /health names all enabled services, all shards and all listeners', async () => {
  const health = await server.health()
  assert.equal(health.status, 'healthy')
  assert.deepEqual(Object.keys(health.services), ['echo', 'chat', 'session-proxy', 'rooms', 'hub', 'fault'])
  assert.deepEqual(
    health.shards.map(({ id, state }) => [id, state]),
    [
      [0, 'ready'],
      [1, 'ready'],
    ],
  )
  const listeners = health.listeners.map(({ service, transport, host }) => `${service} ${transport} ${host}`)
  for (const host of ['127.0.0.1', '::1']) {
    for (const [service, transport] of ['echo tcp', 'echo udp', 'echo ws', 'fault tcp', 'fault ws'].map((one) =>
      one.split(' '),
    ))
      assert.ok(listeners.includes(`${service} ${transport} ${host}`), `${service} ${transport} ${host}`)
  }
  for (const { port } of health.listeners) assert.ok(port > 0)
})

test('admin: while a shard is blocked /metrics and /health answer, and /health says degraded', async () => {
  using client = await LineClient.open({ port: server.port('fault.tcp') })
  const session = sessionOn(1, SHARDS, 'fault')
  assert.equal(await client.ask(`session ${session}`), '1')
  client.say(`freeze ${FREEZE_MS}`)
  await waitUntil('the freeze is noticed', async () => (await server.health()).status === 'degraded')
  const startMs = performance.now()
  const [health, metrics] = await Promise.all([server.health(), server.metrics()])
  assert.ok(performance.now() - startMs < ANSWER_MS, 'both answered in time')
  assert.equal(health.status, 'degraded')
  assert.equal(health.shards[1]?.state, 'hung')
  assert.equal(metrics.sum('polyloop_shard_up', { shard: '1' }), 0)
  assert.equal(metrics.sum('polyloop_shard_up', { shard: '0' }), 1)
  // From shared memory: the hung shard could not have told.
  assert.equal(metrics.sum('polyloop_shard_connections', { shard: '1', service: 'fault' }), 1)
  assert.equal(await client.next(), 'thawed')
  await waitUntil('the shard is ready again', () => server.isHealthy())
  assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total', { shard: '1' }), 0)
})

test('admin: after a shard crash new connections are served, and the restarts rise by one', async () => {
  const session = sessionOn(0, SHARDS, 'fault')
  using client = await LineClient.open({ port: server.port('fault.tcp') })
  assert.equal(await client.ask(`session ${session}`), '0')
  client.say('crash 3')
  await within('the end', client.ended)
  await server.recovered(0, 1)
  // Ready, but the acceptor may hear it a moment later: until then the other shard serves.
  await waitUntil('the shard gets its sessions again', async () => {
    using next = await LineClient.open({ port: server.port('fault.tcp') })
    return (await next.ask(`session ${session}`)) === '0'
  })
  const metrics = await server.metrics()
  assert.equal(metrics.sum('polyloop_shard_restarts_total', { shard: '0' }), 1)
  assert.equal(metrics.sum('polyloop_shard_restarts_total'), 1)
})

test('admin: no label contains an address, a client or session id, or a token', async () => {
  const session = 'very-secret-session'
  using ws = await WebSocketClient.open(server.url('echo.ws', `/?session=${session}`), { headers: { Cookie: session } })
  using tcp = await LineClient.open({ port: server.port('echo.tcp') })
  assert.equal(await ws.ask('token'), 'token')
  await tcp.ask('token')
  const { series } = await server.metrics()
  const values = new Set(series.flatMap(({ labels }) => Object.values(labels)))
  const { version } = await server.health()
  const told = [...values].filter((value) => value !== version && value !== process.version)
  assert.ok(told.length > 10)
  for (const value of told) {
    assert.match(value, /^(invalid_utf8|utf8|not_utf8|[A-Za-z_/{}.-]{1,32}|\d+(\.\d+)?|\+Inf)$/)
    assert.ok(!value.includes(session) && !/\d+\.\d+\.\d+\.\d+/.test(value))
  }
  // Numbers are shards and bucket bounds, never ports.
  const shards = new Set(series.map(({ labels }) => labels.shard))
  assert.deepEqual([...shards].sort(), ['0', '1', 'acceptor', 'bridge', 'main', 'store'])
})

test('admin: /ready is 503 until all listeners are open, then 200, and 503 while the process drains', async () => {
  await using starting = await startServer({
    unready: true,
    services: ALL_SERVICES,
    settings: { 'shutdown.grace': '20s', 'net.closeTimeout': '20s' },
  })
  await waitUntil('the admin endpoint listens', () => starting.logged('observe.admin_listening').length > 0)
  starting.learnPorts()
  const early = await starting.fetch('/ready')
  assert.deepEqual([early.status, await early.json()], [503, { status: 'starting' }])
  assert.equal(starting.logged('net.listening').length, 0)
  await starting.ready()
  const ready = await starting.fetch('/ready')
  assert.deepEqual([ready.status, await ready.json()], [200, { status: 'ready' }])
  // A client that has not answered the close frame yet keeps the drain open.
  using client = await WebSocketClient.open(starting.url('echo.ws'))
  client.raw.pause()
  starting.signal('SIGTERM')
  await waitUntil('the drain began', () => starting.logged('runtime.draining').length > 0)
  const draining = await starting.fetch('/ready')
  assert.deepEqual([draining.status, await draining.json()], [503, { status: 'draining' }])
  client.raw.resume()
  assert.deepEqual(await within('the close', client.closed), { code: 1001, reason: 'server shutting down' })
  assert.deepEqual(await within('the end', starting.ended), { status: 0, signal: null })
})

test('admin: with admin.token everything but /health and /ready needs it', async () => {
  const token = 'a-token-of-operators'
  await using guarded = await startServer({ shards: 1, settings: { 'admin.token': token } })
  const status = async (path: string, authorization?: string): Promise<number> =>
    (await guarded.fetch(path, authorization === undefined ? {} : { headers: { authorization } })).status
  assert.equal(await status('/metrics'), 401)
  assert.equal(await status('/metrics', 'Bearer wrong-token'), 401)
  assert.equal(await status('/api/v1/runtime'), 401)
  assert.equal((await guarded.post('/api/v1/drain')).status, 401)
  assert.equal(await status('/ready'), 200)
  assert.equal(await status('/health'), 200)
  assert.equal(await status('/metrics', `Bearer ${token}`), 200)
  assert.equal(await status('/metrics', `Basic ${btoa(`any:${token}`)}`), 200)
  // Nor is it in the log.
  assert.ok(!guarded.log.some((line) => JSON.stringify(line).includes(token)))
})
