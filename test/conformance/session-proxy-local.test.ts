// The session proxy without Redis (PROTOCOLS 5.3): a backend sets tokens, sends and listens on the admin port.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { EventStream } from '../harness/proxy-event-stream.ts'
import { assertRefused, nextText, ProxyServer, TOKEN } from '../harness/proxy-server.ts'
import { pause, waitUntil } from '../harness/wait.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const TTL_MS = 1_000
/** PROTOCOLS 1.7. */
const LATE_MS = 250
/** Enough for either of two shards to have some. */
const COUNTED = 8
const FORBIDDEN = 'Invalid authorization token'

let proxy: ProxyServer

before(async () => {
  proxy = await ProxyServer.startLocal()
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

function pathOf(session: string, what: 'token' | 'messages'): string {
  return `/api/v1/session-proxy/${encodeURIComponent(session)}/${what}`
}

async function setToken(session: string, body: string): Promise<number> {
  const { status } = await proxy.server.fetch(pathOf(session, 'token'), { method: 'PUT', headers: JSON_TYPE, body })
  return status
}

async function publish(session: string, body: string | Uint8Array<ArrayBuffer>): Promise<number> {
  const response = await proxy.server.fetch(pathOf(session, 'messages'), { method: 'POST', headers: JSON_TYPE, body })
  await response.text()
  return response.status
}

function listen(session: string): Promise<EventStream> {
  return EventStream.open(`http://127.0.0.1:${proxy.server.port('admin')}${pathOf(session, 'messages')}`)
}

test('session-proxy: a token, a message down and one up, all without Redis', async () => {
  assertRefused(await proxy.knockAt('l1'), 403, FORBIDDEN)
  assert.ok((await setToken('l1', `{"token":"${TOKEN}","ttl":60}`)) < 300)
  assertRefused(await proxy.knockAt('l1', 'wrong'), 403, FORBIDDEN)
  using first = await proxy.open('l1')
  using second = await proxy.open('l1')
  using up = await listen('l1')
  assert.ok((await publish('l1', '{"type":"data","payload":"Message #1"}')) < 300)
  for (const client of [first, second]) {
    assert.equal(await nextText(client), '{"type":"data","payload":"Message #1"}')
  }
  for (const text of ['{"type":"ping","counter":1}', '"ж\\n"', ' [1,\n2] ']) {
    first.send(text)
    assert.equal(await up.next(), text)
  }
  assert.ok((await publish('l1', 'no json')) < 300, 'what comes down is not looked at')
  assert.equal(await nextText(second), 'no json')
})

test('session-proxy: a token ends with its time to live, and lives on when it is used', async () => {
  for (const session of ['l2', 'l3']) {
    assert.ok((await setToken(session, `{"token":"${TOKEN}","ttl":1}`)) < 300)
  }
  using client = await proxy.open('l3')
  // Asking whether it is there would let it live on.
  await pause(TTL_MS + LATE_MS)
  assertRefused(await proxy.knockAt('l2'), 403, FORBIDDEN)
  using again = await proxy.open('l3')
  assert.ok((await publish('l3', '1')) < 300)
  assert.deepEqual([await nextText(client), await nextText(again)], ['1', '1'])
})

test('session-proxy: a token is replaced, and one without a time to live stays', async () => {
  assert.ok((await setToken('l4', '{"token":"one"}')) < 300)
  assert.ok((await setToken('l4', '{"token":"two"}')) < 300)
  assertRefused(await proxy.knockAt('l4', 'one'), 403, FORBIDDEN)
  assert.equal((await proxy.knockAt('l4', 'two')).status, 101)
})

test('session-proxy: the admin port takes ids as the other port does, and says what is wrong', async () => {
  for (const session of ['a:b', 'a/b', 'a b', 'ж😀', 'x'.repeat(256)]) {
    assert.ok((await setToken(session, `{"token":"${TOKEN}"}`)) < 300, session)
    using client = await proxy.open(session)
    using up = await listen(session)
    assert.ok((await publish(session, '1')) < 300)
    assert.equal(await nextText(client), '1')
    client.send('2')
    assert.equal(await up.next(), '2')
  }
  assert.equal(await setToken('x'.repeat(257), '{"token":"x"}'), 400)
  for (const body of [
    '{"token":""}',
    '{}',
    '[]',
    'null',
    '{',
    '{"token":1}',
    '{"token":"x","ttl":-1}',
    '{"token":"x","ttl":"1"}',
  ]) {
    assert.equal(await setToken('l5', body), 400, body)
  }
  assertRefused(await proxy.knockAt('l5', 'x'), 403, FORBIDDEN)
})

test('session-proxy: /health says local, and counts the connections of all shards', async () => {
  await waitUntil('those of other tests are gone', async () => (await proxy.activeConnections()) === 0)
  const clients = []
  for (let index = 0; index < COUNTED; index++) {
    await setToken(`count-${index}`, `{"token":"${TOKEN}"}`)
    clients.push(await proxy.open(`count-${index}`))
  }
  await waitUntil('they are counted', async () => (await proxy.activeConnections()) === COUNTED)
  const { status, body } = await proxy.request('GET', '/health')
  assert.deepEqual([status, body], [200, `{"status":"healthy","redis":"local","active_connections":${COUNTED}}`])
  assert.equal((await proxy.request('GET', '/ready')).body, '{"status":"ready"}')
  for (const client of clients) client[Symbol.dispose]()
  await waitUntil('they are gone', async () => (await proxy.activeConnections()) === 0)
})

test('session-proxy: the admin port refuses foreign pages and other types here too', async () => {
  const init = { method: 'POST', body: '1' }
  const from = (headers: Readonly<Record<string, string>>) =>
    proxy.server.fetch(pathOf('l6', 'messages'), { ...init, headers })
  assert.equal((await from({ ...JSON_TYPE, origin: 'http://example.com' })).status, 403)
  assert.equal((await from({ 'content-type': 'text/plain' })).status, 415)
})
