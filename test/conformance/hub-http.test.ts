// The hub over HTTP. [PROTOCOLS 4.10]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { bearer, CHANNELS, HubServer, tokenOf } from '../harness/hub-server.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { waitUntil } from '../harness/wait.ts'

const ROOT = '/api/v1/websocket'
const ADMIN = bearer({ sub: 'admin' })

/** Of 4.12, up to `rate_limit_hits_total`. */
const FAMILIES = [
  'connections_total',
  'connections_opened_total',
  'connections_closed_total',
  'connection_duration_seconds',
  'messages_sent_total',
  'messages_received_total',
  'message_size_bytes',
  'message_latency_seconds',
  'subscriptions_total',
  'channel_subscribers',
  'buffered_events',
  'errors_total',
  'broadcast_duration_seconds',
  'reconnections_total',
  'rate_limit_hits_total',
]

let hub: HubServer
before(async () => {
  hub = await HubServer.start({ hub: { demoUsers: 'ada:lovelace:developer', corsOrigins: 'https://a.example' } })
})
after(() => hub[Symbol.asyncDispose]())

/** The body of a broadcast, so long. */
function bodyOf(bytes: number): string {
  return `{"data":{"x":"${'x'.repeat(bytes - 17)}"}}`
}

async function json(path: string, init?: RequestInit): Promise<Readonly<Record<string, unknown>>> {
  const answer = await hub.fetch(path, init)
  assert.equal(answer.status, 200, path)
  return (await answer.json()) as Readonly<Record<string, unknown>>
}

test('hub http: health in both shapes, and the three checks', async () => {
  const health = await json('/health')
  assert.deepEqual(Object.keys(health), ['status', 'uptime_seconds', 'version'])
  assert.equal(health.status, 'healthy')
  const wrapped = await json('/api/v1/health')
  assert.deepEqual(Object.keys(wrapped), ['success', 'data', 'meta', 'error'])
  assert.deepEqual(Object.keys(wrapped.meta as object), ['request_id', 'processing_time_ms', 'version', 'timestamp'])
  assert.equal(wrapped.success, true)
  for (const root of ['', '/api/v1']) {
    assert.deepEqual(await json(`${root}/health/live`), { status: 'alive', check: 'liveness' })
    assert.deepEqual(await json(`${root}/health/ready`), { status: 'ready', check: 'readiness' })
    assert.deepEqual(await json(`${root}/health/startup`), { status: 'started', check: 'startup' })
  }
})

test('hub http: the metrics are the family and nothing else (H18)', async () => {
  for (const path of ['/metrics', '/api/v1/metrics']) {
    const answer = await hub.fetch(path)
    assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
    const page = new MetricPage(await answer.text())
    const names = [...page.families.keys()]
    assert.ok(names.every((name) => name.startsWith('neurograph_ws_')))
    for (const name of FAMILIES) assert.ok(names.includes(`neurograph_ws_${name}`), name)
    assert.ok(page.series.every(({ labels }) => 'shard' in labels))
  }
})

test('hub http: channels with their descriptions; clients only for an administrator', async () => {
  const { channels, descriptions } = await json(`${ROOT}/channels`)
  assert.deepEqual(channels, CHANNELS)
  assert.deepEqual(Object.keys(descriptions as object), [...CHANNELS])
  using ada = await hub.enter({ claims: { sub: 'ada' } })
  await ada.subscribe('metrics')
  using bob = await hub.enter()
  await bob.subscribe('metrics', 'status')
  assert.deepEqual(await json(`${ROOT}/channels/metrics`), { channel: 'metrics', subscribers: 2, subscriber_ids: [] })
  const told = await json(`${ROOT}/channels/metrics`, { headers: ADMIN })
  assert.deepEqual(new Set(told.subscriber_ids as string[]), new Set([ada.id, bob.id]))
  assert.deepEqual(await json(`${ROOT}/channels/weather`), { channel: 'weather', subscribers: 0, subscriber_ids: [] })

  const { status, websocket } = await json(`${ROOT}/status`, { headers: ADMIN })
  assert.equal(status, 'ok')
  const { clients, ...rest } = websocket as { readonly clients: readonly Readonly<Record<string, unknown>>[] }
  assert.deepEqual(rest, {
    endpoint: '/ws',
    protocol: 'ws',
    total_connections: 2,
    total_channels: 6,
    total_subscriptions: 3,
    buffered_events: 0,
  })
  const mine = clients.find(({ client_id: id }) => id === ada.id)
  assert.deepEqual(Object.keys(mine ?? {}), ['client_id', 'user_id', 'connected_at', 'channels', 'last_heartbeat'])
  assert.equal(mine?.user_id, 'ada')
  assert.ok(Math.abs(Number(mine?.connected_at) - Date.now() / 1_000) < 10)
  const viewer = await json(`${ROOT}/status`, { headers: bearer({ sub: 'ada' }) })
  assert.deepEqual((viewer.websocket as { clients: unknown }).clients, [])
})

test('hub http: what waits for who went away is counted at once, on whatever shard', async () => {
  const buffered = async (): Promise<unknown> =>
    ((await json(`${ROOT}/status`)).websocket as { readonly buffered_events: unknown }).buffered_events
  const tokens: string[] = []
  while (tokens.length < 4) {
    const client = await hub.enter()
    await client.subscribe('status')
    tokens.push(await client.token())
    await client.leave()
  }
  using admin = await hub.admin()
  for (const _ of [1, 2, 3]) await admin.broadcast('status', {})
  // Sooner than shards tell of it by themselves.
  await waitUntil('three for each of four', async () => (await buffered()) === 12, 3_000)
  for (const token of tokens) {
    const back = await hub.resume(token)
    assert.equal((await back.next()).missed, 3)
    await back.leave()
  }
  await waitUntil('nothing', async () => (await buffered()) === 0, 3_000)
})

test('hub http: who may broadcast, and what (H15)', async () => {
  using ada = await hub.enter({ claims: { sub: 'ada' } })
  await ada.subscribe('metrics')
  const path = `${ROOT}/broadcast?channel=metrics`
  const status = async (at: string, body: unknown, headers = ADMIN): Promise<number> =>
    (await hub.post(at, body, headers)).status
  assert.equal(await status(path, {}, {}), 401)
  assert.equal(await status(path, {}, { authorization: 'Bearer bad' }), 401)
  assert.equal(await status(path, {}, bearer({ sub: 'ada' })), 403)
  assert.equal(await status(`${ROOT}/broadcast`, {}), 422)
  assert.equal(await status(`${ROOT}/broadcast?channel=weather`, {}), 422)
  for (const body of ['[]', '"x"', '{bad', 'null', { data: 'x' }, { data: [] }, { event_type: '' }])
    assert.equal(await status(path, body), 422, JSON.stringify(body))
  const body = { event_type: 'tick', data: { a: 1 }, source: 'test', type: 'x', channel: 'logs', timestamp: 'y' }
  const answer = await hub.post(path, body, ADMIN)
  assert.equal(answer.status, 200)
  const subscribers = Number(((await answer.json()) as { subscribers: unknown }).subscribers)
  assert.ok(subscribers >= 1)
  const event = await ada.nextEvent()
  assert.deepEqual(Object.keys(event), ['channel', 'timestamp', 'event_type', 'data', 'source'])
  const { timestamp, ...rest } = event
  assert.match(timestamp, /Z$/)
  assert.deepEqual(rest, { channel: 'metrics', event_type: 'tick', data: { a: 1 }, source: 'test' })
  assert.deepEqual(await (await hub.post(path, { data: null }, ADMIN)).json(), {
    status: 'ok',
    channel: 'metrics',
    subscribers,
    message_sent: true,
  })
})

test('hub http: a broadcast cannot say where its event stands, nor when it was missed', async () => {
  const path = `${ROOT}/broadcast?channel=status`
  const forged = { offset: 7, epoch: '1', buffered_at: '2026-01-02T03:04:05.678Z', note: 'x' }
  using plain = await hub.enter()
  using counting = await hub.enter({ query: { offsets: '1' } })
  for (const client of [plain, counting]) await client.subscribe('status')
  assert.equal((await hub.post(path, forged, ADMIN)).status, 200)
  const [told, counted] = [await plain.nextText(), await counting.nextText()]
  assert.deepEqual(Object.keys(JSON.parse(told) as object), ['channel', 'timestamp', 'event_type', 'data', 'note'])
  // As text: of two members of one name an object keeps the last.
  assert.equal(counted.match(/"(offset|epoch|buffered_at)":/g)?.length, 2)
  assert.notEqual((JSON.parse(counted) as { readonly epoch: unknown }).epoch, forged.epoch)
})

test('hub http: each refusal of a broadcast has its text', async () => {
  const path = `${ROOT}/broadcast?channel=metrics`
  for (const [at, headers, body, status, detail] of [
    [path, {}, {}, 401, 'Not authenticated'],
    [path, bearer({ sub: 'ada' }), {}, 403, 'Not enough permissions'],
    [`${ROOT}/broadcast`, ADMIN, {}, 422, 'channel is missing'],
    [`${ROOT}/broadcast?channel=weather`, ADMIN, {}, 422, 'Unknown channel: weather'],
    [path, ADMIN, '{bad', 422, 'the body must be a JSON object'],
    [path, ADMIN, { data: [] }, 422, 'data must be an object'],
    [path, ADMIN, { event_type: 'x'.repeat(129) }, 422, 'event_type must be a string of 1 to 128 characters'],
    [path, { ...ADMIN, 'content-type': 'text/plain' }, {}, 415, 'Content-Type must be application/json'],
    [path, ADMIN, bodyOf(1024 * 1024 + 1), 413, 'the body is larger than 1 MiB'],
  ] as const) {
    const answer = await hub.post(at, body, headers)
    assert.deepEqual([answer.status, await answer.json()], [status, { detail }])
  }
  assert.equal((await hub.post(path, bodyOf(1024 * 1024), ADMIN)).status, 200, 'at the limit')
})

test('hub http: unknown paths, other methods, other bodies, larger bodies, origins', async () => {
  const missing = await hub.fetch('/nowhere')
  assert.equal(missing.status, 404)
  assert.deepEqual(Object.keys((await missing.json()) as object), ['detail'])
  const wrong = await hub.fetch('/health', { method: 'DELETE' })
  assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'GET, HEAD'])
  assert.equal((await hub.fetch('/health', { method: 'HEAD' })).status, 200)
  const path = `${ROOT}/broadcast?channel=metrics`
  assert.equal((await hub.post(path, '{}', { ...ADMIN, 'content-type': 'text/plain' })).status, 415)
  const long = JSON.stringify({ data: { text: 'x'.repeat(1024 * 1024) } })
  assert.equal((await hub.post(path, long, ADMIN)).status, 413)
  const from = (origin: string): Promise<Response> => hub.fetch('/health', { headers: { origin } })
  assert.equal((await from('https://a.example')).headers.get('access-control-allow-origin'), 'https://a.example')
  assert.equal((await from('https://b.example')).headers.get('access-control-allow-origin'), null)
})

test('hub http: a login for demonstrations gives a token that works; without one the path is not there', async () => {
  const login = (body: unknown): Promise<Response> => hub.post('/api/v1/auth/login', body)
  const answer = await login({ username: 'ada', password: 'lovelace' })
  assert.equal(answer.status, 200)
  const { access_token: token, ...rest } = (await answer.json()) as { readonly access_token: string }
  const user = { user_id: 'ada', username: 'ada', role: 'developer' }
  assert.deepEqual(rest, { token_type: 'bearer', expires_in: 900, user })
  using client = await hub.enter({ query: { token } })
  await client.subscribe('logs')
  for (const body of [
    { username: 'ada', password: 'wrong' },
    { username: 'toString', password: '' },
    { username: 'eve', password: 'lovelace' },
  ]) {
    const refused = await login(body)
    assert.equal(refused.status, 401)
    assert.deepEqual(await refused.json(), { detail: 'Incorrect username or password' })
  }
  assert.equal((await login({ username: 'ada' })).status, 422)

  await using plain = await HubServer.start()
  assert.equal((await plain.post('/api/v1/auth/login', { username: 'ada', password: 'lovelace' })).status, 404)
})

test('hub http: a hundred logins a minute of one address, and as many broadcasts', async () => {
  await using strict = await HubServer.start({ hub: { demoUsers: 'ada:lovelace:developer' }, shards: 1 })
  const headers = { authorization: `Bearer ${tokenOf({ sub: 'ada' })}` }
  for (const [path, refused] of [
    ['/api/v1/auth/login', 401],
    [`${ROOT}/broadcast?channel=metrics`, 403],
  ] as const) {
    const once = (): Promise<Response> => strict.post(path, { username: 'x', password: 'y' }, headers)
    for (let count = 0; count < 100; count++) assert.equal((await once()).status, refused)
    // Refilled at 100 a minute: what the hundred took may have given one back, and not many.
    const late = await waitUntil('there are too many', async () => {
      const answer = await once()
      return answer.status === 429 && answer
    })
    assert.ok(Number(late.headers.get('retry-after')) >= 1)
  }
})
