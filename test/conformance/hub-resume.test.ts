// Reconnection tokens: what they restore, when they are void, and what a client missed. [PROTOCOLS 4.7]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EventFrame, HubClient } from '../harness/hub-client.ts'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'
import { pause } from '../harness/wait.ts'

let hub: HubServer
let admin: HubClient
before(async () => {
  hub = await HubServer.start({
    hub: { tokenTtl: '2s', rateLimits: MANY_BROADCASTS },
  })
  admin = await hub.admin()
})
after(() => hub[Symbol.asyncDispose]())

test('hub resume: a token looks as it should, and names its session', async () => {
  using client = await hub.enter()
  const reply = await client.ask({ type: 'get_reconnection_token', id: 9 })
  assert.deepEqual(Object.keys(reply), ['type', 'token', 'expires_in', 'timestamp', 'id'])
  assert.match(String(reply.token), /^[A-Za-z0-9_-]{43}$/)
  assert.equal(reply.expires_in, 2)
  const session = Buffer.from(String(reply.token), 'base64url').subarray(0, 16).toString('hex')
  assert.equal(session, client.id.replaceAll('-', ''))
})

test('hub resume: connected, session_restored, missed events in order, live events (H8)', async () => {
  const client = await hub.enter()
  await client.subscribe('metrics', 'status')
  await client.ask({ type: 'set_options', binary: true })
  const token = await client.token()
  await client.leave()
  await admin.publish('metrics', 1, 1)
  await admin.publish('status', 2, 1)
  await admin.publish('metrics', 3, 1)

  using back = await hub.resume(token)
  assert.notEqual(back.id, client.id)
  const restored = await back.next()
  const { timestamp, ...rest } = restored
  assert.deepEqual(Object.keys(restored).at(-1), 'timestamp')
  assert.ok(timestamp)
  assert.deepEqual(rest, {
    type: 'session_restored',
    reconnected: true,
    client_id: back.id,
    user_id: null,
    channels: ['metrics', 'status'],
    missed: 3,
    dropped: 0,
  })
  const missed: EventFrame[] = [await back.nextEvent(), await back.nextEvent(), await back.nextEvent()]
  assert.deepEqual(
    missed.map(({ channel, data }) => [channel, data.number]),
    [
      ['metrics', 1],
      ['status', 2],
      ['metrics', 3],
    ],
  )
  for (const event of missed) assert.equal(Object.keys(event).at(-1), 'buffered_at')
  await admin.publish('metrics', 4, 1)
  const live = await back.nextEvent()
  assert.deepEqual([live.data.number, live.buffered_at], [4, undefined])
  const options = await back.ask({ type: 'set_options' })
  assert.equal(options.binary, true, 'options come back too')
})

test('hub resume: a used token, one too old, and what never was one give a fresh session (H9)', async () => {
  const client = await hub.enter()
  await client.subscribe('metrics')
  const token = await client.token()
  const old = await client.token()
  await client.leave()
  const first = await hub.resume(token)
  assert.equal((await first.next()).type, 'session_restored')
  for (const bad of [token, old, 'x', `${token.slice(0, -1)}`, `${token.slice(0, 20)}${'A'.repeat(23)}`]) {
    using fresh = await hub.resume(bad)
    assert.equal((await fresh.ask({ type: 'get_subscriptions' })).type, 'subscriptions')
  }
  assert.equal(first.socket.isOver, false, 'nobody with a void token takes a session away')
  const late = await first.token()
  await first.leave()
  await pause(2_200)
  using fresh = await hub.resume(late)
  assert.deepEqual((await fresh.ask({ type: 'get_subscriptions' })).channels, [])
})

test('hub resume: connected says whether, and an expired token beside does not matter if it does', async () => {
  const client = await hub.enter({ claims: { sub: 'ada' } })
  const token = await client.token()
  await client.leave()
  const query = { reconnection_token: token, token: 'bad' }
  using back = await HubClient.open(hub.url({ query }))
  const connected = await back.enter()
  assert.deepEqual([connected.reconnected, connected.user_id], [true, 'ada'])
  // Now it is used: the invalid token counts.
  await assert.rejects(HubClient.open(hub.url({ query })))
})

test('hub resume: of five tokens the oldest is void, and one that is used voids the others', async () => {
  const client = await hub.enter()
  const tokens = [await client.token()]
  for (let count = 1; count < 5; count++) tokens.push(await client.token())
  await client.leave()
  const isRestored = async (token: string): Promise<boolean> => {
    using back = await hub.resume(token)
    return (await back.ask({ type: 'ping' })).type === 'session_restored'
  }
  assert.equal(await isRestored(tokens[0] ?? ''), false)
  assert.equal(await isRestored(tokens[1] ?? ''), true)
  for (const token of tokens) assert.equal(await isRestored(token), false)
})

test('hub resume: an open connection gives way, with everything it has not been sent', async () => {
  const client = await hub.enter()
  await client.subscribe('metrics')
  const token = await client.token()
  await admin.publish('metrics', 1, 1)
  assert.deepEqual(await client.numbers(1), [1])
  using back = await hub.resume(token)
  assert.deepEqual(await client.closed, { code: 4500, reason: 'session resumed elsewhere' })
  const restored = await back.next()
  assert.deepEqual([restored.channels, restored.missed], [['metrics'], 0])
  await admin.publish('metrics', 2, 1)
  assert.deepEqual(await back.numbers(1), [2])
})

test('hub resume: the role of the token in the request counts; channels it may not have are dropped (H11)', async () => {
  const client = await hub.enter({ claims: { sub: 'ada', role: 'developer' } })
  await client.subscribe('metrics', 'logs', 'signals')
  const token = await client.token()
  await client.leave()
  // Another user's token: the reconnection token counts as absent, and stays valid.
  for (const claims of [{ sub: 'eve', role: 'developer' }, { sub: 'ADA' }]) {
    using other = await hub.resume(token, { claims })
    assert.deepEqual((await other.ask({ type: 'get_subscriptions' })).channels, [])
  }
  using back = await hub.resume(token, { claims: { sub: 'ada', role: 'viewer' } })
  const restored = await back.next()
  assert.deepEqual(Object.keys(restored).slice(4, 7), ['channels', 'denied', 'missed'])
  assert.deepEqual([restored.channels, restored.denied], [['metrics'], ['logs', 'signals']])
  assert.equal(restored.user_id, 'ada')
})

test('hub resume: a session whose JWT expired long ago is not restored, unless a new one comes along', async () => {
  const now = Math.floor(Date.now() / 1_000)
  // Accepted within the leeway; what counts later is how long ago that was.
  const client = await hub.enter({ claims: { sub: 'ada', exp: now + 1 } })
  const token = await client.token()
  await client.leave()
  using back = await hub.resume(token)
  assert.equal((await back.next()).type, 'session_restored', 'a little ago is not long ago')
})

test('hub resume: buckets are not refilled', async () => {
  const client = await hub.enter()
  const token = await client.token()
  for (let count = 0; count < 30; count++) assert.equal((await client.ask({ type: 'subscribe' })).type, 'subscribed')
  assert.equal((await client.ask({ type: 'subscribe' })).message, 'Rate limit exceeded')
  await client.leave()
  using back = await hub.resume(token)
  await back.next()
  // What it gained since then is what time gave it: one a second.
  const replies: unknown[] = []
  for (let count = 0; count < 10; count++) replies.push((await back.ask({ type: 'subscribe' })).type)
  assert.ok(replies.filter((type) => type === 'error').length >= 7, String(replies))
})

test('hub resume: anonymous clients get no tokens where that is configured', async () => {
  await using strict = await HubServer.start({ hub: { anonymousTokens: false }, shards: 1 })
  using anonymous = await strict.enter()
  const message = 'Reconnection tokens are only available for authenticated users'
  assert.deepEqual(await anonymous.ask({ type: 'get_reconnection_token' }), { type: 'error', message })
  using ada = await strict.enter({ claims: { sub: 'ada' } })
  assert.match(await ada.token(), /^[A-Za-z0-9_-]{43}$/)
  const [frame] = await Promise.all([ada.next(), strict.server.stop()])
  assert.deepEqual(Object.keys(frame), ['type', 'reconnection_token', 'expires_in'])
  assert.equal(frame.type, 'disconnected')
  assert.deepEqual(await ada.closed, { code: 1001, reason: 'server shutting down' })
  assert.deepEqual(await anonymous.closed, { code: 1001, reason: 'server shutting down' })
})
