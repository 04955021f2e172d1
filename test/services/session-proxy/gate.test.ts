import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import type { UpgradeAnswer } from '../../../src/net/handler.ts'
import { ProxyWorld, SESSION, TOKEN } from './proxy-world.ts'

const SECRET = 'a secret of at least thirty-two bytes'

function refused(status: number, body: string): UpgradeAnswer {
  return { accept: false, status, body }
}

function jwt(claims: object, secret = SECRET, header: object = { alg: 'HS256', typ: 'JWT' }): string {
  const encoded = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${encoded}.${createHmac('sha256', secret).update(encoded).digest('base64url')}`
}

function bearer(token: string): { headers: { authorization: string } } {
  return { headers: { authorization: `Bearer ${token}` } }
}

test('gate: paths first, then the header, then the token', async () => {
  await using world = new ProxyWorld()
  assert.deepEqual(await world.knock({ target: '/nowhere', headers: {} }), refused(404, 'Not found'))
  assert.deepEqual(await world.knock({ target: '/a/ws/%00', headers: {} }), refused(400, 'Invalid session id'))
  assert.deepEqual(await world.knock({ headers: {} }), refused(401, 'Missing authorization token'))
  assert.deepEqual(await world.knock(), refused(403, 'Invalid authorization token'), 'there is no such key')
  assert.deepEqual(world.engine.ran.at(-1), { operation: 'get', argument: { key: `session:${SESSION}:auth` } })
  await world.setToken(SESSION, `${TOKEN}x`)
  assert.deepEqual(await world.knock(), refused(403, 'Invalid authorization token'), 'it is another one')
  assert.equal(await world.count('connections_total', { status: 'unauthorized' }), 1)
  assert.equal(await world.count('connections_total', { status: 'forbidden' }), 2)
  assert.equal(await world.count('redis_pubsub_channels_active'), 0)
  assert.ok(!world.log.join('').includes(TOKEN))
})

test('gate: who comes in has the grace time, and hears what is published from then on', async () => {
  await using world = new ProxyWorld()
  await world.setToken()
  const client = await world.open()
  const expire = world.engine.ran.find(({ operation }) => operation === 'expire')
  assert.deepEqual(expire?.argument, { key: `session:${SESSION}:auth`, ttlSeconds: 10_800 })
  await world.down('{"first":true}')
  await world.until('it arrives', () => client.frames.texts.length === 1)
  assert.deepEqual(client.frames.texts, ['{"first":true}'])
  assert.equal(await world.count('connections_total', { status: 'accepted' }), 1)
  assert.ok(world.log.some((line) => line.includes('"proxy.opened"') && line.includes('"agent":"agent"')))
  // The grace time begins anew with each connect, then it is over.
  await world.pass(10_000_000)
  await world.open()
  await world.pass(10_000_000)
  await world.open()
  await world.pass(10_900_000)
  assert.deepEqual(await world.knock(), refused(403, 'Invalid authorization token'))
})

test('gate: a look-up that takes too long is 504, one that fails 500', async () => {
  await using world = new ProxyWorld()
  await world.setToken()
  world.engine.held.add('get')
  const late = world.knock()
  await world.pass(4_999)
  const waiting = Symbol('waiting')
  assert.equal(await Promise.race([late, Promise.resolve(waiting)]), waiting)
  await world.pass(300)
  assert.deepEqual(await late, refused(504, 'Authentication timeout'))
  world.engine.release()
  world.engine.failing.set('get', 'BRIDGE_TIMEOUT')
  assert.deepEqual(await world.knock(), refused(504, 'Authentication timeout'))
  for (const code of ['BRIDGE_DOWN', 'BRIDGE_REFUSED', 'BRIDGE_BUSY', 'BRIDGE_LOST'] as const) {
    world.engine.failing.set('get', code)
    assert.deepEqual(await world.knock(), refused(500, 'Internal server error'), code)
  }
  assert.equal(await world.count('connections_total', { status: 'timeout' }), 2)
  assert.equal(await world.count('connections_total', { status: 'error' }), 4)
  assert.equal(await world.count('errors_total', { type: 'redis' }), 6)
})

test('gate: an EXPIRE that fails or does not end keeps nobody out', async () => {
  await using world = new ProxyWorld()
  await world.setToken()
  world.engine.failing.set('expire', 'BRIDGE_REFUSED')
  assert.equal((await world.knock()).accept, true)
  assert.ok(world.log.some((line) => line.includes('"operation":"expire"')))
  world.engine.held.add('expire')
  const answer = world.knock()
  await world.settle()
  await world.pass(5_300)
  assert.equal((await answer).accept, true)
})

test('gate: without its channel nobody comes in, and nothing stays subscribed', async () => {
  await using world = new ProxyWorld()
  await world.setToken()
  world.engine.failing.set('subscribe', 'BRIDGE_DOWN')
  assert.deepEqual(await world.knock(), refused(503, 'Unable to prepare session'))
  world.engine.failing.clear()
  world.engine.held.add('subscribe')
  const late = world.knock()
  await world.settle()
  assert.equal(await world.count('redis_pubsub_channels_active'), 1)
  await world.pass(5_300)
  assert.deepEqual(await late, refused(503, 'Unable to prepare session'))
  assert.equal(await world.count('connections_total', { status: 'unavailable' }), 2)
  assert.equal(await world.count('redis_pubsub_channels_active'), 0)
  world.engine.release()
  await world.settle()
  assert.equal(await world.down('x'), 0, 'nobody listens')
})

test('gate: a client that is gone leaves nothing behind', async () => {
  await using world = new ProxyWorld()
  await world.setToken()
  const gone = new AbortController()
  world.engine.held.add('subscribe')
  const answer = world.knock({ signal: gone.signal })
  await world.settle()
  gone.abort()
  world.engine.release()
  assert.equal((await answer).accept, false)
  // Accepted, but it never opened.
  const accepted = await world.knock()
  assert.ok(accepted.accept)
  world.handlers[0].abandoned?.(accepted.value)
  await world.settle()
  assert.equal(await world.count('redis_pubsub_channels_active'), 0)
  assert.equal(await world.down('x'), 0)
})

test('gate: browsers bring their token as a subprotocol', async () => {
  await using world = new ProxyWorld({ config: { browserAuth: true } })
  await world.setToken()
  const encoded = Buffer.from(TOKEN).toString('base64url')
  const answer = await world.knock({ headers: { 'sec-websocket-protocol': `polyloop.bearer, ${encoded}` } })
  assert.equal(answer.accept && answer.protocol, 'polyloop.bearer')
  assert.deepEqual(await world.knock({ headers: {} }), refused(401, 'Missing authorization token'))
})

test('gate: with signed tokens nobody is asked', async () => {
  await using world = new ProxyWorld({ config: { authMode: 'jwt', jwt: { secret: SECRET } } })
  const now = Math.floor(world.net.timers.clock.wallMs() / 1_000)
  const own = { session_id: SESSION, iat: now }
  assert.equal((await world.knock(bearer(jwt(own)))).accept, true)
  assert.equal((await world.knock(bearer(jwt({ ...own, exp: now + 60 })))).accept, true)
  const bad = refused(403, 'Invalid JWT token')
  assert.deepEqual(await world.knock(bearer('x')), bad)
  assert.deepEqual(await world.knock(bearer(jwt(own, `${SECRET}!`))), bad)
  assert.deepEqual(await world.knock(bearer(jwt({ ...own, exp: now - 60 }))), bad)
  assert.deepEqual(await world.knock(bearer(jwt({ session_id: SESSION }))), bad, 'no iat')
  assert.deepEqual(await world.knock(bearer(jwt({ iat: now }))), bad, 'no session')
  assert.deepEqual(await world.knock(bearer(jwt(own, SECRET, { alg: 'none' }))), bad)
  const other = jwt({ ...own, session_id: 'other' })
  assert.deepEqual(await world.knock(bearer(other)), refused(403, 'Invalid authorization token'))
  const operations = new Set(world.engine.ran.map(({ operation }) => operation))
  assert.deepEqual([...operations], ['ping'])
  // Somebody listens to the session already; all the same the server has to be there.
  world.engine.failing.set('ping', 'BRIDGE_DOWN')
  assert.deepEqual(await world.knock(bearer(jwt(own))), refused(503, 'Unable to prepare session'))
})
