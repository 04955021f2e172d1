// Clients that write without reading, or do not read at all: memory stays bounded, and nobody else waits.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { LineClient, openSocket } from '../harness/line-client.ts'
import { NumberedEcho } from '../harness/numbered-echo.ts'
import { startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { pause, waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const MIB = 1024 * 1024
const UNREAD_BYTES = 100 * MIB
const GROWTH_BYTES_MAX = 16 * MIB
const SEND_MAX_BYTES = 2 * MIB
/** So much that it fits neither the limit nor the kernel's buffers. */
const PUSH_BYTES = 16 * MIB
const SHARDS = 2

/** Writes until `bytes` are written or nothing moves for a while; answers how many the kernel took. */
async function pour(socket: Socket, chunk: Buffer, bytes: number): Promise<number> {
  let given = 0
  let moved = 0
  while (given < bytes) {
    given += chunk.length
    if (socket.write(chunk)) continue
    const stuckAt = socket.bytesWritten - socket.writableLength
    const drained = new Promise<boolean>((resolve) => socket.once('drain', () => resolve(true)))
    if (!(await Promise.race([drained, pause(1_000).then(() => false)]))) break
    moved = stuckAt
  }
  return Math.max(moved, given - socket.writableLength)
}

for (const mode of ['prefixed', 'raw'] as const) {
  test(`slow client: in ${mode} mode 100 MiB written without reading raise memory by at most 16 MiB`, async () => {
    await using server = await startServer({ shards: 1, settings: { 'services.echo.mode': mode } })
    // Warm: what the first megabytes cost once is no growth.
    using warm = await LineClient.open({ port: server.port('echo.tcp') })
    for (let round = 0; round < 20; round++) await warm.ask('x'.repeat(60_000))
    const before = server.rss()
    const socket = await openSocket({ port: server.port('echo.tcp') })
    socket.pause()
    const taken = await pour(socket, Buffer.alloc(64 * 1024, `${'y'.repeat(99)}\n`), UNREAD_BYTES)
    assert.ok(taken < UNREAD_BYTES / 2, `the server stopped reading: ${taken} bytes taken`)
    const grown = server.rss() - before
    assert.ok(grown <= GROWTH_BYTES_MAX, `${(grown / MIB).toFixed(1)} MiB more`)
    assert.match((await warm.ask('still')) ?? '', /still$/)
    // Nothing is lost: it all comes back when the client reads after all.
    let received = 0
    socket.on('data', (bytes: Buffer) => {
      received += bytes.length
    })
    socket.end()
    socket.resume()
    await within('the rest', new Promise((resolve) => socket.once('end', resolve)), 60_000)
    assert.ok(received >= socket.bytesWritten, `${received} of ${socket.bytesWritten}`)
    socket.destroy()
  })
}

test('slow client: a WebSocket that writes without reading is paused too', async () => {
  await using server = await startServer({ shards: 1 })
  using warm = await WebSocketClient.open(server.url('echo.ws'))
  for (let round = 0; round < 20; round++) await warm.ask('x'.repeat(60_000))
  const before = server.rss()
  using client = await WebSocketClient.open(server.url('echo.ws'))
  client.raw.pause()
  const message = Buffer.alloc(64 * 1024, 'z')
  const count = UNREAD_BYTES / message.length
  for (let index = 0; index < count; index++) client.send(message)
  // The client's own queue stops shrinking when the server does not read any more.
  let waiting = Number.POSITIVE_INFINITY
  for (;;) {
    const now = client.raw.bufferedAmount
    if (now === waiting) break
    waiting = now
    await pause(500)
  }
  assert.ok(waiting > UNREAD_BYTES / 2, `the server stopped reading: ${waiting} bytes wait here`)
  const grown = server.rss() - before
  assert.ok(grown <= GROWTH_BYTES_MAX, `${(grown / MIB).toFixed(1)} MiB more`)
  assert.equal(await warm.ask('still'), 'still')
  client.raw.resume()
  for (let index = 0; index < count; index++) assert.equal((await client.next(30_000))?.data.length, message.length)
})

test('slow client: what a service pushes beyond net.sendBuffer.max closes the connection as too slow', async () => {
  await using server = await startServer({
    shards: SHARDS,
    modules: ['test/harness/fault-service.ts'],
    settings: { 'net.sendBuffer.max': SEND_MAX_BYTES, 'net.sendBuffer.high': '1MiB', 'net.closeTimeout': '1s' },
  })
  using load = await NumberedEcho.open(server.url('echo.ws', `/?session=${sessionOn(1, SHARDS, 'echo')}`))
  const session = sessionOn(1, SHARDS, 'fault')
  const slow = async (): Promise<number> =>
    (await server.metrics()).sum('polyloop_net_closed_total', { reason: 'too_slow' })

  using ws = await WebSocketClient.open(server.url('fault.ws', `/?session=${session}`))
  using tcp = await LineClient.open({ port: server.port('fault.tcp') })
  assert.equal(await tcp.ask(`session ${session}`), '1')
  ws.raw.pause()
  tcp.socket.pause()
  ws.send(`push ${PUSH_BYTES}`)
  tcp.say(`push ${PUSH_BYTES}`)
  // They never read on, so after net.closeTimeout nobody waits for them any more.
  await waitUntil('both were dropped', async () => (await slow()) === 2)
  await waitUntil('nothing is unsent', async () => (await server.metrics()).sum('polyloop_net_unsent_bytes') === 0)
  ws.raw.resume()
  tcp.socket.resume()
  await within('the end of the WebSocket', ws.closed)
  await within('the end of TCP', tcp.ended)
  await load.stop()
  assert.equal(load.fault, undefined)
})

test('slow client: one that reads on within net.closeTimeout gets everything, and then 1008 "client too slow"', async () => {
  await using server = await startServer({
    shards: 1,
    modules: ['test/harness/fault-service.ts'],
    settings: { 'net.sendBuffer.max': SEND_MAX_BYTES, 'net.sendBuffer.high': '1MiB' },
  })
  using ws = await WebSocketClient.open(server.url('fault.ws'))
  ws.raw.pause()
  ws.send(`push ${PUSH_BYTES}`)
  await waitUntil('it waits', async () => (await server.metrics()).sum('polyloop_net_unsent_bytes') > 0)
  ws.raw.resume()
  let received = 0
  for (let message = await ws.next(); message !== undefined; message = await ws.next()) received += message.data.length
  assert.equal(received, PUSH_BYTES)
  assert.deepEqual(await within('the close', ws.closed), { code: 1008, reason: 'client too slow' })
})

test('slow client: a push that fits the limit arrives whole, however slowly it is read', async () => {
  await using server = await startServer({ shards: 1, modules: ['test/harness/fault-service.ts'] })
  using ws = await WebSocketClient.open(server.url('fault.ws'))
  ws.raw.pause()
  const bytes = 8 * MIB
  ws.send(`push ${bytes}`)
  await waitUntil('it waits', async () => (await server.metrics()).sum('polyloop_net_unsent_bytes') > 0)
  ws.raw.resume()
  let received = 0
  while (received < bytes) received += (await ws.next())?.data.length ?? bytes
  assert.equal(received, bytes)
  assert.equal(await ws.ask('still'), 'still')
})

test('slow client: above net.memory the slowest receivers go first, the rest stays', async () => {
  await using server = await startServer({
    shards: SHARDS,
    modules: ['test/harness/fault-service.ts'],
    settings: { 'net.memory': '24MiB', 'net.sendBuffer.max': '10MiB' },
  })
  const clients = await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      WebSocketClient.open(server.url('fault.ws', `/?session=${sessionOn(index % SHARDS, SHARDS, 'fault', index)}`)),
    ),
  )
  using small = await WebSocketClient.open(server.url('fault.ws'))
  for (const client of clients) {
    client.raw.pause()
    // Below the limit of each connection; of all together it is twice that of the process.
    client.send(`push ${9 * MIB}`)
  }
  await waitUntil('some were closed', async () => {
    return (await server.metrics()).sum('polyloop_net_closed_total', { reason: 'too_slow' }) > 0
  })
  await waitUntil('the sum is below the limit', async () => {
    return (await server.metrics()).sum('polyloop_net_unsent_bytes') <= 24 * MIB
  })
  assert.equal(await small.ask('still'), 'still')
  const closed = (await server.metrics()).sum('polyloop_net_closed_total', { reason: 'too_slow' })
  assert.ok(closed < clients.length, `${closed} were closed`)
  for (const client of clients) client.raw.terminate()
})
