import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../../src/net/connection.ts'
import type { ListenerSpec } from '../../src/net/listener-spec.ts'
import { OPCODE } from '../../src/net/websocket/frame.ts'
import { closedColumn, figureOf, openConnections, serviceColumn } from '../../src/observe/figure.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { Intake } from '../../src/runtime/intake.ts'
import type { ServiceHandlers } from '../../src/services/service.ts'
import { Received, until } from '../net/loop-fixture.ts'
import { MoveFixture, type Speaks } from '../net/move-fixture.ts'
import { closePayload, encodeClientFrame } from '../net/websocket/client-frame.ts'
import { decodeServerFrames } from '../net/websocket/server-frame.ts'

const TCP = { data: () => {}, thaw: () => {} }
const WS = { message: () => {}, thaw: () => {} }

const REQUEST = [
  'GET /chat HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Extensions: permessage-deflate',
  '',
  '',
].join('\r\n')

const LISTENER: ListenerSpec = {
  index: 0,
  service: 'probe',
  serviceIndex: 0,
  transport: 'tcp',
  host: 'localhost',
  port: 0,
  tls: undefined,
  proxyProtocol: false,
  permessageDeflate: false,
  serviceConnectionsMax: 1,
  connectionsMax: undefined,
}

/** An intake in the second loop, with what its service runs there. */
function stage(speaks: Speaks, handlers: ServiceHandlers[]): { fixture: MoveFixture; intake: Intake; lines: string[] } {
  const fixture = new MoveFixture(speaks, { deflate: true })
  const lines: string[] = []
  const log = createLogger({ level: 'info', write: (line) => lines.push(line), base: { thread: 'shard', shard: 1 } })
  return { fixture, lines, intake: new Intake({ loop: fixture.loops[1], listeners: [LISTENER], handlers, log }) }
}

test('intake: a TCP connection goes on with the handler of its service', async () => {
  const { fixture, intake } = stage({ tcp: TCP }, [
    { tcp: { data: (connection, bytes) => void connection.send(bytes), thaw: () => 'here' } },
  ])
  await using _ = fixture
  const { client, connection } = await fixture.pair<never>()
  const received = new Received(client)
  const posted = await fixture.send(connection)
  assert.ok(posted !== undefined)
  const there = intake.thaw(posted.frozen, posted.handle)
  assert.deepEqual([there?.id, there?.state, there?.loop], [connection.id, 'here', fixture.loops[1]])
  client.write('echo')
  await until('echo', () => received.text === 'echo')
})

test('intake: a WebSocket goes on with the limits of its service and what it had negotiated', async () => {
  const { fixture, intake } = stage({ ws: WS }, [
    { ws: { message: (connection, payload) => void connection.send(payload), thaw: () => {} }, messageBytesMax: 10 },
  ])
  await using _ = fixture
  const { client, connection } = await fixture.pair<never>()
  let received: Buffer = Buffer.alloc(0)
  client.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data])
  })
  const posted = await fixture.send(connection)
  assert.ok(posted !== undefined)
  const there = intake.thaw(posted.frozen, posted.handle)
  there?.send('x'.repeat(2000))
  await until('a frame', () => received.length > 0)
  assert.equal(decodeServerFrames(received)[0]?.isCompressed, true)
  received = Buffer.alloc(0)
  client.write(encodeClientFrame({ opcode: OPCODE.text, payload: 'x'.repeat(11) }))
  await until('a close frame', () => received.length > 0)
  assert.deepEqual(decodeServerFrames(received)[0]?.payload, closePayload(1009, 'message too large'))
})

for (const head of ['', 'GET /chat HTTP/1.1\r\nHo']) {
  test(`intake: a WebSocket that came through HTTP moves on${head === '' ? '' : ', with a head in two parts'}`, async () => {
    const fixture = new MoveFixture({ ws: WS })
    await using _ = fixture
    const listener = { ...LISTENER, transport: 'ws', permessageDeflate: true } as const
    const log = createLogger({ level: 'silent', write: () => {}, base: { thread: 'shard' } })
    const handlers: ServiceHandlers[] = [
      { ws: { message: (connection, payload) => void connection.send(payload, false), thaw: () => {} } },
    ]
    const [here, there] = fixture.loops.map((loop) => new Intake({ loop, listeners: [listener], handlers, log }))
    assert.ok(here !== undefined && there !== undefined)
    const { client, handle } = await fixture.accept()
    let received: Buffer = Buffer.alloc(0)
    client.on('data', (data: Buffer) => {
      received = Buffer.concat([received, data])
    })
    const identity = { id: 1, serial: 1, address: '127.0.0.1', port: client.localPort ?? 0, session: 'alice' }
    const handover = { sequence: 1, listener: 0, acceptedMs: 0, head: Buffer.from(head), handle, socket: undefined }
    here.take({ ...handover, ...identity })
    client.write(REQUEST.slice(head.length))
    // Behind the request, before the answer: an impatient client.
    client.write(encodeClientFrame({ opcode: OPCODE.text, payload: 'early' }).subarray(0, 5))
    await until('it is upgraded', () => received.includes('\r\n\r\n') && fixture.loops[0].size === 1)
    const frames = (): Buffer => received.subarray(received.indexOf('\r\n\r\n') + 4)
    const connection = fixture.loops[0].get(1)
    assert.ok(connection?.movable === true)
    const posted = await fixture.send(connection as Connection<never>)
    assert.ok(posted !== undefined)
    there.thaw(posted.frozen, posted.handle)
    client.write(encodeClientFrame({ opcode: OPCODE.text, payload: 'early' }).subarray(5))
    await until('echo', () => frames().length > 0)
    assert.deepEqual(decodeServerFrames(frames())[0]?.payload.toString(), 'early')
    client.end()
    await until('gone', () => fixture.size === 0)
    const [first, second] = [fixture.table.row(8), fixture.table.row(9)]
    assert.deepEqual([openConnections(first, 0), openConnections(second, 0)], [0, 0])
    assert.equal(figureOf(second, closedColumn('client')), 1)
  })
}

test('intake: requests on a WebSocket listener move on, also of a service that has no WebSockets', async () => {
  const fixture = new MoveFixture({ ws: WS })
  await using _ = fixture
  const listeners = [{ ...LISTENER, transport: 'ws' }] as const
  const log = createLogger({ level: 'silent', write: () => {}, base: { thread: 'shard' } })
  const handlers: ServiceHandlers[] = [{ http: ({ url }, response) => void response.end(`at ${url}`) }]
  const [here, there] = fixture.loops.map((loop) => new Intake({ loop, listeners, handlers, log }))
  assert.ok(here !== undefined && there !== undefined)
  const { client, handle } = await fixture.accept()
  const received = new Received(client)
  const identity = { id: 1, serial: 1, address: '127.0.0.1', port: client.localPort ?? 0, session: 'alice' }
  here.take({ sequence: 1, listener: 0, acceptedMs: 0, head: undefined, handle, socket: undefined, ...identity })
  client.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('an answer', () => received.text.endsWith('at /first'))
  const posted = await fixture.send(fixture.loops[0].get(1) as Connection<never>)
  assert.ok(posted !== undefined)
  assert.equal(there.thaw(posted.frozen, posted.handle)?.loop, fixture.loops[1])
  client.write('GET /second HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('an answer there', () => received.text.endsWith('at /second'))
})

for (const [what, speaks, handlers] of [
  ['of a service that does not run here', { tcp: TCP }, []],
  ['of a transport that is off here', { ws: WS }, [{ tcp: TCP }]],
  ['whose handler has no thaw here', { tcp: TCP }, [{ tcp: { data: () => {} } }]],
  ['whose WebSocket handler has no thaw here', { ws: WS }, [{ ws: { message: () => {} } }]],
] satisfies [string, Speaks, ServiceHandlers[]][]) {
  test(`intake: a connection ${what} is closed, counted and logged`, async () => {
    const { fixture, intake, lines } = stage(speaks, handlers)
    await using _ = fixture
    const { client, connection } = await fixture.pair<never>()
    const received = new Received(client)
    const posted = await fixture.send(connection)
    assert.ok(posted !== undefined)
    assert.equal(intake.thaw(posted.frozen, posted.handle), undefined)
    await until('closed', () => received.ended)
    const row = fixture.table.row(9)
    assert.equal(openConnections(row, 0), 0)
    assert.equal(figureOf(row, serviceColumn(0, 'closed')), 1)
    assert.equal(figureOf(row, closedColumn('error')), 1)
    const { event, service, connection: id } = JSON.parse(lines.join(''))
    assert.deepEqual([event, service, id], ['net.thaw_failed', 'probe', connection.id])
  })
}
