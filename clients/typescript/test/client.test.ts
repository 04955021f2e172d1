// The client against a scripted hub: life of a connection, and what goes where.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { WebSocket as WsWebSocket } from 'ws'
import { binaryHandler, pack } from '../src/binary.ts'
import NamedByDefault, {
  type ClientOptions,
  type ErrorReport,
  HubError,
  NeurographWSClient,
  type WebSocketClass,
} from '../src/index.ts'
import { type Frame, type Peer, ScriptedHub } from './scripted-hub.ts'

const QUICK: ClientOptions = { reconnectDelay: 1 }

interface Pair {
  readonly hub: ScriptedHub
  readonly client: NeurographWSClient
  readonly peer: Peer
}

/** A client and its hub, connected; they end with the test. */
async function open(context: TestContext, options: ClientOptions = {}, frame: Frame = {}): Promise<Pair> {
  const { hub, client } = await pair(context, options)
  const [peer] = await Promise.all([accept(hub, frame), client.connect()])
  return { hub, client, peer }
}

async function pair(context: TestContext, options: ClientOptions = {}): Promise<Omit<Pair, 'peer'>> {
  const hub = await ScriptedHub.start()
  const client = new NeurographWSClient({ url: hub.url, ...QUICK, ...options })
  context.after(async () => {
    await client.close()
    await hub[Symbol.asyncDispose]()
  })
  return { hub, client }
}

async function accept(hub: ScriptedHub, frame: Frame = {}, token?: string): Promise<Peer> {
  const peer = await hub.next()
  await peer.welcome(frame, token)
  return peer
}

/** The next thing that the client tells its handlers of `name`. */
function told<T = Frame>(
  client: NeurographWSClient,
  name: 'error' | 'connected' | 'disconnected' | 'pong',
): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>()
  const handler = (value: unknown): void => {
    client.off(name, handler)
    resolve(value as T)
  }
  client.on(name, handler)
  return promise
}

function event(offset: number, channel = 'metrics', epoch = 'e1'): Frame {
  return { channel, timestamp: 't', event_type: 'x', data: { offset }, offset, epoch }
}

const SOCKETS: Readonly<Record<string, WebSocketClass | undefined>> = {
  "the platform's": undefined,
  ws: WsWebSocket,
}

test('client: is exported by name and by default', () => {
  assert.equal(NamedByDefault, NeurographWSClient)
})

for (const [name, WebSocket] of Object.entries(SOCKETS)) {
  test(`client: connects, knows who it is, and closes (${name} WebSocket)`, async (context) => {
    const { client, peer } = await open(context, { WebSocket, token: 'jwt', binary: true }, { user_id: 'ada' })
    assert.deepEqual(Object.fromEntries(peer.query), { token: 'jwt', binary: '1', offsets: '1' })
    assert.deepEqual([client.clientId, client.client_id, client.userId], ['c-1', 'c-1', 'ada'])
    assert.deepEqual(client.getConnectionInfo(), { clientId: 'c-1', userId: 'ada', timestamp: 't' })
    assert.equal(client.isConnected(), true)
    await client.connect() // nothing to do
    const end = told(client, 'disconnected')
    const closed = client.close()
    assert.equal(client.isConnected(), false)
    assert.throws(() => client.send({ type: 'ping' }), { code: 'NOT_CONNECTED' })
    await closed
    assert.deepEqual(await end, { code: 1000, reason: '', reconnecting: false })
    await assert.rejects(client.receive(), { code: 'NOT_CONNECTED' })
  })

  test(`client: a refused handshake rejects with its status and is not tried again (${name} WebSocket)`, async (context) => {
    const { hub, client } = await pair(context, { WebSocket })
    hub.status = 403
    await assert.rejects(client.connect(), { code: 'REFUSED', status: 403 })
    assert.equal(client.isConnected(), false)
    hub.status = 101
    await Promise.all([accept(hub), client.connect()])
  })
}

test('client: where nobody listens, connect rejects at once', async (context) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { readonly port: number }
  server.close()
  await once(server, 'close')
  const { client } = await pair(context, { url: `ws://127.0.0.1:${port}/ws` })
  await assert.rejects(client.connect(), { code: 'NOT_CONNECTED', status: undefined })
  const { client: lost } = await pair(context, { url: 'what?' })
  await assert.rejects(lost.connect(), { code: 'NOT_CONNECTED' })
})

test('client: comes back after a cut with its token, and asks for what was missed', async (context) => {
  const { hub, client, peer } = await open(context)
  const offsets: unknown[] = []
  client.subscribe('metrics', ({ offset }) => offsets.push(offset))
  await peer.answer('subscribe', { channels: ['metrics'] })
  peer.send(event(7), event(8))
  assert.equal((await client.receive({ events: true })).offset, 7)
  assert.equal((await client.receive({ events: true })).offset, 8)
  const gone = told(client, 'disconnected')
  peer.cut()
  assert.deepEqual(await gone, { code: 1006, reason: '', reconnecting: true })

  const again = await hub.next()
  assert.equal(again.query.get('reconnection_token'), 'token-1')
  // What comes before the answer is later than what was missed, and does not come again.
  again.send({ type: 'connected', client_id: 'c-2', reconnected: true })
  again.send({ type: 'session_restored', reconnected: true, channels: ['metrics'], missed: 2 }, event(10))
  await again.answer('get_reconnection_token', { token: 'token-2', expires_in: 300 })
  const { positions, id } = await again.request('recover')
  assert.deepEqual(positions, { metrics: { epoch: 'e1', offset: 8 } })
  const recovered = { type: 'recovered', channels: { metrics: { recovered: true, missed: 1 } }, id }
  again.send(recovered, event(9), event(11), { type: 'pong' })
  assert.equal((await client.receive()).type, 'session_restored')
  assert.equal((await client.receive()).type, 'pong')
  assert.deepEqual(offsets, [7, 8, 9, 10, 11])
  again.close(1012)
  assert.equal((await hub.next()).query.get('reconnection_token'), 'token-2')
})

test('client: a session that was not restored is built again, and then recovered', async (context) => {
  const { hub, client, peer } = await open(context)
  const [offsets, reports]: [unknown[], ErrorReport[]] = [[], []]
  client.on('error', (report) => reports.push(report))
  client.subscribeMultiple(['metrics', 'status'], ({ channel, offset }) => offsets.push(`${channel} ${offset}`))
  assert.deepEqual((await peer.answer('subscribe', { channels: ['metrics', 'status'] })).channels, [
    'metrics',
    'status',
  ])
  peer.send(event(1), event(1, 'status'))
  await client.receive({ events: true })
  peer.cut()

  const again = await hub.next()
  again.send({ type: 'connected', client_id: 'c-2', reconnected: false })
  const request = await again.request('subscribe')
  assert.deepEqual(request.channels, ['metrics', 'status'])
  // An event may overtake the reply.
  again.send(event(4), { type: 'subscribed', channels: ['metrics', 'status'], id: request.id }, event(5))
  await again.answer('get_reconnection_token', { token: 'token-2', expires_in: 300 })
  const { id } = await again.request('recover')
  const channels = { metrics: { recovered: true, missed: 2 }, status: { recovered: false, missed: 0 } }
  again.send({ type: 'recovered', channels, id }, ...[2, 3].map((offset) => event(offset)))
  again.send(event(3, 'status', 'e2'), { type: 'pong' })
  await client.receive()
  assert.deepEqual(offsets, ['metrics 1', 'status 1', ...[2, 3, 4, 5].map((n) => `metrics ${n}`), 'status 3'])
  assert.deepEqual(
    reports.map(({ message, lost }) => [message, lost]),
    [['Events may be missing on channels: status', ['status']]],
  )
})

test('client: where no event told a position, a new session may have lost some, and that is told', async (context) => {
  const { hub, client, peer } = await open(context)
  client.subscribe('metrics', () => undefined)
  client.subscribe('logs', () => undefined)
  await peer.answer('subscribe', { channels: ['metrics'], denied: ['logs'] })
  peer.send({ type: 'pong' })
  await client.receive()
  const report = told<ErrorReport>(client, 'error')
  peer.cut()
  const again = await hub.next()
  again.send({ type: 'connected', reconnected: false })
  assert.deepEqual((await report).lost, ['metrics'])
})

test('client: when nothing can be recovered, what waited is delivered, and the gap is told', async (context) => {
  const { hub, client, peer } = await open(context)
  const offsets: unknown[] = []
  client.subscribe('metrics', ({ offset }) => offsets.push(offset))
  await peer.answer('subscribe', { channels: ['metrics'] })
  peer.send(event(1))
  await client.receive({ events: true })
  peer.cut()
  const again = await hub.next()
  again.send({ type: 'connected', client_id: 'c-2', reconnected: true })
  again.send({ type: 'session_restored', channels: ['metrics'] }, event(3), event(4))
  await again.answer('get_reconnection_token', { token: 'token-2', expires_in: 300 })
  const report = told<ErrorReport>(client, 'error')
  const { id } = await again.request('recover')
  again.send({ type: 'error', message: 'Unknown message type: recover', id }, event(5), { type: 'pong' })
  assert.deepEqual((await report).lost, ['metrics'])
  await client.receive()
  await client.receive()
  assert.deepEqual(offsets, [1, 3, 4, 5])
})

test('client: what changed while there was no connection is put right', async (context) => {
  const { hub, client, peer } = await open(context)
  const none = (): void => undefined
  client.subscribe('metrics', none)
  client.subscribe('status', none)
  await peer.answer('subscribe', { channels: ['metrics', 'status'] })
  const gone = told(client, 'disconnected')
  peer.cut()
  await gone
  client.unsubscribe('metrics')
  client.subscribe('logs', none)
  const again = await hub.next()
  again.send({ type: 'connected', reconnected: true }, { type: 'session_restored', channels: ['metrics', 'status'] })
  await again.answer('get_reconnection_token', { token: 'token-2' })
  assert.deepEqual((await again.answer('unsubscribe', {})).channels, ['metrics'])
  assert.deepEqual((await again.answer('subscribe', { channels: ['logs'] })).channels, ['logs'])
  assert.deepEqual((await again.answer('recover', { channels: {} })).positions, {}, 'there was no event')
})

test('client: stays away after close codes 4500 to 4999, 403, and its own close', async (context) => {
  const { hub, client, peer } = await open(context)
  peer.close(4500, 'session resumed elsewhere')
  assert.deepEqual(await told(client, 'disconnected'), {
    code: 4500,
    reason: 'session resumed elsewhere',
    reconnecting: false,
  })
  await assert.rejects(client.receive(), { code: 'NOT_CONNECTED', closeCode: 4500 })
  const [second] = await Promise.all([accept(hub), client.connect()])
  assert.equal(second.query.get('reconnection_token'), null, 'that session is over')
  hub.status = 403
  second.cut()
  await assert.rejects(client.receive(), { code: 'REFUSED', status: 403 })
  hub.status = 101
  const [third] = await Promise.all([accept(hub), client.connect()])
  third.close(4499)
  const [fourth] = await Promise.all([accept(hub), told(client, 'connected')])
  fourth.cut()
  await told(client, 'disconnected')
  await client.close() // while it waits
  await assert.rejects(client.receive(), { code: 'NOT_CONNECTED', message: 'Closed' })
})

test('client: gives up after the last attempt', async (context) => {
  const { hub, client, peer } = await open(context, { maxReconnectAttempts: 3 })
  hub.status = 503
  peer.cut()
  await assert.rejects(client.receive(), { code: 'REFUSED', status: 503 })
  const { client: never, peer: other } = await open(context, { autoReconnect: false })
  other.cut()
  await assert.rejects(never.receive(), { code: 'NOT_CONNECTED', closeCode: 1006 })
})

test('client: close ends an attempt, and connect waits for what is closing', async (context) => {
  const { hub, client } = await pair(context)
  const connecting = client.connect()
  const peer = await hub.next()
  client.disconnect()
  await assert.rejects(connecting, { code: 'NOT_CONNECTED' })
  peer.send({ type: 'connected' }) // too late
  assert.equal(client.isConnected(), false)
  const [again] = await Promise.all([accept(hub), client.connect()])
  client.disconnect()
  await Promise.all([accept(hub), client.connect()])
  assert.equal(client.isConnected(), true)
  again.cut()
})

test('client: replies find who asked, and everything else is received', async (context) => {
  const { client, peer } = await open(context, { resume: false })
  const subscriptions = client.getSubscriptions()
  await peer.answer('get_subscriptions', { channels: ['a', 'b'] })
  assert.deepEqual(await subscriptions, ['a', 'b'])
  const token = client.getReconnectionToken()
  await peer.answer('get_reconnection_token', { token: 'T' })
  assert.equal(await token, 'T')
  const count = client.broadcast('signals', { a: 1 }, 'signal.x')
  const { id, ...request } = await peer.answer('broadcast', { channel: 'signals', subscribers: 3 })
  assert.deepEqual(
    [request, typeof id],
    [{ type: 'broadcast', channel: 'signals', event_type: 'signal.x', data: { a: 1 } }, 'string'],
  )
  assert.equal(await count, 3)
  const refused = client.broadcast('signals', {})
  await peer.answer('broadcast', { type: 'error', message: 'Permission denied: broadcast to signals' })
  await assert.rejects(refused, { code: 'REPLY', message: 'Permission denied: broadcast to signals' })
  const pong = told(client, 'pong')
  client.ping()
  await peer.answer('ping', {})
  assert.equal((await pong).type, 'pong')

  client.send({ type: 'ping', id: 'mine' })
  await peer.request('ping')
  peer.send(event(1), { type: 'ping' }, { type: 'pong', id: 'mine' }, { type: 'error', message: 'x' })
  assert.deepEqual(await client.receive(), { type: 'pong', id: 'mine' })
  assert.deepEqual(await client.receive(), { type: 'error', message: 'x' })
  const lost = client.getSubscriptions()
  await peer.request('get_subscriptions')
  peer.cut()
  await assert.rejects(lost, { code: 'NOT_CONNECTED' })
})

test('client: subscriptions of one turn are one request, ahead of what is sent behind them', async (context) => {
  const { client, peer } = await open(context, { resume: false })
  const none = (): void => undefined
  const other = (): void => undefined
  client.subscribe('metrics', none)
  client.subscribe('metrics', other)
  client.subscribe('status', none)
  client.send({ type: 'ping' })
  assert.deepEqual((await peer.answer('subscribe', { channels: ['metrics'], denied: ['status'] })).channels, [
    'metrics',
    'status',
  ])
  await peer.request('ping')
  assert.deepEqual(await told(client, 'error'), {
    type: 'error',
    message: 'Permission denied for channels: status',
    denied: ['status'],
  })
  client.unsubscribe('metrics', none)
  client.unsubscribe('metrics', other)
  assert.deepEqual((await peer.answer('unsubscribe', {})).channels, ['metrics'])
  client.subscribe('metrics', none)
  const limited = { type: 'error', message: 'Rate limit exceeded', retry_after: 0.02 }
  await peer.answer('subscribe', limited)
  assert.deepEqual((await peer.answer('subscribe', { channels: ['metrics'] })).channels, ['metrics'], 'it tries again')
})

test('client: handlers that fail are told, and stop nothing', async (context) => {
  const { client, peer } = await open(context, { resume: false })
  const failing = (): never => {
    throw new Error('ouch')
  }
  client.subscribe('metrics', failing)
  client.on('error', failing)
  const report = told<ErrorReport>(client, 'error')
  peer.send(event(1), { type: 'pong' })
  assert.equal((await client.receive()).type, 'pong')
  assert.ok((await report).cause instanceof HubError)
  assert.equal((await report).message, 'A handler of metrics failed: ouch')
})

test('client: compressed events keep their place, and other binary messages go to their handlers', async (context) => {
  const { client, peer } = await open(context, { resume: false, binary: true })
  const compressed = (value: unknown): Uint8Array =>
    pack('COMPRESSED_JSON', { compression: 'gzip' }, gzipSync(JSON.stringify(value)))
  const order: unknown[] = []
  client.on('binary', ({ type, jsonData }) => order.push(`${type} ${JSON.stringify(jsonData)}`))
  client.on('error', ({ message }) => order.push(message.slice(0, 23)))
  client.subscribe('metrics', ({ offset }) => order.push(offset))
  const image = binaryHandler.createImageMessage(new Uint8Array([1]), { channel: 'metrics' })
  peer.send(compressed(event(1)), event(2), compressed(event(3)), image, compressed([1]), event(5))
  peer.send(new Uint8Array([9]), pack('COMPRESSED_JSON', {}, new Uint8Array([1])))
  peer.sendText('no json')
  peer.sendText('[]')
  peer.send({ type: 'pong' })
  await client.receive()
  const errors = [
    'Binary message too shor',
    'Invalid compressed JSON',
    'A frame was no JSON obj',
    'A frame was no JSON obj',
  ]
  assert.deepEqual(order, [1, 2, 3, 'IMAGE undefined', 'COMPRESSED_JSON [1]', 5, ...errors])
  client.send(image)
  assert.deepEqual(new Uint8Array(await peer.nextBinary()), image)
})

test('client: a binary frame moves its channel on by one', async (context) => {
  const { hub, client, peer } = await open(context, { binary: true })
  client.subscribe('metrics', () => undefined)
  await peer.answer('subscribe', { channels: ['metrics'] })
  peer.send(event(1), binaryHandler.createBinaryDataMessage(new Uint8Array([1]), { channel: 'metrics' }), {
    type: 'pong',
  })
  await client.receive()
  peer.cut()
  const again = await hub.next()
  again.send({ type: 'connected', reconnected: true }, { type: 'session_restored', channels: ['metrics'] })
  await again.answer('get_reconnection_token', { token: 'token-2' })
  assert.deepEqual((await again.request('recover')).positions, { metrics: { epoch: 'e1', offset: 2 } })
})

test('client: the token of a server that goes away is the one to come back with', async (context) => {
  const { hub, client, peer } = await open(context)
  peer.send({ type: 'disconnected', reconnection_token: 'last', expires_in: 300 })
  assert.equal((await client.receive()).type, 'disconnected')
  peer.close(1001, 'server shutting down')
  assert.equal((await hub.next()).query.get('reconnection_token'), 'last')
})
