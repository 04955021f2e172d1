// Clients that mean harm: heads that never end, heads that are too long, and random bytes on every port. What they get
// is what is documented, and whoever is served meanwhile does not notice.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { openSocket, readAll } from '../harness/line-client.ts'
import { NumberedEcho } from '../harness/numbered-echo.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SHARDS = 2
const HEAD_MS = 1_000
const SNIFF_MS = 500
const LORIS_COUNT = 50
const LORIS_DRIP_MS = 50
const RANDOM_SOCKETS = 60
const RANDOM_BYTES_MAX = 4_096
/** Printed on failure; a fixed one keeps the suite repeatable. */
const SEED = Number(process.env.SEED ?? 20_261_121)

let server: Server
let proxied: Server

before(async () => {
  const limits = {
    'net.headTimeout': `${HEAD_MS}ms`,
    'net.sniff.timeout': `${SNIFF_MS}ms`,
    'net.closeTimeout': '500ms',
  }
  ;[server, proxied] = await Promise.all([
    startServer({ shards: SHARDS, settings: limits }),
    startServer({
      shards: SHARDS,
      settings: { ...limits, 'services.echo.tcp.proxyProtocol': true, 'services.echo.ws.proxyProtocol': true },
    }),
  ])
})

after(async () => {
  for (const one of [server, proxied]) {
    await one[Symbol.asyncDispose]()
    assert.deepEqual(one.stray, [])
  }
})

/** Numbered echoes on every shard while `cause` happens. */
async function besideLoad(cause: () => Promise<void>): Promise<void> {
  const loads = await Promise.all(
    Array.from({ length: SHARDS }, (_, shard) =>
      NumberedEcho.open(server.url('echo.ws', `/?session=${sessionOn(shard, SHARDS, 'echo')}`)),
    ),
  )
  try {
    await cause()
    for (const load of loads) {
      const { received } = load
      await waitUntil('the load goes on', () => load.received > received + 10)
      await load.stop()
      assert.equal(load.fault, undefined)
    }
  } finally {
    for (const load of loads) load[Symbol.dispose]()
  }
}

/** Sends `text` a byte at a time, for ever; answers how long the server bore it, and what it said. */
async function drip(port: number, text: string): Promise<{ ms: number; answer: string }> {
  const startMs = performance.now()
  const socket = await openSocket({ port })
  let at = 0
  const timer = setInterval(() => {
    if (socket.writable) socket.write(text[Math.min(at++, text.length - 1)] ?? '')
  }, LORIS_DRIP_MS)
  try {
    const answer = (await readAll(socket)).toString()
    return { ms: performance.now() - startMs, answer }
  } finally {
    clearInterval(timer)
    socket.destroy()
  }
}

test('hostile: slow heads on the WebSocket port are closed in time, without an answer', async () => {
  await besideLoad(async () => {
    const head = `GET /?session=slow HTTP/1.1\r\nHost: x\r\nX-Slow: ${'z'.repeat(1000)}`
    const drips = await Promise.all(Array.from({ length: LORIS_COUNT }, () => drip(server.port('echo.ws'), head)))
    for (const { ms, answer } of drips) {
      assert.equal(answer, '')
      assert.ok(ms >= HEAD_MS - 1 && ms < HEAD_MS + 1_000, `${ms} ms`)
    }
  })
  const metrics = await server.metrics()
  assert.ok(metrics.sum('polyloop_net_closed_total', { reason: 'head_timeout' }) >= LORIS_COUNT)
  await waitUntil('nothing is left', async () => (await server.metrics()).sum('polyloop_shard_connections') === 0)
})

test('hostile: slow or missing PROXY headers are closed in time', async () => {
  const port = proxied.port('echo.tcp')
  const drips = await Promise.all([
    ...Array.from({ length: LORIS_COUNT }, () => drip(port, `PROXY TCP4 192.0.2.1 192.0.2.2 ${'1'.repeat(40)}`)),
    ...Array.from({ length: LORIS_COUNT }, () => drip(proxied.port('echo.ws'), 'PROXY ')),
  ])
  for (const { ms, answer } of drips) {
    assert.equal(answer, '')
    assert.ok(ms < SNIFF_MS + 1_000, `${ms} ms`)
  }
  const socket = await openSocket({ port })
  socket.write('GET / HTTP/1.1\r\n\r\n')
  assert.equal((await readAll(socket)).length, 0)
  socket.destroy()
  const metrics = await proxied.metrics()
  assert.equal(metrics.sum('polyloop_net_refused_total', { reason: 'proxy_header' }), 2 * LORIS_COUNT + 1)
  assert.equal(metrics.sum('polyloop_shard_connections'), 0)
})

test('hostile: heads that go on and on get 431, however they are cut', async () => {
  await besideLoad(async () => {
    const answers: string[] = []
    const chunk = `X-Long: ${'x'.repeat(1000)}\r\n`
    for (const pieces of [1, 7, 40]) {
      const socket = await openSocket({ port: server.port('echo.ws') })
      const answer = readAll(socket)
      const head = `GET / HTTP/1.1\r\nHost: x\r\n${chunk.repeat(40)}`
      const step = Math.ceil(head.length / pieces)
      for (let at = 0; at < head.length && socket.writable; at += step) {
        await new Promise<void>((resolve) => socket.write(head.slice(at, at + step), () => resolve()))
      }
      answers.push((await answer).toString().slice(0, 13))
      socket.destroy()
    }
    // What was still unread when the server closed may reset the connection before the answer was read.
    assert.ok(answers.includes('HTTP/1.1 431 '), answers.join())
    for (const answer of answers) assert.match(answer, /^(HTTP\/1\.1 431 |$)/)
  })
})

test(`hostile: random bytes on every port end nothing but their own connection (seed ${SEED})`, async () => {
  const random = randomOf(SEED)
  await besideLoad(async () => {
    const ports = [
      server.port('echo.tcp'),
      server.port('echo.ws'),
      server.port('admin'),
      proxied.port('echo.tcp'),
      proxied.port('echo.ws'),
    ]
    const openings = ['', 'GET / HTTP/1.1\r\n', 'PROXY TCP4 ', '\r\n\r\n\0\r\nQUIT\n', '[Conn 1] ', UPGRADE]
    const attacks = Array.from({ length: RANDOM_SOCKETS }, async (_, index) => {
      const socket = await openSocket({ port: ports[index % ports.length] ?? 0 })
      socket.resume()
      const bytes = Buffer.from(Array.from({ length: Math.floor(random() * RANDOM_BYTES_MAX) }, () => random() * 256))
      const attack = Buffer.concat([Buffer.from(openings[index % openings.length] ?? ''), bytes])
      const middle = Math.floor(random() * attack.length)
      socket.write(attack.subarray(0, middle))
      socket.write(attack.subarray(middle))
      const ending = random()
      if (ending < 0.5) socket.end()
      else if (ending < 0.75) socket.resetAndDestroy()
      return socket
    })
    const sockets = await Promise.all(attacks)
    const datagrams = createSocket('udp4')
    for (let index = 0; index < RANDOM_SOCKETS; index++)
      datagrams.send(Buffer.alloc(Math.floor(random() * 1_400), index), server.port('echo.udp'), '127.0.0.1')
    await waitUntil('the datagrams were read', async () => {
      return (await server.metrics()).sum('polyloop_echo_datagrams_total', { direction: 'in' }) === RANDOM_SOCKETS
    })
    datagrams.close()
    for (const socket of sockets) socket.destroy()
  })
  for (const one of [server, proxied]) {
    await waitUntil('nothing is left', async () => (await one.metrics()).sum('polyloop_shard_connections') === 0)
    assert.equal((await one.metrics()).sum('polyloop_shard_restarts_total'), 0)
    assert.deepEqual(
      one.log.filter(({ level }) => level === 'error' || level === 'fatal'),
      [],
    )
  }
})

test('hostile: a reset in the middle of everything leaves nothing behind', async () => {
  const before = server.descriptors()
  await besideLoad(async () => {
    for (let round = 0; round < 20; round++) {
      const tcp = await openSocket({ port: server.port('echo.tcp') })
      tcp.write('x'.repeat(100_000))
      tcp.resetAndDestroy()
      using ws = await WebSocketClient.open(server.url('echo.ws'))
      ws.send('x'.repeat(100_000))
      const head = await openSocket({ port: server.port('echo.ws') })
      head.write('GET /')
      head.resetAndDestroy()
      if (!head.destroyed) await once(head, 'close')
    }
  })
  await waitUntil('nothing is left', async () => (await server.metrics()).sum('polyloop_shard_connections') === 0)
  await waitUntil('the descriptors are back', () => server.descriptors() <= before + 4)
})

const UPGRADE = `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`

/** mulberry32: small, seeded, good enough to be hostile. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
