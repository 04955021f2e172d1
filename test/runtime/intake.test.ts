import assert from 'node:assert/strict'
import { test } from 'node:test'
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
