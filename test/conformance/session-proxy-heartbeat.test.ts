// Who is still there (PROTOCOLS 5.2): pings, and the end of clients that answer none (S11), with shorter times; how the
// proxy ends (A8). The soak has the times of the defaults.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { bearer, nextText, RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const PING_MS = 300
const TIMEOUT_MS = 900
/** PROTOCOLS 1.7, and as much again: the machine may be busy. */
const LATE_MS = 2_000
const TOLERANCE_MS = 5

let proxy: RedisProxy

before(async () => {
  const settings = {
    'services.session-proxy.pingInterval': `${PING_MS}ms`,
    'services.session-proxy.pingTimeout': `${TIMEOUT_MS}ms`,
  }
  proxy = await RedisProxy.start({ settings })
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

/** It answers no ping. */
async function openSilent(session: string): Promise<WebSocketClient> {
  await proxy.backend.setToken(session, TOKEN)
  const client = new WebSocketClient(new WebSocket(proxy.url(session), { headers: bearer(TOKEN), autoPong: false }))
  await within('a WebSocket', once(client.raw, 'open'))
  return client
}

test('session-proxy: a client that answers no ping is dropped, and not before its time', async () => {
  using client = await openSilent('silent')
  client.send('"last"')
  const sentMs = performance.now()
  assert.deepEqual(await within('a close', client.closed), { code: 1001, reason: 'heartbeat timeout' })
  const elapsedMs = performance.now() - sentMs
  assert.ok(elapsedMs >= TIMEOUT_MS - TOLERANCE_MS && elapsedMs < TIMEOUT_MS + LATE_MS, `${elapsedMs} ms`)
  const count = async (): Promise<number> =>
    (await proxy.server.metrics()).sum('wsproxy_errors_total', { type: 'heartbeat' })
  await waitUntil('it is counted', async () => (await count()) === 1)
  await waitUntil('it is gone', async () => (await proxy.activeConnections()) === 0)
})

test('session-proxy: a client that answers pings stays, and so does one that answers none but says something', async () => {
  using answers = await proxy.enter('answers')
  using talks = await openSilent('talks')
  const pings: { readonly atMs: number; readonly payload: string }[] = []
  answers.raw.on('ping', (payload: Buffer) => pings.push({ atMs: performance.now(), payload: payload.toString() }))
  let unanswered = 0
  talks.raw.on('ping', () => {
    unanswered++
    talks.send('{}')
  })
  await waitUntil('many pings', () => pings.length >= 10 && unanswered >= 10)
  assert.deepEqual([answers.isOver, talks.isOver], [false, false])
  assert.deepEqual(new Set(pings.map(({ payload }) => payload)), new Set(['']), 'pings are empty')
  const spanMs = (pings[9]?.atMs ?? 0) - (pings[0]?.atMs ?? 0)
  // The first one may be late, the last one not early.
  assert.ok(spanMs > 8 * PING_MS && spanMs < 9 * PING_MS + LATE_MS, `nine pauses take ${spanMs} ms`)
  await proxy.backend.publish('answers', '1')
  assert.equal(await nextText(answers), '1')
})

test('session-proxy: what goes to a silent client does not keep it', async () => {
  using client = await openSilent('fed')
  const timer = setInterval(() => void proxy.backend.publish('fed', '1'), PING_MS / 3)
  try {
    assert.deepEqual(await within('a close', client.closed), { code: 1001, reason: 'heartbeat timeout' })
  } finally {
    clearInterval(timer)
  }
})

test('session-proxy: a client that pings is answered with its payload', async () => {
  using client = await proxy.enter('pinging')
  for (const payload of ['', 'x', 'y'.repeat(125)]) client.raw.ping(payload)
  await waitUntil('pongs', () => client.pongs.length === 3)
  assert.deepEqual(client.pongs, ['', 'x', 'y'.repeat(125)])
})

test('session-proxy: SIGTERM closes with 1001, sends on what was said before, leaves no subscription, and ends with 0', async () => {
  const clients = [await proxy.enter('t1'), await proxy.open('t1'), await proxy.enter('t2')]
  using uplink = await proxy.backend.listen('t2')
  clients[2]?.send('"last words"')
  proxy.server.signal('SIGTERM')
  for (const client of clients) {
    assert.deepEqual(await within('a close', client.closed), { code: 1001, reason: 'server shutting down' })
  }
  assert.deepEqual(await within('the server ends', proxy.server.ended), { status: 0, signal: null })
  assert.equal(`${await uplink.next()}`, '"last words"')
  assert.deepEqual(await proxy.backend.channels(), [])
})
