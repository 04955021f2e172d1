// What handlers are asked and told beside their messages: last words, bytes for many, whether a connection may move; and
// who is told of slow clients.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../../src/net/connection.ts'
import type { TcpHandler, WebSocketHandler } from '../../src/net/handler.ts'
import type { CloseReason } from '../../src/observe/family.ts'
import { LoopFixture, Received, turn, until } from './loop-fixture.ts'
import { DRAIN_MS, MoveFixture, moved } from './move-fixture.ts'

const silent: TcpHandler = { data: () => {} }
const MEBIBYTE = 1024 * 1024

/** Says so when it is closed. */
function polite(said: CloseReason[]): TcpHandler & WebSocketHandler {
  return {
    data: () => {},
    message: () => {},
    closing(connection, reason) {
      said.push(reason)
      connection.send(`because ${reason}`)
    },
  } as TcpHandler & WebSocketHandler
}

test('closing: its words are the last before the end of a stream, for each reason of ours', async () => {
  const said: CloseReason[] = []
  await using fixture = new LoopFixture()
  for (const reason of ['shutdown', 'restart', 'too_large'] as const) {
    const { client, connection } = await fixture.pair(polite(said))
    const received = new Received(client)
    connection.send('before ')
    connection.closeFor(reason, 1001, '')
    connection.send('never')
    await until('the end', () => received.ended)
    assert.equal(received.text, `before because ${reason}`)
    client.end()
  }
  const { client, connection } = await fixture.pair(polite(said))
  const received = new Received(client)
  connection.setTimeout(1_000)
  fixture.timers.run(2_000)
  await until('the end', () => received.ended)
  assert.equal(received.text, 'because idle_timeout')
  assert.deepEqual(said, ['shutdown', 'restart', 'too_large', 'idle_timeout'])
})

test('closing: a WebSocket says it before its close frame', async () => {
  const said: CloseReason[] = []
  await using fixture = new MoveFixture({ ws: polite(said) })
  const { client, connection } = await fixture.pair()
  const received = new Received(client)
  connection.closeFor('shutdown', 1001, 'server shutting down')
  await until('the close frame', () => received.text.endsWith('server shutting down'))
  assert.equal(received.text.slice(2, 2 + 'because shutdown'.length), 'because shutdown')
  assert.equal(received.text.charCodeAt(2 + 'because shutdown'.length), 0x88)
})

test('closing: not for what the service knows, nor for the end the peer makes', async () => {
  const said: CloseReason[] = []
  await using fixture = new LoopFixture()
  const asked = await fixture.pair(polite(said))
  const failing = await fixture.pair({
    ...polite(said),
    data() {
      throw new Error('on purpose')
    },
  })
  const leaving = await fixture.pair(polite(said))
  const ends = [asked, failing].map(({ client }) => ({ client, received: new Received(client) }))
  asked.connection.close()
  failing.client.write('x')
  leaving.client.end()
  for (const { client, received } of ends) {
    await until('the end', () => received.ended)
    assert.equal(received.text, '')
    client.end()
  }
  await until('gone', () => fixture.loop.size === 0)
  assert.deepEqual(said, [])
  assert.equal(fixture.failures.length, 1)
})

test('closing: who is too slow still reads what waited, then why, then the end', async () => {
  const said: CloseReason[] = []
  await using fixture = new LoopFixture({ sendBufferMaxBytes: 4 * MEBIBYTE })
  const { client, connection } = await fixture.pair(polite(said))
  const other = await fixture.pair(silent)
  const ofOther = new Received(other.client)
  client.pause()
  const chunk = Buffer.alloc(MEBIBYTE, 'x')
  let sent = 0
  while (connection.open) {
    connection.send(chunk)
    sent += chunk.length
    await turn()
  }
  assert.deepEqual(said, ['too_slow'])
  other.connection.send('unharmed')
  const received = new Received(client)
  client.resume()
  await until('the end', () => received.ended)
  assert.equal(received.bytes, sent + 'because too_slow'.length)
  assert.ok(received.text.endsWith('xbecause too_slow'))
  await until('the other one', () => ofOther.text === 'unharmed')
})

test('closing: what it throws is reported and stops nothing; it may close, too', async () => {
  await using fixture = new LoopFixture()
  const throwing = await fixture.pair({
    ...silent,
    closing() {
      throw new Error('on purpose')
    },
  })
  const closing = await fixture.pair({ ...silent, closing: (connection) => connection.close() })
  for (const { client, connection } of [throwing, closing]) {
    const received = new Received(client)
    connection.closeFor('shutdown', 1001, '')
    await until('the end', () => received.ended)
    client.end()
  }
  assert.deepEqual(fixture.failures.map(String), ['Error: on purpose'])
})

test('shared: the handler may take bytes over, and lets them pass later', async () => {
  const held: [Uint8Array, number][] = []
  let holds = true
  await using fixture = new LoopFixture()
  const { client, connection } = await fixture.pair({
    ...silent,
    shared(_connection, bytes, messages) {
      if (holds) held.push([bytes, messages])
      return holds
    },
  })
  const received = new Received(client)
  connection.sendShared(Buffer.from('push '), 2)
  connection.send('answer ')
  await until('the answer', () => received.text === 'answer ')
  for (const [bytes, messages] of held) connection.sendShared(bytes, messages, true)
  holds = false
  connection.sendShared(Buffer.from('next'), 1)
  await until('all', () => received.text === 'answer push next')
  assert.deepEqual(
    held.map(([, messages]) => messages),
    [2],
  )
  const failing = await fixture.pair({
    ...silent,
    shared() {
      throw new Error('on purpose')
    },
  })
  failing.connection.sendShared(Buffer.from('x'), 1)
  assert.equal(failing.connection.open, false)
  assert.equal(fixture.failures.length, 1)
})

test('settled: a connection moves when its handler says so, looked at again with each output', async () => {
  let owed = 1
  await using fixture = new MoveFixture({
    tcp: { data: () => {}, settled: () => owed === 0, thaw: () => {} },
  })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  const arriving = moved(fixture, connection)
  for (let index = 0; index < 5; index++) await turn()
  assert.equal(fixture.loops[0].get(connection.id), connection)
  owed = 0
  connection.send('answer')
  const there = await arriving
  there.send(' and more')
  await until('both', () => received.text === 'answer and more')
})

test('settled: one that is not stays when the time is over, and is served', async () => {
  await using fixture = new MoveFixture({
    tcp: { data: (one, bytes) => void one.send(bytes), settled: () => false, thaw: () => {} },
  })
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  const results: boolean[] = []
  connection.drain(DRAIN_MS, (drained) => results.push(drained))
  client.write('held back')
  for (let index = 0; index < 5; index++) await turn()
  assert.equal(received.text, '')
  fixture.timers.run(2 * DRAIN_MS)
  await until('an answer', () => received.text === 'held back')
  assert.deepEqual(results, [false])
})

test('settled: what it throws ends the connection, as with every handler', async () => {
  await using fixture = new MoveFixture({
    tcp: {
      data: () => {},
      settled() {
        throw new Error('on purpose')
      },
      thaw: () => {},
    },
  })
  const { connection } = await fixture.pair<never>()
  assert.equal(await fixture.move(connection), undefined)
  assert.equal(connection.open, false)
  assert.equal(fixture.failures.length, 1)
})

test('slow: a client is reported once at 80 % of what may wait, and again only after it caught up', async () => {
  await using fixture = new LoopFixture({ sendBufferMaxBytes: 8 * MEBIBYTE })
  const reports: [number, number, number][] = []
  fixture.loop.onSlow = (...report) => reports.push(report)
  const { client, connection } = await fixture.pair(silent)
  const received = new Received(client, false)
  let sent = 0
  const fill = async (one: Connection<unknown>): Promise<void> => {
    client.pause()
    const before = reports.length
    while (reports.length === before) {
      one.send(Buffer.alloc(MEBIBYTE / 4))
      sent += MEBIBYTE / 4
      await turn()
    }
    for (let index = 0; index < 3; index++) {
      one.send('x')
      sent++
      await turn()
    }
    assert.equal(reports.length, before + 1)
    client.resume()
    await until('it caught up', () => received.bytes === sent && !one.congested)
  }
  await fill(connection)
  await fill(connection)
  for (const [service, id, bytes] of reports) {
    assert.deepEqual([service, id], [0, connection.id])
    assert.ok(bytes > 0.8 * 8 * MEBIBYTE && bytes <= 8 * MEBIBYTE)
  }
  assert.equal(connection.open, true)
})
