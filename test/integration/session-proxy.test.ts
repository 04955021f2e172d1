// Sessions in the shards of a real runtime, with the local bridge: backends are `runtime.bridge` and the admin routes.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { createRuntime, type Runtime } from '../../src/index.ts'
import { CapturedLog } from '../harness/captured-log.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { handshakeStatus, WebSocketClient } from '../harness/web-socket-client.ts'

const TOKEN = 'my-token'
const BEARER = { headers: { authorization: `Bearer ${TOKEN}` } }
const LARGEST = JSON.stringify('x'.repeat(1024 * 1024 - 2))
const SETTINGS = {
  'admin.port': 0,
  'store.kind': 'memory',
  'services.hub.ws.port': 0,
  'services.session-proxy.ws.port': 0,
  'services.rooms.tcp.port': 0,
  'services.session-proxy.browserAuth': true,
  'services.session-proxy.pingInterval': '400ms',
  'services.session-proxy.pingTimeout': '1500ms',
} as const

let runtime: Runtime

before(async () => {
  runtime = await start()
})

after(() => runtime.close())

function start(): Promise<Runtime> {
  return createRuntime({ shards: 2, only: ['session-proxy'], settings: SETTINGS, logStream: new CapturedLog() })
}

function portOf(host: Runtime): number {
  return host.listeners[0]?.port ?? 0
}

async function open(session: string, host: Runtime = runtime): Promise<WebSocketClient> {
  const key = `session:${session}:auth`
  await host.bridge.set({ key, value: Buffer.from(TOKEN), ttlSeconds: 60 })
  return WebSocketClient.open(`ws://127.0.0.1:${portOf(host)}/agent/ws/${encodeURIComponent(session)}`, BEARER)
}

function down(session: string, text: string, host: Runtime = runtime): Promise<number> {
  return host.bridge.publish({ channel: `session:${session}:down`, payload: Buffer.from(text) })
}

async function uplink(session: string, host: Runtime = runtime): Promise<string[]> {
  const heard: string[] = []
  const listener = {
    message: (payload: Buffer) => void heard.push(payload.toString()),
    gap: () => void heard.push('gap'),
  }
  await host.bridge.subscribe(`session:${session}:up`, listener).confirmed
  return heard
}

function admin(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${runtime.adminAddresses[0]?.port}/api/v1/session-proxy/${path}`, init)
}

async function health(): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`http://127.0.0.1:${portOf(runtime)}/health`)
  return { status: answer.status, body: await answer.json() }
}

test('sessions: text goes both ways, up to the longest; sessions are counted over all shards', async () => {
  const sessions = ['plain', 'a:b', 'x/y', 'with space', 'юникод 😀', 'x'.repeat(256)]
  const clients = await Promise.all(sessions.map((session) => open(session)))
  assert.deepEqual(await health(), {
    status: 200,
    body: { status: 'healthy', redis: 'local', active_connections: sessions.length },
  })
  for (const [index, session] of sessions.entries()) {
    const client = clients[index]
    const heard = await uplink(session)
    client?.send(LARGEST)
    client?.send(`"${index}"`)
    await waitUntil('both have come', () => heard.length === 2)
    assert.ok(heard[0] === LARGEST && heard[1] === `"${index}"`)
    assert.equal(await down(session, LARGEST), 1)
    assert.ok((await client?.next())?.data.toString() === LARGEST)
  }
  for (const client of clients) client.close()
  await Promise.all(clients.map(({ closed }) => closed))
  await waitUntil('none is left', async () => {
    const { body } = await health()
    return (body as { active_connections: number }).active_connections === 0
  })
  const page = new MetricPage(await runtime.metrics())
  assert.equal(page.sum('wsproxy_active_connections'), 0)
  assert.equal(page.sum('wsproxy_redis_pubsub_channels_active'), 0)
  await waitUntil('nothing of a session is subscribed', async () => {
    const subscriptions = new MetricPage(await runtime.metrics()).sum('polyloop_bridge_subscriptions')
    return subscriptions === sessions.length // those of this test's uplinks
  })
})

test('sessions: a text that is too long gets an error first, then 1009, also in fragments', async () => {
  const error = '{"error":"Message too large","max_size":1048576}'
  for (const fragments of [1, 3]) {
    using client = await open('long')
    const part = 'x'.repeat((1024 * 1024) / fragments + 1)
    for (let index = 1; index <= fragments; index++) client.raw.send(part, { fin: index === fragments })
    assert.equal((await client.next())?.data.toString(), error)
    assert.deepEqual(await client.closed, { code: 1009, reason: 'message too large' })
  }
})

test('sessions: browsers get the subprotocol they offered', async () => {
  await runtime.bridge.set({ key: 'session:browser:auth', value: Buffer.from(TOKEN) })
  const url = `ws://127.0.0.1:${portOf(runtime)}/agent/ws/browser`
  const socket = new WebSocket(url, ['polyloop.bearer', Buffer.from(TOKEN).toString('base64url')])
  await within('it opens', once(socket, 'open'))
  assert.equal(socket.protocol, 'polyloop.bearer')
  socket.close()
  await within('it closes', once(socket, 'close'))
  assert.equal(await handshakeStatus(`${url}?`, { headers: { authorization: 'Bearer wrong' } }), 403)
})

test('sessions: a client that answers pings stays, one that does not is dropped', async () => {
  using alive = await open('alive')
  using silent = await open('silent')
  // As a dead peer: nothing is read, so no ping is answered.
  silent.raw.pause()
  let pings = 0
  alive.raw.on('ping', (payload: Buffer) => {
    assert.equal(payload.length, 0)
    pings++
  })
  const timeouts = async (): Promise<number> =>
    new MetricPage(await runtime.metrics()).sum('wsproxy_errors_total', { type: 'heartbeat' })
  await waitUntil('the silent one is dropped', async () => (await timeouts()) === 1)
  silent.raw.resume()
  assert.deepEqual(await silent.closed, { code: 1001, reason: 'heartbeat timeout' })
  await waitUntil('pings go on', () => pings > 5)
  assert.equal(alive.isOver, false)
  assert.equal(await alive.ask('x'), '{"error":"Invalid JSON format"}')
})

test('admin routes: a backend without Redis sets tokens, sends, and hears', async () => {
  const id = encodeURIComponent('admin/ю:1')
  const put = (body: string): Promise<Response> => admin(`${id}/token`, { method: 'PUT', body })
  const session = `ws://127.0.0.1:${portOf(runtime)}/agent/ws/${id}`
  assert.equal(await handshakeStatus(session, BEARER), 403)
  for (const wrong of [
    '',
    '{}',
    '{"token":1}',
    '{"token":""}',
    '{"token":"x","ttl":0}',
    '{"token":"x","ttl":"1"}',
    '[]',
  ])
    assert.equal((await put(wrong)).status, 400, wrong)
  assert.equal((await put(`{"token":"${TOKEN}","ttl":60}`)).status, 200)
  using client = await WebSocketClient.open(session, BEARER)

  const gone = new AbortController()
  const events = await admin(`${id}/messages`, { signal: gone.signal })
  assert.equal(events.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader()
  assert.equal((await reader?.read())?.value, ': listening\n\n')
  client.send('{"up":\n1}')
  assert.equal((await reader?.read())?.value, 'data: {"up":\ndata: 1}\n\n')
  gone.abort()

  const headers = { 'content-type': 'application/json' }
  const sent = await admin(`${id}/messages`, { method: 'POST', headers, body: '{"down": 1}' })
  assert.equal(sent.status, 202)
  assert.deepEqual(await sent.json(), { status: 'accepted', subscribers: 1 })
  assert.equal((await client.next())?.data.toString(), '{"down": 1}')
  const large = await admin(`${id}/messages`, { method: 'POST', headers, body: `"${'x'.repeat(2 * 1024 * 1024)}"` })
  assert.equal(large.status, 413)
  assert.equal((await admin(`${encodeURIComponent('x'.repeat(257))}/token`, { method: 'PUT' })).status, 400)
  assert.equal((await admin('%00/token', { method: 'PUT', body: `{"token":"x"}` })).status, 400)
  assert.equal((await admin(`${id}/messages`, { method: 'DELETE' })).status, 405)
})

test('sessions: a reload loses nothing, doubles nothing, and disconnects nobody', async () => {
  const sessions = ['r1', 'r2', 'r3', 'r4']
  const clients = await Promise.all(sessions.flatMap((session) => [open(session), open(session)]))
  const uplinks = await Promise.all(sessions.map((session) => uplink(session)))
  const generation = Math.max(...runtime.report().shards.map((shard) => shard.generation))
  assert.equal((await runtime.reload()).outcome, 'accepted')
  let rounds = 0
  // Both ways, for as long as it takes.
  await waitUntil('the reload is over', async () => {
    for (const client of clients) client.send(String(rounds))
    await Promise.all(sessions.map((session) => down(session, `d${rounds}`)))
    rounds++
    const { migration } = runtime.report()
    return migration.state === 'idle' && migration.kind === 'reload' && rounds >= 20
  })
  const wanted = Array.from({ length: rounds }, (_, round) => `d${round}`)
  for (const client of clients) {
    const got: (string | undefined)[] = []
    while (got.length < rounds) got.push((await client.next())?.data.toString())
    assert.deepEqual(got, wanted)
  }
  for (const heard of uplinks) {
    await waitUntil('all has gone up', () => heard.length === 2 * rounds)
    const expected = Array.from({ length: 2 * rounds }, (_, index) => String(index >> 1))
    assert.deepEqual(
      heard.toSorted((one, other) => Number(one) - Number(other)),
      expected,
    )
  }
  assert.ok(clients.every(({ isOver }) => !isOver))
  assert.ok(runtime.report().shards.every((shard) => shard.generation >= generation))
  assert.equal(runtime.report().migration.moved >= clients.length, true)
  assert.equal((await health()).status, 200)
  for (const client of clients) client[Symbol.dispose]()
})

test('sessions: a drain says 1001', async () => {
  const host = await start()
  using client = await open('drained', host)
  const drained = host.drain()
  assert.deepEqual(await client.closed, { code: 1001, reason: 'server shutting down' })
  assert.equal(await drained, true)
})
