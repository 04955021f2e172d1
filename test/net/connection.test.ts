import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Connection } from '../../src/net/connection.ts'
import type { TcpHandler } from '../../src/net/handler.ts'
import type { CloseReason } from '../../src/observe/family.ts'
import { closedColumn, FIGURE, figureOf } from '../../src/observe/figure.ts'
import { LoopFixture, Received, turn, until } from './loop-fixture.ts'

const echo: TcpHandler<void> = { data: (connection, bytes) => void connection.send(bytes) }

test('connection: bytes come back, and are counted both ways', async () => {
  await using fixture = new LoopFixture()
  const { client } = await fixture.pair(echo)
  const received = new Received(client)
  client.write('hello')
  await until('echo', () => received.text === 'hello')
  assert.equal(figureOf(fixture.figures, FIGURE.bytesIn), 5)
  assert.equal(figureOf(fixture.figures, FIGURE.bytesOut), 5)
})

test('connection: bytes read before the handover come first', async () => {
  await using fixture = new LoopFixture()
  const { client } = await fixture.pair(echo, { head: 'head ' })
  const received = new Received(client)
  client.write('tail')
  await until('both', () => received.text === 'head tail')
})

test('connection: sends of one turn arrive as one piece, in order', async () => {
  await using fixture = new LoopFixture()
  const pieces: string[] = []
  const shared = Buffer.from('<shared>')
  const { client } = await fixture.pair({
    data(connection) {
      connection.send('a')
      connection.sendFrame(shared)
      connection.send('b')
      connection.send('c')
    },
  })
  client.on('data', (data: Buffer) => pieces.push(data.toString()))
  client.write('x')
  await until('data', () => pieces.length > 0)
  assert.deepEqual(pieces, ['a<shared>bc'])
})

test('connection: a send from a promise leaves too', async () => {
  await using fixture = new LoopFixture()
  const { client } = await fixture.pair({
    async data(connection, bytes) {
      const text = bytes.toString()
      await turn()
      connection.send(`late ${text}`)
    },
  })
  const received = new Received(client)
  client.write('x')
  await until('late answer', () => received.text === 'late x')
})

test('connection: large messages and small ones keep their order', async () => {
  await using fixture = new LoopFixture()
  const large = 'L'.repeat(300_000)
  const { client } = await fixture.pair({
    data(connection) {
      connection.send('1')
      connection.send(large)
      connection.send('2')
    },
  })
  const received = new Received(client)
  client.write('x')
  await until('all', () => received.text.length === large.length + 2)
  assert.equal(received.text, `1${large}2`)
})

test('connection: what a handler did not take comes again in front of the next bytes', async () => {
  await using fixture = new LoopFixture()
  const seen: string[] = []
  const { client } = await fixture.pair({
    data(_connection, bytes) {
      seen.push(bytes.toString())
      return bytes.length < 4 ? 0 : bytes.length
    },
  })
  client.write('ab')
  await until('first', () => seen.length === 1)
  client.write('cd')
  await until('second', () => seen.length === 2)
  assert.deepEqual(seen, ['ab', 'abcd'])
})

test('connection: a handler that takes nothing for ever is closed at the receive limit', async () => {
  await using fixture = new LoopFixture({ receiveBufferBytes: 64 * 1024 })
  const { client } = await fixture.pair({ data: () => 0 })
  client.on('error', () => {})
  const received = new Received(client)
  client.write('x'.repeat(200_000))
  await until('close', () => received.ended)
  client.end()
  await until('counted', () => figureOf(fixture.figures, closedColumn('too_large')) === 1)
})

test('connection: pause keeps what came, resume hands it over, the rest follows', async () => {
  await using fixture = new LoopFixture()
  let seen = ''
  const { client, connection } = await fixture.pair({
    data(one, bytes) {
      seen += bytes.toString('latin1', 0, 1)
      one.pause()
      return 1
    },
  })
  client.write('abc')
  await until('first', () => seen === 'a')
  client.write('d')
  for (let n = 0; n < 20; n++) await turn()
  assert.equal(seen, 'a')
  for (const wanted of ['ab', 'abc', 'abcd']) {
    connection.resume()
    await until(wanted, () => seen === wanted)
  }
})

test('connection: a client that does not read is paused, and nothing is lost when it does', async () => {
  await using fixture = new LoopFixture({ sendBufferHighBytes: 64 * 1024, sendBufferLowBytes: 16 * 1024 })
  let paused = 0
  const { client, connection } = await fixture.pair({
    data(one, bytes) {
      if (one.send(bytes)) return
      paused++
      one.pause()
    },
    writable: (one) => one.resume(),
  })
  client.pause()
  const total = 24 * 1024 * 1024
  let written = 0
  const chunk = Buffer.alloc(256 * 1024, 'x')
  const write = (): void => {
    while (written < total) {
      written += chunk.length
      if (!client.write(chunk)) return void client.once('drain', write)
    }
  }
  write()
  await until('paused', () => connection.paused)
  assert.ok(connection.bufferedBytes < 2 * 1024 * 1024, `holds ${connection.bufferedBytes} bytes`)
  const received = new Received(client, false)
  client.resume()
  await until('everything', () => received.bytes === total)
  assert.ok(paused > 0)
  await until('books are even', () => fixture.loop.unsentBytes === 0)
})

test('connection: writable comes even when the limit is small and the kernel takes all', async () => {
  await using fixture = new LoopFixture({ sendBufferHighBytes: 1024, sendBufferLowBytes: 256 })
  let writable = 0
  let answer: boolean | undefined
  const { client } = await fixture.pair({
    data(connection) {
      answer = connection.send('x'.repeat(2000))
    },
    writable: () => void writable++,
  })
  client.write('x')
  client.resume()
  await until('writable', () => writable === 1)
  assert.equal(answer, false)
})

test('connection: over the send limit it is closed as too slow, after what was queued', async () => {
  await using fixture = new LoopFixture({ sendBufferMaxBytes: 8 * 1024 * 1024 })
  const reasons: CloseReason[] = []
  const { client, connection } = await fixture.pair({
    data: () => {},
    close: (_one, reason) => void reasons.push(reason),
  })
  client.pause()
  const chunk = 'x'.repeat(1024 * 1024)
  let sent = 0
  for (; connection.open && sent < 40; sent++) {
    connection.send(chunk)
    await turn()
  }
  assert.ok(sent < 40, 'it was closed')
  const received = new Received(client, false)
  client.resume()
  await until('the end', () => received.ended)
  assert.equal(received.bytes, sent * chunk.length)
  client.end()
  await until('closed', () => reasons.length === 1)
  assert.deepEqual(reasons, ['too_slow'])
})

test('connection: a too slow peer that never reads is dropped after the close timeout', async () => {
  await using fixture = new LoopFixture({ sendBufferMaxBytes: 1024 * 1024, closeTimeoutMs: 5000 })
  const { client, connection } = await fixture.pair({ data: () => {} })
  client.pause()
  client.on('error', () => {})
  while (connection.open) {
    connection.send('x'.repeat(1024 * 1024))
    await turn()
  }
  fixture.timers.run(4900)
  assert.equal(fixture.loop.size, 1)
  fixture.timers.run(400)
  await until('dropped', () => fixture.loop.size === 0)
  assert.equal(fixture.loop.unsentBytes, 0)
})

test('connection: over the memory of the process the slowest receiver goes first', async () => {
  await using fixture = new LoopFixture({ memoryBytes: 24 * 1024 * 1024, sendBufferMaxBytes: 1024 ** 3 })
  const slow = await fixture.pair({ data: () => {} })
  const slower = await fixture.pair({ data: () => {} })
  for (const { client } of [slow, slower]) client.pause().on('error', () => {})
  slow.connection.send('x'.repeat(8 * 1024 * 1024))
  await turn()
  for (let n = 0; n < 30 && slower.connection.open; n++) {
    slower.connection.send('x'.repeat(1024 * 1024))
    await turn()
  }
  await until('the slower one is dropped', () => fixture.loop.size === 1)
  assert.equal(fixture.loop.get(slow.connection.id), slow.connection)
})

test('connection: the idle timeout is never early, moves with traffic, and fires once', async () => {
  await using fixture = new LoopFixture()
  const reasons: CloseReason[] = []
  const { client, connection } = await fixture.pair({
    data: (one, bytes) => void one.send(bytes),
    close: (_one, reason) => void reasons.push(reason),
  })
  connection.setTimeout(1000)
  fixture.timers.run(0)
  const received = new Received(client)
  fixture.timers.run(900)
  client.write('x')
  await until('echo', () => received.text === 'x')
  fixture.timers.run(990)
  assert.equal(connection.open, true)
  fixture.timers.run(300)
  await until('FIN', () => received.ended)
  client.end()
  await until('closed', () => reasons.length === 1)
  assert.deepEqual(reasons, ['idle_timeout'])
  assert.equal(fixture.timers.wheel.stats.scheduled, 0)
})

test('connection: a timeout handler decides instead', async () => {
  await using fixture = new LoopFixture()
  let timeouts = 0
  const { connection } = await fixture.pair({ data: () => {}, timeout: () => void timeouts++ })
  connection.setTimeout(100)
  fixture.timers.run(0)
  fixture.timers.run(110)
  assert.equal(timeouts, 1)
  fixture.timers.run(110)
  assert.equal(timeouts, 2)
  connection.setTimeout(0)
  fixture.timers.run(1000)
  assert.equal(timeouts, 2)
  assert.equal(connection.open, true)
})

test('connection: half-close: what was queued is sent, then FIN', async () => {
  await using fixture = new LoopFixture()
  const { client } = await fixture.pair(echo)
  const received = new Received(client)
  client.end('last words')
  await until('FIN', () => received.ended)
  assert.equal(received.text, 'last words')
  await until('gone', () => fixture.loop.size === 0)
  assert.equal(figureOf(fixture.figures, closedColumn('client')), 1)
})

test('connection: with an end handler a half-closed connection goes on sending', async () => {
  await using fixture = new LoopFixture()
  let ended: Connection<void> | undefined
  const { client } = await fixture.pair<void>({
    data: () => {},
    end(connection) {
      ended = connection
    },
  })
  const received = new Received(client)
  client.end()
  await until('end', () => ended !== undefined)
  ended?.send('still here')
  await until('answer', () => received.text === 'still here')
  ended?.close()
  await until('gone', () => fixture.loop.size === 0)
})

test('connection: close waits for the peer, up to the close timeout', async () => {
  await using fixture = new LoopFixture()
  const { client, connection } = await fixture.pair(echo)
  const received = new Received(client)
  connection.send('bye')
  connection.close()
  assert.equal(connection.send('more'), true)
  await until('FIN', () => received.ended)
  assert.equal(received.text, 'bye')
  assert.equal(fixture.loop.size, 1)
  fixture.timers.run(5200)
  await until('dropped', () => fixture.loop.size === 0)
  assert.equal(figureOf(fixture.figures, closedColumn('server')), 1)
})

for (const [how, data] of [
  ['throws', () => assert.fail('boom')],
  ['rejects', () => Promise.reject(new Error('boom'))],
] as const) {
  test(`connection: a handler that ${how} ends its own connection only`, async () => {
    await using fixture = new LoopFixture()
    const other = await fixture.pair(echo)
    const { client } = await fixture.pair({ data })
    const received = new Received(client)
    client.write('x')
    await until('FIN', () => received.ended)
    client.end()
    await until('counted', () => figureOf(fixture.figures, closedColumn('handler_error')) === 1)
    assert.equal(fixture.failures.length, 1)
    const echoed = new Received(other.client)
    other.client.write('alive')
    await until('the other lives', () => echoed.text === 'alive')
  })
}

test('connection: a reset by the peer is the client leaving', async () => {
  await using fixture = new LoopFixture()
  const { client } = await fixture.pair(echo)
  client.resetAndDestroy()
  await until('gone', () => fixture.loop.size === 0)
  assert.equal(figureOf(fixture.figures, closedColumn('client')), 1)
})

test('connection: low priority is served within its budget, the others at once', async () => {
  await using fixture = new LoopFixture({ lowPriorityBudget: 2 })
  const order: string[] = []
  const log = (name: string): TcpHandler<void> => ({ data: () => void order.push(name) })
  const low = await Promise.all(Array.from({ length: 6 }, (_, n) => fixture.pair(log(`low${n}`))))
  const high = await fixture.pair(log('high'))
  for (const { connection } of low) connection.lowPriority = true
  for (const { client } of low) client.write('x')
  high.client.write('x')
  await until('all', () => order.length === 7)
  assert.ok(order.indexOf('high') < 6, `high was not last: ${order}`)
  // Nothing is lost behind the budget, and later bytes still come.
  low[5]?.client.write('y')
  await until('again', () => order.length === 8)
})

test('connection: outbound connections open, talk and fail through their handler', async () => {
  await using fixture = new LoopFixture()
  const { createServer } = await import('node:net')
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  let answer = ''
  const events: string[] = []
  const handler: TcpHandler<string> = {
    open(connection) {
      connection.send('ping')
      return 'open'
    },
    data(connection, bytes) {
      answer += bytes.toString()
      connection.close()
    },
    close: (_one, reason) => void events.push(reason),
  }
  const { StreamFraming } = await import('../../src/net/tcp.ts')
  fixture.loop.connect({ address: '127.0.0.1', port }, (one) => new StreamFraming(one, handler as TcpHandler))
  await until('closed', () => events.length === 1)
  assert.equal(answer, 'ping')
  server.close()
  await once(server, 'close')
  fixture.loop.connect({ address: '127.0.0.1', port }, (one) => new StreamFraming(one, handler as TcpHandler))
  await until('refused', () => events.length === 2)
  assert.deepEqual(events, ['server', 'error'])
})

test('connection: a peer that half-closed and reads slowly gets everything, however long that takes', async () => {
  await using fixture = new LoopFixture({ closeTimeoutMs: 1000, sendBufferMaxBytes: 1024 ** 3 })
  const { client, connection } = await fixture.pair({ data: () => {} })
  connection.setTimeout(500)
  fixture.timers.run(0)
  client.pause()
  const total = 16 * 1024 * 1024
  connection.send('x'.repeat(total))
  client.end()
  await until('half-close', () => !connection.open)
  let bytes = 0
  let ended = false
  client.on('end', () => {
    ended = true
  })
  client.on('data', (data: Buffer) => {
    bytes += data.length
    client.pause()
  })
  while (!ended) {
    // Far longer in all than the close timeout, with a part read in each fraction of it.
    for (let n = 0; n < 40; n++) {
      client.resume()
      await turn()
    }
    fixture.timers.run(300)
  }
  assert.equal(bytes, total)
  assert.equal(fixture.loop.cutOff, 0)
})

test('connection: a peer that half-closed and never reads is dropped, and counted as cut off', async () => {
  await using fixture = new LoopFixture({ closeTimeoutMs: 1000, sendBufferMaxBytes: 1024 ** 3 })
  const { client, connection } = await fixture.pair({ data: () => {} })
  client.on('error', () => {})
  client.pause()
  connection.send('x'.repeat(16 * 1024 * 1024))
  client.end()
  await until('half-close', () => !connection.open)
  fixture.timers.run(0)
  for (let n = 0; n < 8 && fixture.loop.size > 0; n++) {
    fixture.timers.run(1100)
    for (let m = 0; m < 10; m++) await turn()
  }
  assert.equal(fixture.loop.size, 0)
  assert.equal(fixture.loop.cutOff, 1)
})

test('connection: what is sent outside of a turn counts as traffic when it is sent', async () => {
  await using fixture = new LoopFixture()
  const { client, connection } = await fixture.pair({ data: () => {} })
  const received = new Received(client)
  connection.setTimeout(2000)
  fixture.timers.run(1500)
  connection.send('x')
  await until('sent', () => received.text === 'x')
  fixture.timers.run(1900)
  assert.equal(connection.open, true)
  fixture.timers.run(400)
  await until('idle', () => received.ended)
})

test('connection: a close code that may not be sent is refused, and ends the connection as a failing handler', async () => {
  await using fixture = new LoopFixture()
  const { client } = await fixture.pair({ data: (connection) => connection.close(99999) })
  const received = new Received(client)
  client.write('x')
  await until('FIN', () => received.ended)
  assert.match(String(fixture.failures[0]), /99999 is no close code/)
})

test('connection: an open that rejects ends the connection', async () => {
  await using fixture = new LoopFixture()
  const { client } = await fixture.pair({ open: () => Promise.reject(new Error('no')), data: () => {} })
  const received = new Received(client)
  await until('FIN', () => received.ended)
  assert.equal(fixture.failures.length, 1)
})
