// Servers that misbehave in a known way: the report must say exactly what they did.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { WebSocket } from 'ws'
import { assertClean, CLOSED, echo, LOSSY, load, OPEN, SHORT, tcpServer, udpServer, wsServer } from './load-server.ts'

test('load-test: UDP: order is free, losses and duplicates are counted', async () => {
  {
    await using server = await udpServer((datagram) => [datagram])
    assertClean(await load(server.url, SHORT))
  }
  let dropped = 0
  let doubled = 0
  await using server = await udpServer((datagram, number) => {
    if (number % 10 === 0) dropped++
    if (number % 10 === 0) return []
    if (number % 10 === 5) doubled++
    return number % 10 === 5 ? [datagram, datagram] : [datagram]
  })
  // One connection: the number of a message in the server is its order.
  const { status, run } = await load(server.url, { ...OPEN, ...LOSSY, connections: 1 })
  assert.equal(status, 1)
  assert.ok(dropped > 10 && doubled > 10)
  assert.deepEqual(run.errors.kinds, { duplicate: doubled, lost: dropped })
  assert.equal(run.messages.missing, dropped)
})

test('load-test: a server that drops every tenth message', async () => {
  let dropped = 0
  await using server = await wsServer((socket, message, number) => {
    if (number % 10 === 0) dropped++
    else echo(socket, message, number)
  })
  const { status, run } = await load(server.url, { ...OPEN, ...LOSSY })
  assert.equal(status, 1)
  assert.ok(dropped >= 20)
  const { lost = 0, timeout = 0, ...others } = run.errors.kinds
  assert.deepEqual(others, {})
  // The last message of a connection has no later one that could prove its loss.
  assert.ok(timeout <= 4, `${timeout} timeouts`)
  assert.equal(lost + timeout, dropped)
  assert.equal(run.messages.missing, dropped)
  // Missing messages are in the histogram, with the time waited.
  assert.equal(run.latency.count, run.messages.sent)
  assert.ok(run.latency.p95Ns > 490e6, `P95 ${run.latency.p95Ns}`)
})

test('load-test: a server that answers every tenth message twice', async () => {
  let doubled = 0
  await using server = await wsServer((socket, message, number) => {
    echo(socket, message, number)
    if (number % 10 === 0) echo(socket, message, number)
    if (number % 10 === 0) doubled++
  })
  const { status, run } = await load(server.url, CLOSED)
  assert.equal(status, 1)
  assert.ok(doubled > 5)
  assert.deepEqual(run.errors.kinds, { duplicate: doubled })
  assert.equal(run.messages.missing, 0)
})

test('load-test: a server that damages every tenth message, in its head or behind it', async () => {
  let damaged = 0
  await using server = await wsServer((socket, message, number) => {
    if (number % 10 === 0) message[(damaged++ * 7) % message.length] = 0x7e // no digit of ours
    echo(socket, message, number)
  })
  const { status, run } = await load(server.url, CLOSED)
  assert.equal(status, 1)
  assert.ok(damaged > 5)
  assert.deepEqual(run.errors.kinds, { mismatch: damaged })
  assert.equal(run.messages.wrong, damaged)
  assert.equal(run.messages.missing, 0)
})

test('load-test: a server that swaps every tenth message with the next', async () => {
  let held: Buffer | undefined
  let swapped = 0
  await using server = await wsServer((socket, message, number) => {
    if (number % 10 === 0) held = Buffer.from(message)
    else echo(socket, message, number)
    if (number % 10 !== 1 || held === undefined) return
    echo(socket, held, number)
    held = undefined
    swapped++
  })
  const { status, run } = await load(server.url, { ...CLOSED, ...LOSSY, connections: 1 })
  assert.equal(status, 1)
  assert.ok(swapped > 5)
  const { timeout = 0, ...others } = run.errors.kinds
  assert.deepEqual(others, { reordered: swapped })
  assert.equal(timeout, held === undefined ? 0 : 1)
})

test('load-test: a server that answers to the wrong connection', async () => {
  let mistaken = 0
  const seen: WebSocket[] = []
  await using server = await wsServer((socket, message, number) => {
    if (!seen.includes(socket)) seen.push(socket)
    const other = seen.find((candidate) => candidate !== socket)
    if (number % 10 !== 0 || other === undefined) return echo(socket, message, number)
    mistaken++
    echo(other, message, number)
  })
  const { run } = await load(server.url, { ...OPEN, ...LOSSY })
  assert.ok(mistaken > 10)
  assert.equal(run.errors.kinds.foreign, mistaken)
  assert.equal(run.messages.missing, mistaken)
})

test('load-test: a server that stalls for 300 ms: the open loop shows it', async () => {
  let number = 0
  const stalled: (() => void)[] = []
  await using server = await wsServer((socket, message) => {
    number++
    if (number === 100) {
      setTimeout(() => {
        for (const late of stalled.splice(0)) late()
      }, 300)
    }
    const answer = (): void => socket.send(message, { binary: false })
    if (number >= 100 && (number === 100 || stalled.length > 0)) stalled.push(answer)
    else answer()
  })
  const outcome = await load(server.url, { ...OPEN, duration: '400ms' })
  assertClean(outcome)
  // Of 400 messages in 400 ms, 300 fell into the stall and waited 150 ms on average.
  const { p50Ns, p95Ns, maxNs } = outcome.run.latency
  assert.ok(p50Ns > 50e6 && p95Ns > 200e6 && maxNs > 290e6, `P50 ${p50Ns} P95 ${p95Ns} Max ${maxNs}`)
})

test('load-test: a silent server: messages time out, and late answers are called late', async () => {
  let held = 0
  await using server = await wsServer((socket, message, number) => {
    held++
    setTimeout(() => socket.readyState === socket.OPEN && echo(socket, message, number), 200)
  })
  const { status, run } = await load(server.url, { ...SHORT, timeout: '60ms', duration: '300ms' })
  assert.equal(status, 1)
  assert.equal(run.errors.kinds.timeout, held)
  assert.equal(run.messages.missing, held)
  assert.ok((run.errors.kinds.late ?? 0) > 0)
})

test('load-test: a server that closes connections', async () => {
  await using server = await wsServer((socket, message, number) => {
    if (number > 40) socket.close(1011, 'tired')
    else echo(socket, message, number)
  })
  const { status, run } = await load(server.url, OPEN)
  assert.equal(status, 1)
  assert.equal(run.endedEarly, 'no connection left')
  assert.equal(run.errors.kinds.closed, 4)
  assert.deepEqual(run.errors.details, { 'closed: 1011 tired': 4 })
  assert.equal(run.errors.kinds.lost, run.messages.missing)
  assert.equal(run.messages.answered, 40)
  assert.equal(run.connections.closedEarly, 4)
})

test('load-test: servers that are not there, or refuse', async () => {
  const http = createHttpServer((_request, response) => response.writeHead(503).end())
  http.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n'))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const { port } = http.address() as AddressInfo
  const rejected = await load(`ws://127.0.0.1:${port}`, SHORT)
  assert.deepEqual(rejected.run.errors, { total: 4, kinds: { rejected: 4 }, details: { 'rejected: HTTP 503': 4 } })
  http.close()
  await once(http, 'close')
  for (const scheme of ['ws', 'tcp']) {
    const { status, run } = await load(`${scheme}://127.0.0.1:${port}`, SHORT)
    assert.equal(status, 1)
    assert.equal(run.endedEarly, 'no connection left')
    assert.deepEqual(run.errors, { total: 4, kinds: { refused: 4 }, details: {} })
    assert.equal(run.connections.failed, 4)
    assert.deepEqual(run.throughput, { measuredMs: 0, answers: 0, answersPerSecond: 0 })
  }
  const { run } = await load(`udp://127.0.0.1:${port}`, SHORT)
  assert.equal(run.errors.kinds.refused, 4)
})

test('load-test: a server that never finishes the handshake', async () => {
  await using server = await tcpServer((socket) => socket.resume())
  const { run } = await load(server.url.replace('tcp', 'ws'), { ...SHORT, ...LOSSY })
  assert.deepEqual(run.errors, { total: 4, kinds: { 'connect-timeout': 4 }, details: {} })
})
