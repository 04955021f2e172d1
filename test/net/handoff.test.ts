import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { PolyloopError } from '../../src/lib/errors.ts'
import { selfTest, type TcpHandle, takeHandles } from '../../src/net/handoff.ts'
import { openDatagramSockets, openServers } from '../../src/net/listen.ts'
import { DATAGRAM_HEAD_BYTES_MAX, decodeRoute, encodeRoute, routeBytes } from '../../src/net/record.ts'
import type { SessionOf } from '../../src/net/session-key.ts'
import { Sniffer, type SniffResult } from '../../src/net/sniffer.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { until } from './loop-fixture.ts'

test('handoff: the self-test passes on the pinned Node', async () => {
  assert.equal(await selfTest(), true)
})

/** Sniffs one connection that writes `segments`, each after the one before was seen. */
async function sniff(
  segments: readonly string[],
  options: { sessionOf?: SessionOf; proxyProtocol?: boolean; bytesMax?: number; end?: boolean; waitMs?: number },
): Promise<SniffResult> {
  const timers = new ManualTimers()
  const sniffer = new Sniffer({ wheel: timers.wheel, bytesMax: options.bytesMax ?? 8192, timeoutMs: 5000 })
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  let result: SniffResult | undefined
  let reads = 0
  const sessionOf: SessionOf | undefined =
    options.sessionOf === undefined
      ? undefined
      : (head, start, end, fresh) => {
          reads++
          return (options.sessionOf as SessionOf)(head, start, end, fresh)
        }
  const task = { sessionOf, proxyProtocol: options.proxyProtocol ?? false }
  takeHandles(
    server,
    (handle: TcpHandle) =>
      sniffer.add(handle, task, (found) => {
        result = found
      }),
    () => {},
  )
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => {})
  await once(client, 'connect')
  for (const segment of segments) {
    const before = reads
    client.write(segment)
    await until('segment read', () => result !== undefined || reads > before || sessionOf === undefined)
  }
  if (options.end === true) client.end()
  timers.run(0)
  if (options.waitMs !== undefined) timers.run(options.waitMs)
  await until('a decision', () => result !== undefined)
  if (result?.state === 'found' || result?.state === 'invalid') result.handle.close()
  client.destroy()
  server.close()
  assert.equal(timers.wheel.stats.scheduled, 0)
  return result as SniffResult
}

const firstLine: SessionOf = (head, start, end) => {
  const text = Buffer.from(head.subarray(start, end)).toString('latin1')
  if (!text.includes('\n')) return { state: 'more' }
  return text.startsWith('key=') ? { state: 'key', key: text.slice(4, text.indexOf('\n')) } : { state: 'none' }
}

function headOf(result: SniffResult): string {
  return result.state === 'found' ? Buffer.from(result.head ?? []).toString('latin1') : result.state
}

test('sniffer: a key in one segment, with everything read travelling on', async () => {
  const result = await sniff(['key=alice\nrest'], { sessionOf: firstLine })
  assert.equal(result.state === 'found' && result.key, 'alice')
  assert.equal(headOf(result), 'key=alice\nrest')
})

test('sniffer: a key over several segments', async () => {
  const result = await sniff(['ke', 'y=al', 'ice', '\n'], { sessionOf: firstLine })
  assert.equal(result.state === 'found' && result.key, 'alice')
  assert.equal(headOf(result), 'key=alice\n')
})

test('sniffer: no key in the protocol', async () => {
  const result = await sniff(['other\n'], { sessionOf: firstLine })
  assert.equal(result.state === 'found' && result.key, undefined)
  assert.equal(headOf(result), 'other\n')
})

test('sniffer: at the byte limit it gives up, and keeps the bytes', async () => {
  const result = await sniff(['x'.repeat(63), 'y'], { sessionOf: firstLine, bytesMax: 64 })
  assert.equal(result.state === 'found' && result.key, undefined)
  assert.equal(headOf(result).length, 64)
})

test('sniffer: at the time limit it gives up, and keeps the bytes', async () => {
  const result = await sniff(['key='], { sessionOf: firstLine, waitMs: 5300 })
  assert.equal(result.state === 'found' && result.key, undefined)
  assert.equal(headOf(result), 'key=')
})

test('sniffer: a half-close before the key leaves the decision to the shard', async () => {
  const result = await sniff(['key='], { sessionOf: firstLine, end: true })
  assert.equal(headOf(result), 'key=')
})

test('sniffer: a PROXY header gives the address and is taken off', async () => {
  const result = await sniff(['PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n', 'key=bob\n'], {
    sessionOf: firstLine,
    proxyProtocol: true,
  })
  assert.ok(result.state === 'found')
  assert.equal(result.key, 'bob')
  assert.equal(result.source?.address, '192.0.2.7')
  assert.equal(result.source?.port, 4711)
  assert.equal(headOf(result), 'key=bob\n')
})

test('sniffer: without the PROXY header that is demanded a connection is invalid', async () => {
  assert.equal((await sniff(['GET / HTTP/1.1\r\n'], { proxyProtocol: true })).state, 'invalid')
  assert.equal((await sniff([], { proxyProtocol: true, waitMs: 5300 })).state, 'invalid')
})

test('listen: localhost is both loopback addresses on one port; a taken port is LISTEN_FAILED', async () => {
  const opened = await openServers('localhost', 0, 16, () => createServer())
  const { port } = opened[0] as { port: number }
  assert.ok(opened.every((one) => one.port === port))
  await assert.rejects(
    openServers('127.0.0.1', port, 16, () => createServer()),
    (error: unknown) =>
      error instanceof PolyloopError && error.code === 'LISTEN_FAILED' && error.details.reason === 'EADDRINUSE',
  )
  for (const { socket } of opened) socket.close()
  const sockets = await openDatagramSockets('localhost', 0)
  assert.ok(sockets.every((one) => one.port === sockets[0]?.port))
  for (const { socket } of sockets) socket.close()
})

test('record: the route of a datagram survives the way', () => {
  const target = Buffer.alloc(DATAGRAM_HEAD_BYTES_MAX)
  fc.assert(
    fc.property(
      fc.record({
        listener: fc.nat(65535),
        socket: fc.nat(255),
        address: fc.oneof(fc.ipV4(), fc.ipV6()),
        port: fc.nat(65535),
        session: fc.string({ unit: 'binary', maxLength: 256 }),
      }),
      (route) => {
        const bytes = encodeRoute(target, route)
        assert.equal(routeBytes(target, 0), bytes)
        assert.deepEqual(decodeRoute(target, 0), { ...route })
      },
    ),
  )
  const route = { listener: 0, socket: 0, address: 'x'.repeat(64), port: 0, session: 'x'.repeat(1024) }
  assert.equal(encodeRoute(target, route), DATAGRAM_HEAD_BYTES_MAX)
  assert.equal(encodeRoute(target, { ...route, address: 'x'.repeat(65) }), 0)
  assert.equal(encodeRoute(target, { ...route, session: 'x'.repeat(1025) }), 0)
})
