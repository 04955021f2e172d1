// One session on two hosts that share a real redis-server.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createRuntime, type Runtime } from '../../src/index.ts'
import { CapturedLog } from '../harness/captured-log.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SESSION = 'ses:sion/ю'
const GAP = '{"type":"control","command":"gap"}'

let redis: RedisServer
let hosts: readonly Runtime[]

before(async () => {
  redis = await startRedis()
  hosts = await Promise.all([start(), start()])
})

after(async () => {
  for (const host of hosts) await host.close()
  await redis[Symbol.asyncDispose]()
})

function start(): Promise<Runtime> {
  return createRuntime({
    shards: 2,
    only: ['session-proxy'],
    logStream: new CapturedLog(),
    settings: {
      'admin.port': 0,
      'services.hub.ws.port': 0,
      'services.session-proxy.ws.port': 0,
      'bridge.redis.url': redis.url,
      'bridge.redis.backoff.max': '200ms',
    },
  })
}

function portOf(host: Runtime): number {
  return host.listeners[0]?.port ?? 0
}

function open(host: Runtime): Promise<WebSocketClient> {
  const url = `ws://127.0.0.1:${portOf(host)}/agent/ws/${encodeURIComponent(SESSION)}`
  return WebSocketClient.open(url, { headers: { authorization: 'Bearer my-token' } })
}

async function ask(host: Runtime, path: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${portOf(host)}${path}`)
  return { status: answer.status, text: await answer.text() }
}

async function textOf(client: WebSocketClient): Promise<string | undefined> {
  return (await client.next())?.data.toString()
}

test('hosts: a session has clients on both; Redis dies and comes back, and they stay, are told, and hear again', async () => {
  for (const host of hosts) {
    await waitUntil('it is ready', async () => (await ask(host, '/ready')).status === 200)
    assert.deepEqual(await ask(host, '/health'), {
      status: 200,
      text: '{"status":"healthy","redis":"connected","active_connections":0}',
    })
  }
  redis.command('SET', `session:${SESSION}:auth`, 'my-token')
  const clients = await Promise.all([...hosts, ...hosts].map(open))
  const ttlSeconds = Number(redis.command('TTL', `session:${SESSION}:auth`))
  assert.ok(ttlSeconds > 10_700 && ttlSeconds <= 10_800, `${ttlSeconds}`)

  // Two hosts, whatever they have of clients.
  assert.equal(redis.command('PUBLISH', `session:${SESSION}:down`, '{"n":1}'), '2')
  for (const client of clients) assert.equal(await textOf(client), '{"n":1}')

  await redis.kill()
  await waitUntil('both have noticed', async () => {
    const answers = await Promise.all(hosts.map((host) => ask(host, '/health')))
    return answers.every(({ status, text }) => status === 503 && text.startsWith('{"status":"unhealthy","redis":"dis'))
  })
  for (const client of clients) assert.equal(await client.ask('{}'), '{"error":"Upstream unavailable"}')
  for (const host of hosts) assert.equal((await ask(host, '/ready')).status, 200, 'it was there once')

  await redis.start()
  for (const client of clients) assert.equal(await textOf(client), GAP)
  await waitUntil('both listen', () => redis.command('PUBSUB', 'NUMSUB', `session:${SESSION}:down`).endsWith('2'))
  assert.equal(redis.command('PUBLISH', `session:${SESSION}:down`, '{"n":2}'), '2')
  for (const client of clients) assert.equal(await textOf(client), '{"n":2}')

  for (const client of clients) client.close()
  await waitUntil('nobody listens', () => redis.command('PUBSUB', 'CHANNELS', 'session:*') === '')
})
