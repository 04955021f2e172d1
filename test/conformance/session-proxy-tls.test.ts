// Sessions over TLS: there the shard is chosen before anybody knows the session, so that connections of one session are on
// several shards (PROTOCOLS 1.8). Nobody notices.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { bearer, nextText, RedisProxy, TOKEN } from '../harness/proxy-server.ts'
import { waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const FOLDER = join(import.meta.dirname, '../harness/certificate')
const FILES = { cert: join(FOLDER, 'cert.pem'), key: join(FOLDER, 'key.pem') }
const CA = readFileSync(FILES.cert)
/** Each is on one of two shards by chance: all on one of them once in 32,768 runs. */
const CONNECTIONS = 16
const MESSAGES = 20

let proxy: RedisProxy

before(async () => {
  proxy = await RedisProxy.start({
    shards: 2,
    settings: {
      'services.session-proxy.ws.tls.cert': FILES.cert,
      'services.session-proxy.ws.tls.key': FILES.key,
    },
  })
})

after(async () => {
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.server.stray, [])
})

function openSecure(session: string): Promise<WebSocketClient> {
  const url = `wss://localhost:${proxy.server.port('session-proxy.ws')}/agent1/ws/${session}`
  return WebSocketClient.open(url, { headers: bearer(TOKEN), ca: CA })
}

test('session-proxy: one session on several shards: all hear all, in order, over one subscription', async () => {
  await proxy.backend.setToken('spread', TOKEN)
  using uplink = await proxy.backend.listen('spread')
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => openSecure('spread')))
  const { shards } = await proxy.server.health()
  assert.equal(shards.filter(({ connections }) => connections > 0).length, 2, 'they are on both shards')
  for (let number = 0; number < MESSAGES; number++) {
    assert.equal(await proxy.backend.publish('spread', `${number}`), 1)
  }
  for (const client of clients) {
    for (let number = 0; number < MESSAGES; number++) assert.equal(await nextText(client), `${number}`)
  }
  for (const [index, client] of clients.entries()) {
    client.send(`${index}`)
    assert.equal(`${await uplink.next()}`, `${index}`)
  }
  const metrics = await proxy.server.metrics()
  assert.equal(metrics.sum('wsproxy_active_connections'), CONNECTIONS)
  // One after the other until the last: then the subscription ends, and not before.
  for (const [index, client] of clients.entries()) {
    assert.equal(await proxy.backend.publish('spread', 'still'), 1)
    for (const rest of clients.slice(index)) assert.equal(await nextText(rest), 'still')
    client.close(1000)
    await client.closed
  }
  await waitUntil('the subscription ends', async () => (await proxy.backend.channels()).length === 0)
})

test('session-proxy: a cut is told once to each connection of a session, on whatever shard', async () => {
  await proxy.backend.setToken('cut', TOKEN)
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => openSecure('cut')))
  await proxy.backend.cut('pubsub')
  for (const client of clients) assert.equal(await nextText(client), '{"type":"control","command":"gap"}')
  assert.equal(await proxy.backend.publish('cut', 'after'), 1)
  for (const client of clients) assert.equal(await nextText(client), 'after')
  for (const client of clients) client[Symbol.dispose]()
})
