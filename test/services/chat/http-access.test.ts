// Who may use chat's HTTP API: tokens, the rate limit, and pages of other origins. [PROTOCOLS 3.8, 1.5]
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { startHttpWorld } from './http-world.ts'

const SECRET = 's'.repeat(32)
const REFUSED = '{"success":false,"message":"invalid token","data":null}'
const NO_LIMIT = { rate: 0 }
const ORIGIN = 'https://chat.example'

function tokenOf(claims: object, secret: string = SECRET, algorithm = 'HS256'): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ alg: algorithm, typ: 'JWT' })}.${encode(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

function bearer(claims: object): Record<string, string> {
  return { authorization: `Bearer ${tokenOf(claims)}` }
}

test('http access: with jwt the acting user is the subject', async () => {
  const world = await startHttpWorld({ auth: 'jwt', jwt: { secret: SECRET }, rateLimit: NO_LIMIT })
  const general = bearer({ sub: '1' })
  assert.equal((await world.post('/api/users', { username: 'ben' }, general)).statusCode, 201)
  const ben = bearer({ sub: '2' })
  assert.equal((await world.get('/api/chats', ben)).body, '{"success":true,"message":null,"data":[]}')
  assert.equal((await world.post('/api/chats', { name: 'of ben' }, ben)).statusCode, 201)
  assert.equal((await world.post('/api/chats/2/messages', { content: 'of ben' }, ben)).statusCode, 201)
  type Chats = {
    readonly data: readonly { readonly creator_id: number; readonly last_message: { sender_id: number } }[]
  }
  const [chat] = (await world.get('/api/chats', ben)).json<Chats>().data
  assert.equal(chat?.creator_id, 2)
  assert.equal(chat.last_message.sender_id, 2)
})

test('http access: without a good token nothing of /api is served', async () => {
  const world = await startHttpWorld({ auth: 'jwt', jwt: { secret: SECRET }, rateLimit: NO_LIMIT })
  const nowSeconds = world.timers.clock.wallMs() / 1_000
  const bad = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Basic ${tokenOf({ sub: '1' })}`,
    `Bearer ${tokenOf({ sub: '1' }, 'x'.repeat(32))}`,
    `Bearer ${tokenOf({ sub: '1' }, SECRET, 'none')}`,
    `Bearer ${tokenOf({ sub: '1' })}x`,
    `Bearer ${tokenOf({ sub: '1', exp: nowSeconds - 60 })}`,
    ...[{}, { sub: 1 }, { sub: '0' }, { sub: '01' }, { sub: 'ann' }, { sub: '1.5' }].map(
      (one) => `Bearer ${tokenOf(one)}`,
    ),
  ]
  for (const authorization of bad) {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
    for (const url of ['/api/chats', '/api/chats/1/messages', '/api/chats/x', '/api/presence']) {
      const answer = await world.get(url, headers)
      assert.deepEqual([answer.statusCode, answer.body], [401, REFUSED], `${url} ${authorization}`)
      assert.equal(answer.headers['www-authenticate'], 'Bearer')
    }
    const posted = await world.post('/api/chats/1/messages', '{bad', headers)
    assert.deepEqual([posted.statusCode, posted.body], [401, REFUSED])
  }
  assert.equal((await world.get('/openapi.json')).statusCode, 200)
  assert.equal((await world.get('/nothing')).statusCode, 404)
  assert.equal(await world.counted('GET', '/api/presence', '401'), bad.length)
})

test('http access: without a secret every token is refused', async () => {
  const world = await startHttpWorld({ auth: 'jwt' })
  assert.equal((await world.get('/api/chats', bearer({ sub: '1' }))).statusCode, 401)
})

test('http access: an acting user that does not exist cannot write', async () => {
  const world = await startHttpWorld({ auth: 'jwt', jwt: { secret: SECRET } })
  const stranger = bearer({ sub: '999' })
  const chat = await world.post('/api/chats', { name: 'x' }, stranger)
  const expected = '{"success":false,"message":"Ошибка при создании чата","data":null}'
  assert.deepEqual([chat.statusCode, chat.body], [500, expected])
  const message = await world.post('/api/chats/1/messages', { content: 'x' }, stranger)
  const refused = '{"success":false,"message":"Ошибка при отправке сообщения","data":null}'
  assert.deepEqual([message.statusCode, message.body], [500, refused])
  assert.equal((await world.get('/api/chats', stranger)).body, '{"success":true,"message":null,"data":[]}')
})

test('http access: above the rate 429 with Retry-After, until there is a token again', async () => {
  const world = await startHttpWorld({ rateLimit: { rate: 1, burst: 3 } })
  for (let request = 0; request < 3; request++) assert.equal((await world.get('/api/chats')).statusCode, 200)
  const limited = await world.post('/api/chats/1/messages', { content: 'x' })
  const expected = '{"success":false,"message":"rate limit exceeded","data":null}'
  assert.deepEqual([limited.statusCode, limited.body], [429, expected])
  assert.equal(limited.headers['retry-after'], '1')
  // Another address has a bucket of its own; pages and the document have none.
  const other = await world.request({ method: 'GET', url: '/api/chats', remoteAddress: '10.0.0.9' })
  assert.equal(other.statusCode, 200)
  assert.equal((await world.get('/openapi.json')).statusCode, 200)
  world.timers.run(1_001)
  assert.equal((await world.get('/api/chats')).statusCode, 200)
  assert.equal((await world.get('/api/chats')).statusCode, 429)
  assert.equal(await world.counted('POST', '/api/chats/{id}/messages', '429'), 1)
})

test('http access: Retry-After is in whole seconds, rounded up; with jwt the limit is per user', async () => {
  const world = await startHttpWorld({ auth: 'jwt', jwt: { secret: SECRET }, rateLimit: { rate: 1, burst: 1 } })
  assert.equal((await world.get('/api/chats', bearer({ sub: '1' }))).statusCode, 200)
  world.timers.run(100)
  const limited = await world.get('/api/chats', bearer({ sub: '1' }))
  assert.deepEqual([limited.statusCode, limited.headers['retry-after']], [429, '1'])
  assert.equal((await world.get('/api/chats', bearer({ sub: '2' }))).statusCode, 200)
})

test('http access: no CORS headers by default', async () => {
  const world = await startHttpWorld()
  const answer = await world.get('/api/chats', { origin: ORIGIN })
  assert.equal(answer.statusCode, 200)
  assert.deepEqual(
    Object.keys(answer.headers).filter((name) => name.startsWith('access-control')),
    [],
  )
  const preflight = await world.request({
    method: 'OPTIONS',
    url: '/api/chats',
    headers: { origin: ORIGIN, 'access-control-request-method': 'POST' },
  })
  assert.equal(preflight.statusCode, 405)
})

test('http access: CORS headers go to the origins of the list and to no other', async () => {
  const world = await startHttpWorld({ corsOrigins: [ORIGIN] })
  for (const url of ['/api/chats', '/api/chats/999', '/nothing', '/openapi.json'])
    assert.equal((await world.get(url, { origin: ORIGIN })).headers['access-control-allow-origin'], ORIGIN, url)
  const ask = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type, x-own' }
  const preflight = await world.request({ method: 'OPTIONS', url: '/api/chats', headers: { origin: ORIGIN, ...ask } })
  assert.equal(preflight.statusCode, 204)
  assert.equal(preflight.headers['access-control-allow-origin'], ORIGIN)
  assert.equal(preflight.headers['access-control-max-age'], '3600')
  assert.equal(preflight.headers['access-control-allow-headers'], ask['access-control-request-headers'])
  assert.match(String(preflight.headers['access-control-allow-methods']), /\bPOST\b/)
  assert.equal(await world.counted('OPTIONS', 'other', '204'), 1)
  for (const headers of [{ origin: 'https://other.example' }, { origin: `${ORIGIN}.evil` }, {}]) {
    for (const method of ['GET', 'OPTIONS'] as const) {
      const answer = await world.request({ method, url: '/api/chats', headers: { ...headers, ...ask } })
      assert.equal(answer.statusCode, method === 'GET' ? 200 : 405)
      const names = Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))
      assert.deepEqual(names, [])
    }
  }
})

test('http access: with * every origin is admitted, refusals included', async () => {
  const world = await startHttpWorld({ corsOrigins: ['*'], auth: 'jwt' })
  const refused = await world.get('/api/chats', { origin: ORIGIN })
  assert.deepEqual([refused.statusCode, refused.headers['access-control-allow-origin']], [401, '*'])
  const preflight = await world.request({
    method: 'OPTIONS',
    url: '/api/chats',
    headers: {
      origin: ORIGIN,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'authorization',
    },
  })
  assert.equal(preflight.statusCode, 204)
  assert.equal(preflight.headers['access-control-allow-origin'], '*')
  assert.match(String(preflight.headers['access-control-allow-methods']), /\bPUT\b/)
  assert.equal(preflight.headers['access-control-allow-headers'], 'authorization')
})
