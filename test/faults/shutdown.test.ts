// SIGTERM and SIGINT, seen by every kind of client, and the exit status.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineClient, openSocket } from '../harness/line-client.ts'
import { startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const MIB = 1024 * 1024
const CRASH_IN_MS = 500
const CLEAN = { status: 0, signal: null }
const DROPPED = { status: 1, signal: null }

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`shutdown: ${signal} closes WebSockets with 1001 and TCP with FIN, drains, and exits with 0`, async () => {
    await using server = await startServer()
    const sockets = await Promise.all(Array.from({ length: 20 }, () => WebSocketClient.open(server.url('echo.ws'))))
    const lines = await Promise.all(
      Array.from({ length: 20 }, () => LineClient.open({ port: server.port('echo.tcp') })),
    )
    for (const line of lines) await line.ask('here')
    using waiting = new LineClient(await openSocket({ port: server.port('echo.ws') })) // no head yet
    server.signal(signal)
    for (const socket of sockets)
      assert.deepEqual(await within('the close', socket.closed), { code: 1001, reason: 'server shutting down' })
    for (const line of lines) {
      assert.equal(await within('the end', line.ended), true)
      line.end()
    }
    await within('the end of what was no request yet', waiting.ended)
    assert.deepEqual(await within('the exit', server.ended), CLEAN)
    const drained = server.logged('runtime.drained')[0]
    assert.deepEqual([drained?.clean, drained?.connections_dropped], [true, 0])
    assert.deepEqual(server.stray, [])
    for (const line of lines) line.socket.destroy()
  })
}

test('shutdown: TCP gets all pending output before FIN, new connections are refused meanwhile', async () => {
  await using server = await startServer({ settings: { 'services.echo.mode': 'raw', 'net.closeTimeout': '20s' } })
  const socket = await openSocket({ port: server.port('echo.tcp') })
  socket.pause()
  const bytes = Buffer.alloc(8 * MIB, 'p')
  socket.write(bytes)
  // Its echo fills the kernel's buffers and then the server's.
  await waitUntil('output waits', async () => (await server.metrics()).sum('polyloop_net_unsent_bytes') > 0)
  const received = (await server.metrics()).sum('polyloop_echo_bytes_total', { direction: 'out' })
  server.signal('SIGTERM')
  await waitUntil('the drain began', () => server.logged('runtime.draining').length > 0)
  assert.equal((await server.fetch('/ready')).status, 503)
  await waitUntil('the listeners are closed', () =>
    LineClient.open({ port: server.port('echo.tcp') }).then(
      (client) => {
        client[Symbol.dispose]()
        return false
      },
      () => true,
    ),
  )
  let read = 0
  socket.on('data', (chunk: Buffer) => {
    read += chunk.length
  })
  const ended = new Promise((resolve) => socket.once('end', resolve))
  socket.resume()
  await within('FIN', ended)
  assert.ok(read >= received, `${read} bytes of ${received}`)
  socket.end()
  assert.deepEqual(await within('the exit', server.ended), CLEAN)
})

test('shutdown: who does not close is dropped after shutdown.grace, and the exit status is 1', async () => {
  await using server = await startServer({ settings: { 'shutdown.grace': '500ms', 'net.closeTimeout': '30s' } })
  using client = await WebSocketClient.open(server.url('echo.ws'))
  client.raw.pause()
  const startMs = performance.now()
  assert.deepEqual(await server.stop(), DROPPED)
  assert.ok(performance.now() - startMs >= 500, 'the grace was given')
  const drained = server.logged('runtime.drained')[0]
  assert.deepEqual([drained?.clean, drained?.connections_dropped], [false, 1])
})

test('shutdown: who does not answer within net.closeTimeout is dropped, which counts as drained', async () => {
  await using server = await startServer({ settings: { 'net.closeTimeout': '300ms' } })
  using client = await WebSocketClient.open(server.url('echo.ws'))
  client.raw.pause()
  assert.deepEqual(await server.stop(), CLEAN)
})

test('shutdown: a second signal ends the process at once with 1', async () => {
  await using server = await startServer({ settings: { 'net.closeTimeout': '30s' } })
  using client = await WebSocketClient.open(server.url('echo.ws'))
  client.raw.pause()
  server.signal('SIGTERM')
  await waitUntil('the drain began', () => server.logged('runtime.draining').length > 0)
  const startMs = performance.now()
  server.signal('SIGINT')
  assert.deepEqual(await within('the exit', server.ended), DROPPED)
  assert.ok(performance.now() - startMs < 2_000)
})

test('shutdown: a hung shard delays it no longer than the grace, and the exit status is 1', async () => {
  await using server = await startServer({
    modules: ['test/harness/fault-service.ts'],
    settings: { 'shutdown.grace': '500ms', 'control.timeout': '500ms' },
  })
  using client = await LineClient.open({ port: server.port('fault.tcp') })
  assert.match((await client.ask('where')) ?? '', /^\d$/)
  client.say('freeze 60000')
  await waitUntil('hung', async () => (await server.health()).status === 'degraded')
  assert.deepEqual(await server.stop(), DROPPED)
})

test('shutdown: a shard that crashes meanwhile is not replaced and not waited for, and the exit status is 1', async () => {
  await using server = await startServer({
    modules: ['test/harness/fault-service.ts'],
    settings: { 'net.closeTimeout': '30s', 'shutdown.grace': '30s' },
  })
  using client = await WebSocketClient.open(server.url('fault.ws'))
  assert.equal(await client.ask(`crash-in ${CRASH_IN_MS}`), 'soon')
  client.raw.pause()
  const startMs = performance.now()
  assert.deepEqual(await server.stop(), DROPPED)
  assert.ok(performance.now() - startMs < CRASH_IN_MS + 5_000)
  const [exited] = server.logged('runtime.thread_exited')
  assert.deepEqual([exited?.connections_lost, exited?.restart_in_ms], [1, undefined])
})

test('shutdown: POST /api/v1/drain does the same', async () => {
  await using server = await startServer()
  using client = await WebSocketClient.open(server.url('echo.ws'))
  assert.equal((await server.post('/api/v1/drain')).status, 202)
  assert.deepEqual(await within('the close', client.closed), { code: 1001, reason: 'server shutting down' })
  assert.deepEqual(await within('the exit', server.ended), CLEAN)
})

test('shutdown: a signal while it starts ends it, with 0 and without an error', async () => {
  await using server = await startServer({ unready: true })
  await waitUntil('the start began', () => server.logged('observe.admin_listening').length > 0)
  assert.deepEqual(await server.stop(), CLEAN)
  assert.deepEqual(server.stray, [])
  assert.ok(!server.log.some(({ level }) => level === 'error'), 'an end that was asked for is no error')
})
