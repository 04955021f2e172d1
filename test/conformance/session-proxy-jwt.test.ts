// What is not the default (PROTOCOLS 5.1, 5.2): signed tokens, which nobody is asked about (S14), those of browsers, and
// no word about gaps.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { signToken } from '../harness/chat-token.ts'
import { assertRefused, bearer, nextText, RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SECRET = 'a secret of thirty-two bytes, or more'
const OTHERS = 'another secret of thirty-two bytes, or so'
const BAD = 'Invalid JWT token'
const BROWSER = 'polyloop.bearer'

let proxy: RedisProxy

before(async () => {
  const settings = {
    'services.session-proxy.authMode': 'jwt',
    'services.session-proxy.jwt.secret': SECRET,
    'services.session-proxy.browserAuth': true,
    'services.session-proxy.gapNotice': false,
  }
  proxy = await RedisProxy.start({ settings })
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

function nowS(): number {
  return Math.floor(Date.now() / 1_000)
}

function tokenOf(session: string, claims: object = {}): string {
  return signToken({ secret: SECRET, claims: { session_id: session, iat: nowS(), ...claims } })
}

test('session-proxy: a signed token opens its session, and Redis is not asked for one', async () => {
  await proxy.backend.setToken('j1', 'something else', 60)
  using client = await proxy.open('j1', tokenOf('j1'))
  assert.equal(await proxy.backend.publish('j1', '1'), 1)
  assert.equal(await nextText(client), '1')
  const ttl = await proxy.backend.tokenTtl('j1')
  assert.ok(ttl > 50 && ttl <= 60, `${ttl}`)
  for (const session of ['a:b', 'a/b', 'ж😀']) {
    using _client = await proxy.open(session, tokenOf(session, { exp: nowS() + 60, sub: 'somebody' }))
  }
})

test('session-proxy: a token that is malformed, badly signed or expired is answered 403', async () => {
  const good = tokenOf('j2')
  const [header = '', claims = '', signature = ''] = good.split('.')
  const forged = Buffer.from(JSON.stringify({ session_id: 'j2', iat: nowS(), admin: true })).toString('base64url')
  const iat = nowS()
  const bad: Readonly<Record<string, string>> = {
    'no token': 'x',
    'two parts': `${header}.${claims}`,
    'four parts': `${good}.${signature}`,
    'another signature': `${header}.${claims}.${signature.slice(0, -4)}AAAA`,
    'no signature': `${header}.${claims}.`,
    'other claims': `${header}.${forged}.${signature}`,
    'another secret': signToken({ secret: OTHERS, claims: { session_id: 'j2', iat } }),
    none: signToken({ secret: SECRET, header: { alg: 'none' }, claims: { session_id: 'j2', iat } }),
    HS384: signToken({ secret: SECRET, header: { alg: 'HS384' }, claims: { session_id: 'j2', iat } }),
    HS512: signToken({ secret: SECRET, header: { alg: 'HS512' }, claims: { session_id: 'j2', iat } }),
    expired: tokenOf('j2', { exp: iat - 60 }),
    'exp of another type': tokenOf('j2', { exp: 'tomorrow' }),
    'no session': signToken({ secret: SECRET, claims: { iat } }),
    'session of another type': tokenOf('j2', { session_id: 2 }),
    'no iat': signToken({ secret: SECRET, claims: { session_id: 'j2' } }),
    'iat of another type': tokenOf('j2', { iat: 'yesterday' }),
    'claims that are none': signToken({ secret: SECRET, claims: ['j2'] }),
  }
  for (const [name, token] of Object.entries(bad)) {
    const answer = await proxy.knockAt('j2', token)
    assert.deepEqual([name, answer.status, answer.body], [name, 403, BAD])
    assertRefused(answer, 403, BAD)
  }
  assert.equal((await proxy.knockAt('j2', good)).status, 101)
})

test('session-proxy: a token of another session is answered 403, and none 401', async () => {
  for (const other of ['j4', 'J3', 'j3 ', '', 'j3%20']) {
    assertRefused(await proxy.knockAt('j3', tokenOf(other)), 403, 'Invalid authorization token')
  }
  assertRefused(await proxy.knock('/agent1/ws/j3'), 401, 'Missing authorization token')
  await proxy.backend.setToken('j3', TOKEN)
  assertRefused(await proxy.knockAt('j3', TOKEN), 403, BAD)
})

test('session-proxy: a browser brings its token as a subprotocol', async () => {
  const encoded = (token: string): string => Buffer.from(token).toString('base64url')
  const token = encoded(tokenOf('b1'))
  const knock = (protocols: string) => proxy.knock('/agent1/ws/b1', { 'Sec-WebSocket-Protocol': protocols })
  const accepted = await knock(`${BROWSER}, ${token}`)
  assert.deepEqual([accepted.status, accepted.headers['sec-websocket-protocol']], [101, BROWSER])
  for (const protocols of ['', BROWSER, token, `other, ${token}`, `${BROWSER},`, `${BROWSER}, ***`]) {
    const { status, body } = await knock(protocols)
    // RFC 6455 calls some of these no list of subprotocols.
    if (status !== 400) assert.deepEqual([protocols, status, body], [protocols, 401, 'Missing authorization token'])
  }
  assertRefused(await knock(`${BROWSER}, ${encoded('x')}`), 403, BAD)
  assertRefused(await knock(`${BROWSER}, ${encoded(tokenOf('b2'))}`), 403, 'Invalid authorization token')
  using client = await WebSocketClient.open(proxy.url('b1'), { headers: { 'Sec-WebSocket-Protocol': '' } }).catch(() =>
    proxy.open('b1', tokenOf('b1')),
  )
  assert.equal(client.raw.protocol, '', 'with the header no subprotocol is selected')
})

test('session-proxy: the header goes before the subprotocol', async () => {
  const token = Buffer.from(tokenOf('b3')).toString('base64url')
  const headers = { 'Sec-WebSocket-Protocol': `${BROWSER}, ${token}` }
  assertRefused(await proxy.knock('/agent1/ws/b3', { ...headers, ...bearer('x') }), 403, BAD)
})

test('session-proxy: who has a good token is answered 503 while Redis is away, and the others as ever', async () => {
  using client = await proxy.open('away', tokenOf('away'))
  await proxy.redis.kill()
  for (const session of ['away', 'nobody-is-there-yet']) {
    assertRefused(await proxy.knockAt(session, tokenOf(session)), 503, 'Unable to prepare session')
  }
  assertRefused(await proxy.knockAt('away', 'x'), 403, BAD)
  await proxy.redis.start()
  await proxy.backend.isBack()
  const isBack = async (): Promise<boolean> => (await proxy.backend.publish('away', 'back')) === 1
  await waitUntil('it is subscribed again', isBack)
  assert.equal(await nextText(client), 'back', 'without a word about the gap, which is turned off')
  await waitUntil('handshakes are served', async () => (await proxy.knockAt('away', tokenOf('away'))).status === 101)
})
