// The ways of HTTP connections out of their loop and protocol: the end of a shard, moves, upgrades.
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { Connection } from '../../src/net/connection.ts'
import { HTTP_SILENT_MS_MAX } from '../../src/net/http-framing.ts'
import { closedColumn, figureOf, openConnections } from '../../src/observe/figure.ts'
import { closedFor, echo, figure, get, HEAD_MS, open, post, ROW, statusesOf, TICK_MS } from './http-fixture.ts'
import { turn, until } from './loop-fixture.ts'
import { MoveFixture, moved } from './move-fixture.ts'

test('http: at the end of its shard a request is answered, and nothing is asked any more', async () => {
  const late: ServerResponse[] = []
  await using fixture = new MoveFixture({ http: (_request, response) => void late.push(response) })
  const idle = await open(fixture)
  const busy = await open(fixture)
  busy.client.write(get('/') + get('/more'))
  const half = await open(fixture)
  half.client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha')
  await until('asked', () => late.length === 2)
  for (const connection of fixture.loops[0].connections()) connection.closeFor('shutdown', 1001, 'server shutting down')
  await until('the idle one ends', () => idle.received.ended)
  half.client.write('lf')
  for (const response of late) response.end('last')
  await until('the others end', () => busy.received.ended && half.received.ended)
  for (const { received, bodies, client } of [busy, half]) {
    assert.deepEqual(bodies(), ['last'])
    assert.match(received.text, /Connection: close/)
    client.end()
  }
  idle.client.end()
  await until('gone', () => fixture.size === 0)
  assert.equal(late.length, 2)
  assert.equal(closedFor(fixture, 'shutdown'), 3)
})

test('http: what cannot move is retired: at once between two requests, else with the answer', async () => {
  const late: ServerResponse[] = []
  await using fixture = new MoveFixture({ http: (_request, response) => void late.push(response) })
  const idle = await open(fixture)
  const begun = await open(fixture)
  begun.client.write('GET / HTTP/1.1\r\n')
  await until('half a head', () => fixture.bytesIn > 0)
  const busy = await open(fixture)
  busy.client.write(get('/'))
  await until('asked', () => late.length === 1)
  for (const connection of fixture.loops[0].connections()) connection.retire()
  await until('the idle one ends', () => idle.received.ended)
  begun.client.write('Host: a\r\n\r\n')
  await until('asked', () => late.length === 2)
  for (const response of late) response.end('last')
  await until('the others end', () => busy.received.ended && begun.received.ended)
  for (const { received, bodies } of [busy, begun]) {
    assert.deepEqual(bodies(), ['last'])
    assert.match(received.text, /Connection: close/)
  }
})

test('http: a connection moves between two requests, and takes along what is pipelined', async () => {
  const late: ServerResponse[] = []
  await using fixture = new MoveFixture({
    http(request, response) {
      if (request.url === '/late') late.push(response)
      else echo(request, response)
    },
  })
  const { client, connection, bodies } = await open(fixture)
  client.write(get('/one'))
  await until('one', () => bodies().length === 1)
  const there = await moved(fixture, connection)
  client.write(get('/two') + get('/late') + post('/three', 'body'))
  await until('late', () => late.length === 1)
  const arriving = fixture.move(there as Connection<never>)
  await turn()
  assert.equal(fixture.at(connection.id), there, 'a request is in progress')
  late[0]?.end('late')
  const back = await arriving
  assert.ok(back !== undefined)
  await until('the rest', () => bodies().length === 4)
  assert.deepEqual(bodies(), ['GET /one ', 'GET /two ', 'late', 'POST /three body'])
  // The keep-alive goes on there.
  fixture.timers.run(HTTP_SILENT_MS_MAX + 1_000)
  fixture.timers.run(1)
  client.end()
  await until('the end', () => fixture.size === 0)
  assert.deepEqual(fixture.failures, [])
})

test('http: beside requests the same listener upgrades, also after one', async () => {
  await using fixture = new MoveFixture({
    http: echo,
    upgrade: { message: (connection, payload, isBinary) => void connection.send(payload, isBinary), thaw: () => {} },
  })
  const { client, received, bodies, connection } = await open(fixture)
  client.write(get('/plain', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n'))
  await until('an answer', () => bodies().length === 1)
  const key = 'dGhlIHNhbXBsZSBub25jZQ=='
  const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n`
  // A masked "hi" right behind it, in the same segment.
  client.write(get('/', upgrade) + Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]).toString('latin1'), 'latin1')
  await until('101', () => received.text.includes('s3pPLMBiTxaQ9kYGzzhZRbK+xOo='))
  await until('the echo', () => received.text.endsWith('\x81\x02hi'))
  assert.equal(connection.wire, 'frame')
  const refused = await open(fixture)
  refused.client.write(get('/', upgrade.replace('13', '12')))
  await until('426', () => refused.received.ended)
  assert.deepEqual([statusesOf(refused.received.text), fixture.refused], [[426], [426]])
  fixture.timers.run(2 * HTTP_SILENT_MS_MAX)
  await turn()
  assert.equal(connection.open, true)
  assert.equal(openConnections(fixture.table.row(ROW), 0) + figure(fixture, 'closed'), 0)
})

test('http: a connection moves in the middle of a head, at any byte of it', async () => {
  const door: string[] = []
  await using fixture = new MoveFixture({
    http: echo,
    upgrade: {
      open: ({ session }) => void door.push(session),
      message: (connection, payload) => void connection.send(payload),
      thaw: () => {},
    },
  })
  const head = get('/there', 'X-More: yes\r\n')
  const { client, connection, bodies, received } = await open(fixture)
  let here: Connection | undefined = connection
  const wait = async (text: string): Promise<void> => {
    const before = fixture.bytesIn
    client.write(text)
    await until('it has come', () => fixture.bytesIn === before + text.length)
    here = await moved(fixture, here as Connection<never>)
  }
  for (const piece of head.slice(0, -1)) await wait(piece)
  client.write(`${head.slice(-1)}${post('/and', 'a body')}`)
  await until('answers', () => bodies().length === 2)
  assert.deepEqual(bodies(), ['GET /there ', 'POST /and a body'])
  // So does what will be a WebSocket. Its head still has to be whole in time.
  const [half, rest] = [
    'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgr',
    'ade: websocket\r\nSec-WebSocket-',
  ]
  await wait(half)
  await wait(rest)
  client.write('Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  await until('101', () => received.text.includes('s3pPLMBiTxaQ9kYGzzhZRbK+xOo='))
  assert.deepEqual([door, fixture.failures, fixture.refused], [['chat:1'], [], []])
  const late = await open(fixture)
  const before = fixture.bytesIn
  late.client.write(half)
  await until('it has come', () => fixture.bytesIn > before)
  await moved(fixture, late.connection)
  fixture.timers.run(HEAD_MS + TICK_MS)
  await until('the end', () => late.received.ended || late.client.destroyed)
  assert.equal(figureOf(fixture.loops[1].figures, closedColumn('head_timeout')), 1)
})
