// Paths and ids (PROTOCOLS 5.1): which are sessions, how they are called in Redis (S8), what others are answered, and what
// else the port does (5.3, 1.4, 1.5).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertRefused, bearer, nextText, RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start()
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

/** As in a path, and what it means. */
const IDS: readonly (readonly [string, string])[] = [
  ['a:b', 'a:b'],
  ['a%3Ab', 'a:b'],
  ['a%3ab', 'a:b'],
  ['a%2Fb', 'a/b'],
  ['a%20b', 'a b'],
  ['a+b', 'a+b'],
  ['%25', '%'],
  ['%3F%23', '?#'],
  ['%7Bx%7D', '{x}'],
  ['%D0%B6%F0%9F%98%80', 'ж😀'],
  ['ws', 'ws'],
  ['__proto__', '__proto__'],
  ['x'.repeat(256), 'x'.repeat(256)],
  ['%D0%B6'.repeat(128), 'ж'.repeat(128)],
]

test('session-proxy: an id is what the path says when it is decoded, and Redis has that name', async () => {
  for (const [raw, id] of IDS) {
    await proxy.backend.setToken(id, TOKEN)
    using uplink = await proxy.backend.listen(id)
    const url = `${proxy.server.url('session-proxy.ws', '')}/agent1/ws/${raw}`
    using client = await WebSocketClient.open(url, { headers: bearer(TOKEN) })
    assert.equal(await proxy.backend.publish(id, '"down"'), 1, raw)
    assert.equal(await nextText(client), '"down"', raw)
    client.send('"up"')
    assert.equal(`${await uplink.next()}`, '"up"', raw)
  }
})

test('session-proxy: a path is not resolved as that of a file', async () => {
  for (const [raw, id] of [
    ['..', '..'],
    ['%2e', '.'],
  ] as const) {
    await proxy.backend.setToken(id, TOKEN)
    assert.equal((await proxy.knock(`/agent1/ws/${raw}`, bearer(TOKEN))).status, 101, raw)
    assert.equal((await proxy.knock(`/${raw}/ws/..`, bearer(TOKEN))).status, 101, raw)
  }
})

test('session-proxy: connections that write one id in two ways are one session', async () => {
  await proxy.backend.setToken('p:q', TOKEN)
  const root = proxy.server.url('session-proxy.ws', '')
  using plain = await WebSocketClient.open(`${root}/agent1/ws/p:q`, { headers: bearer(TOKEN) })
  using encoded = await WebSocketClient.open(`${root}/agent2/ws/p%3Aq?since=yesterday`, { headers: bearer(TOKEN) })
  assert.equal(await proxy.backend.publish('p:q', '1'), 1, 'one subscription')
  assert.deepEqual([await nextText(plain), await nextText(encoded)], ['1', '1'])
})

/** Of either segment: too long, ill-formed escapes, ill-formed UTF-8, control characters. */
test('session-proxy: ids that are none are answered 400, whoever asks', async () => {
  const long = 'x'.repeat(257)
  const bad: readonly string[] = [
    '',
    'x'.repeat(512),
    long,
    `${'%D0%B6'.repeat(128)}x`,
    '%',
    '%2',
    '%zz',
    'a%',
    '%C3',
    '%FF',
    '%C0%AF',
    '%ED%A0%80',
    '%F4%90%80%80',
    '%00',
    'a%0Ab',
    '%1F',
    '%7F',
    '%C2%80',
    '%C2%9F',
  ]
  for (const raw of bad) {
    for (const path of [`/agent1/ws/${raw}`, `/${raw}/ws/session`]) {
      for (const headers of [{}, bearer(TOKEN)]) {
        const answer = await proxy.knock(path, headers)
        assert.deepEqual([path, answer.status], [path, 400])
        assertRefused(answer, 400, 'Invalid session id')
      }
    }
  }
})

test('session-proxy: other paths are answered 404', async () => {
  const paths = ['/', '/agent1', '/agent1/ws', '/agent1/ws/s/x', '/agent1/ws/s/', '//agent1/ws/s', '/agent1/WS/s']
  for (const path of [...paths, '/ws/s', '/agent1/http/s', '/health/x', '/agent1%2Fws%2Fs']) {
    assert.equal((await proxy.knock(path, bearer(TOKEN))).status, 404, `${path} with an upgrade`)
    assert.equal((await proxy.request('GET', path)).status, 404, path)
  }
})

test('session-proxy: a GET of a session that is no upgrade is answered 426, another method 405', async () => {
  await proxy.backend.setToken('plain', TOKEN)
  const plain = await proxy.request('GET', '/agent1/ws/plain', bearer(TOKEN))
  assert.deepEqual([plain.status, plain.headers.upgrade], [426, 'websocket'])
  for (const path of ['/agent1/ws/plain', '/health', '/ready']) {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await proxy.request(method, path, bearer(TOKEN))
      assert.deepEqual([path, method, answer.status], [path, method, 405])
      assert.match(`${answer.headers.allow}`, /\bGET\b/)
    }
  }
})

test('session-proxy: handshakes that are none are answered as everywhere', async () => {
  await proxy.backend.setToken('plain', TOKEN)
  const knock = (headers: Readonly<Record<string, string>>) =>
    proxy.knock('/agent1/ws/plain', { ...bearer(TOKEN), ...headers })
  assert.equal((await knock({ 'Sec-WebSocket-Key': 'short' })).status, 400)
  const version = await knock({ 'Sec-WebSocket-Version': '8' })
  assert.deepEqual([version.status, version.headers['sec-websocket-version']], [426, '13'])
  assert.equal((await knock({ 'X-Padding': 'x'.repeat(17 * 1024) })).status, 431)
  assert.equal((await knock({})).status, 101)
})

test('session-proxy: /health counts connections, /ready says ready, HEAD works', async () => {
  await waitUntil('those of other tests are gone', async () => (await proxy.activeConnections()) === 0)
  using _first = await proxy.enter('h1')
  using _second = await proxy.open('h1')
  using _third = await proxy.enter('h2')
  await waitUntil('three are counted', async () => (await proxy.activeConnections()) === 3)
  const health = await proxy.request('GET', '/health')
  assert.equal(health.status, 200)
  assert.match(health.type ?? '', /^application\/json\b/)
  assert.equal(health.body, '{"status":"healthy","redis":"connected","active_connections":3}')
  const ready = await proxy.request('GET', '/ready')
  assert.deepEqual([ready.status, ready.body], [200, '{"status":"ready"}'])
  for (const path of ['/health', '/ready']) {
    const head = await proxy.request('HEAD', path)
    assert.deepEqual([path, head.status, head.body], [path, 200, ''])
  }
})
