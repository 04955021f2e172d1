// Who may open a session (PROTOCOLS 5.1): S1 and S2, each row of the table that Redis in good health can cause, and what
// the proxy asks Redis in which order.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { assertRefused, bearer, nextText, RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { waitUntil } from '../harness/wait.ts'

const GRACE_S = 10_800
const PAUSE_MS = 200
const MISSING = 'Missing authorization token'
const INVALID = 'Invalid authorization token'

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start()
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

test('session-proxy: without a token a handshake is answered 401', async () => {
  await proxy.backend.setToken('s1', TOKEN)
  const headers: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    none: {},
    empty: { Authorization: '' },
    'the scheme alone': { Authorization: 'Bearer' },
    'no token': { Authorization: 'Bearer ' },
    'another scheme': { Authorization: `Basic ${TOKEN}` },
    'the scheme in lower case': { Authorization: `bearer ${TOKEN}` },
    'the scheme in upper case': { Authorization: `BEARER ${TOKEN}` },
    'no scheme': { Authorization: TOKEN },
    'no space': { Authorization: `Bearer${TOKEN}` },
    'a subprotocol, which is off': {
      'Sec-WebSocket-Protocol': `polyloop.bearer, ${Buffer.from(TOKEN).toString('base64url')}`,
    },
  }
  for (const [name, given] of Object.entries(headers)) {
    const answer = await proxy.knock('/agent1/ws/s1', given)
    assert.deepEqual([name, answer.status, answer.body], [name, 401, MISSING])
    assertRefused(answer, 401, MISSING)
  }
  assert.equal(await proxy.backend.tokenTtl('s1'), -1, 'nobody has used it')
})

test('session-proxy: a key that is absent or different is answered 403', async () => {
  assertRefused(await proxy.knockAt('nobody'), 403, INVALID)
  await proxy.backend.setToken('s2', TOKEN)
  for (const token of ['x', TOKEN.slice(0, -1), `${TOKEN}x`, TOKEN.toUpperCase(), `${TOKEN} x`, 'x'.repeat(4_000)]) {
    assertRefused(await proxy.knockAt('s2', token), 403, INVALID)
  }
  assertRefused(await proxy.knockAt('s1-of-another', TOKEN), 403, INVALID)
  await proxy.backend.setToken('empty', '')
  assertRefused(await proxy.knockAt('empty', 'x'), 403, INVALID)
  assert.equal(await proxy.backend.tokenTtl('s2'), -1, 'a refused one does not begin the grace time')
  assert.deepEqual(await proxy.backend.channels(), [], 'nor is anything subscribed to')
  assert.equal((await proxy.knockAt('s2', TOKEN)).status, 101)
})

test('session-proxy: a key of another type is answered 500', async () => {
  await proxy.backend.redis.rpush('session:list:auth', TOKEN)
  assertRefused(await proxy.knockAt('list'), 500, 'Internal server error')
})

test('session-proxy: a token is compared as bytes, whatever it is', async () => {
  for (const token of ['a', 'a b', 'a:b/=+.~', '"quoted"', 'x'.repeat(4_000), '\u00e9\u00ff']) {
    const session = `bytes-${token.length}-${token.charCodeAt(0)}`
    // node:http writes one byte per character.
    await proxy.backend.setToken(session, Buffer.from(token, 'latin1'))
    assert.equal((await proxy.knockAt(session, token)).status, 101, token)
  }
})

test('session-proxy: each connect lets the token live for three hours from then', async () => {
  for (const ttl of [undefined, 60, 100_000]) {
    await proxy.backend.setToken('s3', TOKEN, ttl)
    using _client = await proxy.open('s3')
    const left = await proxy.backend.tokenTtl('s3')
    assert.ok(left > GRACE_S - 10 && left <= GRACE_S, `${left} s after ${ttl}`)
  }
  await proxy.backend.redis.expire('session:s3:auth', 60)
  using _again = await proxy.open('s3')
  assert.ok((await proxy.backend.tokenTtl('s3')) > GRACE_S - 10, 'a reconnect')
})

test('session-proxy: Redis is asked for the token, then to extend it, then to subscribe, and then the client is open', async () => {
  await proxy.backend.setToken('ordered', TOKEN)
  const lines: string[] = []
  const watcher = spawn('redis-cli', ['-p', `${proxy.redis.port}`, 'MONITOR'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const reader = createInterface({ input: watcher.stdout }).on('line', (line) => lines.push(line))
  await once(reader, 'line')
  // What writes waits for a while: who does not wait for it shows.
  await proxy.backend.redis.call('CLIENT', 'PAUSE', PAUSE_MS, 'WRITE')
  using _client = await proxy.open('ordered')
  assert.deepEqual(await proxy.backend.channels(), ['session:ordered:down'], 'before 101, so now')
  const commands = (): string[] => lines.filter((line) => line.includes('session:ordered:')).map(commandOf)
  await waitUntil('all is seen', () => commands().length >= 3)
  watcher.kill()
  assert.deepEqual(commands(), [
    'get session:ordered:auth',
    // Or EXPIRE: what becomes of the key is the same.
    `pexpire session:ordered:auth ${GRACE_S * 1000}`,
    'subscribe session:ordered:down',
  ])
})

/** Of a line of MONITOR. */
function commandOf(line: string): string {
  const [name = '', ...words] = [...line.matchAll(/"([^"]*)"/g)].map(([, word = '']) => word)
  return [name.toLowerCase(), ...words].join(' ')
}

test('session-proxy: a message published as soon as the client is open arrives', async () => {
  await proxy.backend.setToken('s4', TOKEN)
  for (let round = 0; round < 100; round++) {
    using client = await proxy.open('s4')
    assert.equal(await proxy.backend.publish('s4', `"${round}"`), 1)
    assert.equal(await nextText(client), `"${round}"`)
  }
})

test('session-proxy: tokens are in no line of the log', async () => {
  await proxy.backend.setToken('secret', 'this-is-nobodys-business')
  assert.equal((await proxy.knock('/agent1/ws/secret', bearer('this-is-nobodys-business'))).status, 101)
  assertRefused(await proxy.knockAt('secret', 'this-is-nobodys-busines5'), 403, INVALID)
  assert.doesNotMatch(JSON.stringify(proxy.server.log), /this-is-nobodys/)
})

test('session-proxy: what became of handshakes is counted', async () => {
  const count = async (status: string): Promise<number> =>
    (await proxy.server.metrics()).sum('wsproxy_connections_total', { status })
  const before = [await count('accepted'), await count('unauthorized'), await count('forbidden')]
  await proxy.backend.setToken('counted', TOKEN)
  using _client = await proxy.open('counted')
  await proxy.knock('/agent1/ws/counted')
  await proxy.knockAt('counted', 'wrong')
  const counts = async (): Promise<number[]> => [
    await count('accepted'),
    await count('unauthorized'),
    await count('forbidden'),
  ]
  const wanted = before.map((value) => value + 1)
  await waitUntil('they are counted', async () => `${await counts()}` === `${wanted}`)
})
