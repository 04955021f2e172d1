// Timeouts of echo with short limits (E6 scaled; the real 60 s are the soak's): never early, at most 250 ms late.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { LineClient, openSocket, readAll } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { pause, waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const IDLE_MS = 1_000
const HEAD_MS = 600
const SNIFF_MS = 300
/** 250 ms are promised; the rest is for two threads and the scheduler of a busy machine. */
const LATE_MS = 250 + 350

let server: Server

before(async () => {
  server = await startServer({
    settings: {
      'services.echo.idleTimeout': `${IDLE_MS}ms`,
      'net.headTimeout': `${HEAD_MS}ms`,
      'net.sniff.timeout': `${SNIFF_MS}ms`,
      'net.closeTimeout': '500ms',
    },
  })
})

after(() => server[Symbol.asyncDispose]())

function assertInTime(elapsedMs: number, limitMs: number): void {
  assert.ok(elapsedMs >= limitMs - 1, `${elapsedMs} ms is not early for ${limitMs}`)
  assert.ok(elapsedMs <= limitMs + LATE_MS, `${elapsedMs} ms is not late for ${limitMs}`)
}

test('echo: a silent TCP connection gets FIN after the idle timeout, counted from its last byte', async () => {
  using client = await LineClient.open({ port: server.port('echo.tcp') })
  await pause(IDLE_MS / 2)
  // Before the write, because the server's clock starts with its arrival.
  const sentMs = performance.now()
  await client.ask('one')
  assert.equal(await within('the end', client.ended), true)
  assertInTime(performance.now() - sentMs, IDLE_MS)
  assert.equal((await server.metrics()).sum('polyloop_echo_idle_timeouts_total', { transport: 'tcp' }), 1)
})

test('echo: a connection that speaks often enough stays', async () => {
  using tcp = await LineClient.open({ port: server.port('echo.tcp') })
  using ws = await WebSocketClient.open(server.url('echo.ws'))
  for (let round = 0; round < 5; round++) {
    await pause(IDLE_MS / 2)
    assert.match((await tcp.ask(`${round}`)) ?? '', new RegExp(`\\] ${round}$`))
    assert.equal(await ws.ask(`${round}`), `${round}`)
  }
})

test('echo: a silent WebSocket gets 1001 "idle timeout"; pings keep it', async () => {
  using client = await WebSocketClient.open(server.url('echo.ws'))
  using pinging = await WebSocketClient.open(server.url('echo.ws'))
  const timer = setInterval(() => pinging.raw.ping(), IDLE_MS / 3)
  try {
    const openedMs = performance.now()
    assert.deepEqual(await within('the close', client.closed), { code: 1001, reason: 'idle timeout' })
    assertInTime(performance.now() - openedMs, IDLE_MS - 50) // the server knew it before us
    assert.equal(pinging.isOver, false)
    assert.equal(await pinging.ask('here'), 'here')
  } finally {
    clearInterval(timer)
  }
})

test('websocket: a head that is not complete in time is closed without an answer', async () => {
  const heads = [
    '',
    'GET /',
    'GET /?session=a HTTP/1.1\r\nHost: x\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1',
  ]
  await Promise.all(
    heads.map(async (head, index) => {
      const startMs = performance.now()
      const socket = await openSocket({ port: server.port('echo.ws') })
      if (head !== '') socket.write(head)
      const answer = (await readAll(socket)).toString()
      const elapsedMs = performance.now() - startMs
      // The last one is refused by its request line; its body is nobody's business.
      if (index === heads.length - 1) assert.match(answer, /^HTTP\/1\.1 405 /)
      else assert.equal(answer, '')
      assert.ok(elapsedMs <= HEAD_MS + LATE_MS, `${elapsedMs} ms`)
      if (index < heads.length - 1) assertInTime(elapsedMs, HEAD_MS)
      socket.destroy()
    }),
  )
  await waitUntil('their ends are counted', async () => {
    return (await server.metrics()).sum('polyloop_net_closed_total', { reason: 'head_timeout' }) >= heads.length - 1
  })
})

test('websocket: a head in slow pieces is served if it is complete in time', async () => {
  const socket = await openSocket({ port: server.port('echo.ws') })
  const head = `GET /?session=slow HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`
  for (const byte of head.slice(0, 100)) {
    socket.write(byte)
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.write(head.slice(100))
  const [answer] = (await within('an answer', once(socket, 'data'))) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1\.1 101 /)
  socket.destroy()
})

test('websocket: a peer that does not answer the close frame is dropped after net.closeTimeout', async () => {
  using client = await WebSocketClient.open(server.url('echo.ws'))
  // 1009, and a client that does not read on.
  client.raw.pause()
  client.send(Buffer.alloc(1024 * 1024 + 1))
  const metrics = async (): Promise<number> =>
    (await server.metrics()).sum('polyloop_echo_connections', { transport: 'ws' })
  const startMs = performance.now()
  while ((await metrics()) > 0) assert.ok(performance.now() - startMs < 5_000, 'the connection is dropped')
})
