// Sessions that are resumed again and again while a reload moves them: each has one connection, and every token works once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRuntime, type Runtime } from '../../src/index.ts'
import { CapturedLog } from '../harness/captured-log.ts'
import { HubClient } from '../harness/hub-client.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { pause, waitUntil } from '../harness/wait.ts'

const SESSIONS = 4
/** Otherwise they take the processor that new threads need to start. */
const PAUSE_MS = 20
const MOVED_MS_MAX = 30_000

async function open(runtime: Runtime, query = ''): Promise<HubClient> {
  const client = await HubClient.open(`ws://127.0.0.1:${runtime.listeners[0]?.port}/ws${query}`)
  await client.enter()
  return client
}

/** Comes back with a new token each time, until the move is over; answers the last connection, and every token it used. */
async function comeAndGo(runtime: Runtime, isMoving: () => boolean): Promise<[HubClient, readonly string[]]> {
  let client = await open(runtime)
  await client.subscribe('metrics')
  const used: string[] = []
  while (isMoving()) {
    const token = await client.token()
    const back = await open(runtime, `?reconnection_token=${token}`)
    assert.equal((await back.next()).type, 'session_restored', `after ${used.length} times`)
    assert.equal((await client.closed).code, 4500)
    used.push(token)
    client = back
    await pause(PAUSE_MS)
  }
  return [client, used]
}

test('hub return: whoever comes back in the middle of a reload has the session alone', async (context) => {
  await using runtime = await createRuntime({
    shards: 2,
    only: ['hub'],
    logStream: new CapturedLog(),
    settings: { 'admin.port': 0, 'services.hub.ws.port': 0, 'services.hub.metricsInterval': '1h' },
  })
  let isMoving = true
  const moving = Array.from({ length: SESSIONS }, () => comeAndGo(runtime, () => isMoving))
  await runtime.reload()
  await waitUntil('everything has moved', () => runtime.report().migration.state === 'idle', MOVED_MS_MAX)
  isMoving = false
  const ends = await Promise.all(moving)
  const tokens = ends.flatMap(([, used]) => used)
  context.diagnostic(`${tokens.length} times in the course of a reload`)
  assert.ok(tokens.length >= SESSIONS)
  for (const [client] of ends) {
    assert.deepEqual((await client.ask({ type: 'get_subscriptions' })).channels, ['metrics'])
  }
  for (const token of ends.map(([, used]) => used.at(-1))) {
    using fresh = await open(runtime, `?reconnection_token=${token}`)
    assert.equal((await fresh.ask({ type: 'ping' })).type, 'pong', 'a used token stays used')
    await fresh.leave()
  }
  const page = new MetricPage(await runtime.metrics())
  assert.equal(page.sum('neurograph_ws_connections_total'), SESSIONS)
  assert.equal(page.sum('neurograph_ws_channel_subscribers', { channel: 'metrics' }), SESSIONS)
})
