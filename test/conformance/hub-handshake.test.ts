// Who comes in, and as whom. [PROTOCOLS 4.1]
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { signToken } from '../harness/chat-token.ts'
import { HubClient } from '../harness/hub-client.ts'
import { connectAs } from '../harness/hub-proxied.ts'
import { HubServer, SECRET, tokenOf } from '../harness/hub-server.ts'
import { within } from '../harness/wait.ts'
import { handshakeStatus } from '../harness/web-socket-client.ts'

const UUID_4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

let hub: HubServer
before(async () => {
  hub = await HubServer.start()
})
after(() => hub[Symbol.asyncDispose]())

/** Status and body of a handshake that is refused. */
async function refusal(path: string): Promise<[number | undefined, string]> {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  const sent = request({ port: hub.server.port('hub.ws'), host: '127.0.0.1', path, headers }).end()
  const [response] = (await within('a refusal', once(sent, 'response'))) as [IncomingMessage]
  return [response.statusCode, await text(response)]
}

async function grantedTo(claims: object): Promise<unknown> {
  using client = await hub.enter({ claims })
  return (await client.ask({ type: 'subscribe', channels: ['metrics', 'signals', 'actions', 'connections'] })).channels
}

test('hub handshake: the first frame of an anonymous client, member by member, and nothing after it (H1)', async () => {
  using client = await hub.enter()
  assert.match(client.id, UUID_4)
  using other = await HubClient.open(hub.url())
  const frame = JSON.parse(await other.nextText()) as Readonly<Record<string, unknown>>
  assert.deepEqual(Object.keys(frame), ['type', 'client_id', 'user_id', 'reconnected', 'timestamp'])
  assert.equal(frame.user_id, null)
  assert.equal(frame.reconnected, false)
  assert.match(String(frame.timestamp), TIMESTAMP)
  assert.notEqual(frame.client_id, client.id)
  // Whatever else there were to come would come before this.
  assert.equal((await other.ask({ type: 'ping' })).type, 'pong')
})

test('hub handshake: an invalid or expired token is 403, whatever is wrong with it (H2)', async () => {
  const now = Math.floor(Date.now() / 1_000)
  const bad = {
    garbage: 'bad',
    words: 'not one word',
    none: signToken({ secret: SECRET, header: { alg: 'none' }, claims: { sub: 'admin' } }),
    otherAlgorithm: signToken({ secret: SECRET, header: { alg: 'HS512' }, claims: { sub: 'admin' } }),
    otherSecret: signToken({ secret: `${SECRET}!`, claims: { sub: 'admin' } }),
    expired: tokenOf({ sub: 'admin', exp: now - 6 }),
    early: tokenOf({ sub: 'admin', nbf: now + 60 }),
    refresh: tokenOf({ sub: 'admin', token_type: 'refresh' }),
    nobody: tokenOf({ role: 'admin' }),
    longUser: tokenOf({ sub: 'x'.repeat(257) }),
  }
  for (const [what, token] of Object.entries(bad)) {
    assert.equal(await handshakeStatus(hub.url({ query: { token } })), 403, what)
    const headers = { authorization: `Bearer ${token}` }
    assert.equal(await handshakeStatus(hub.url(), { headers }), 403, `${what} in the header`)
  }
  assert.equal(await handshakeStatus(hub.url({ claims: { sub: 'x'.repeat(256) } })), 101)
  assert.deepEqual(await refusal('/ws?token=bad'), [403, 'Invalid token'])
  const answer = await hub.fetch('/ws?token=bad', { headers: {} })
  assert.equal(answer.status, 426, 'which asks for no WebSocket')
  // Just expired, and just not yet valid: within the leeway.
  assert.equal(await handshakeStatus(hub.url({ claims: { sub: 'admin', exp: now - 2, nbf: now + 2 } })), 101)
})

test('hub handshake: the token in the query wins over the header, and an empty one is none', async () => {
  const headers = { authorization: `Bearer ${tokenOf({ sub: 'bob' })}` }
  for (const [query, user] of [
    [{ token: tokenOf({ sub: 'ada' }) }, 'ada'],
    [{ token: '' }, 'bob'],
  ] as const) {
    using client = await HubClient.open(hub.url({ query }), { headers })
    assert.equal((await client.enter()).user_id, user)
  }
  assert.equal(await handshakeStatus(hub.url({ query: { token: 'bad' } }), { headers }), 403)
})

test('hub handshake: roles of claims, of user ids, and the default (H3)', async () => {
  const all = ['metrics', 'signals', 'actions', 'connections']
  for (const [claims, channels] of [
    [{ sub: 'ada' }, ['metrics']],
    [{ user_id: 'ada' }, ['metrics']],
    [{ sub: 'admin' }, all],
    [{ sub: 'developer' }, ['metrics', 'signals', 'actions']],
    [{ sub: 'bot' }, ['metrics', 'signals']],
    [{ sub: 'viewer' }, ['metrics']],
    [{ sub: 'admin', role: 'viewer' }, ['metrics']],
    [{ sub: 'ada', role: 'admin' }, all],
    [{ sub: 'ada', role: 'emperor' }, []],
    [{ sub: 'ada', role: 'constructor' }, []],
    [{ sub: 'ada', role: 7 }, []],
    [{ sub: 'anonymous' }, ['metrics']],
    // As libraries write what they were not given.
    [
      { sub: null, user_id: 'bot', role: null, exp: null, nbf: null, iat: null, token_type: null },
      ['metrics', 'signals'],
    ],
  ] as const) {
    assert.deepEqual(await grantedTo(claims), channels, JSON.stringify(claims))
  }
})

test('hub handshake: other paths are 404, a plain GET is 426', async () => {
  assert.equal(await handshakeStatus(hub.server.url('hub.ws', '/')), 404)
  assert.equal(await handshakeStatus(hub.server.url('hub.ws', '/ws/')), 404)
  const answer = await hub.fetch('/ws')
  assert.equal(answer.status, 426)
  assert.equal(answer.headers.get('upgrade'), 'websocket')
})

test('hub handshake: origins, `exp` where it is demanded, and a token that ends its connection', async () => {
  await using strict = await HubServer.start({
    hub: { allowedOrigins: 'https://a.example', 'jwt.requireExp': true, closeOnTokenExpiry: true },
  })
  assert.equal(await handshakeStatus(strict.url(), { origin: 'https://b.example' }), 403)
  assert.equal(await handshakeStatus(strict.url(), { origin: 'https://a.example' }), 101)
  assert.equal(await handshakeStatus(strict.url()), 101)
  assert.equal(await handshakeStatus(strict.url({ claims: { sub: 'ada' } })), 403)
  using client = await strict.enter({ claims: { sub: 'ada', exp: Math.floor(Date.now() / 1_000) + 1 } })
  assert.deepEqual(await client.closed, { code: 4501, reason: 'token expired' })
})

test('hub handshake: new sessions of one address are limited, loopback is not, and a restored one is not new', async () => {
  await using behind = await HubServer.start({
    hub: { newSessionsPerMinute: 3, 'ws.proxyProtocol': true },
  })
  const port = behind.server.port('hub.ws')
  for (const _ of [1, 2, 3]) assert.equal((await connectAs(port, '203.0.113.7')).status, 101)
  const { status, headers } = await connectAs(port, '203.0.113.7')
  assert.equal(status, 429)
  assert.match(headers, /retry-after: \d+/i)
  assert.equal((await connectAs(port, '203.0.113.8')).status, 101, 'another address')
  for (const _ of [1, 2, 3, 4, 5]) assert.equal((await connectAs(port, '127.0.0.1')).status, 101)
})
