// A reload, and another number of shards: connections of the hub move with all they have, and nobody notices. The process
// publishes, too.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRuntime, hubOf, type Runtime } from '../../src/index.ts'
import { CapturedLog } from '../harness/captured-log.ts'
import { HubClient } from '../harness/hub-client.ts'
import { SECRET, tokenOf } from '../harness/hub-server.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { waitUntil } from '../harness/wait.ts'

const CLIENTS = 8
/** Threads start while others have the processor. */
const MOVED_MS_MAX = 30_000

async function moved(runtime: Runtime, how: () => unknown): Promise<void> {
  const before = runtime.report().migration.finished_ms
  await how()
  await waitUntil(
    'everything has moved',
    () => {
      const { state, finished_ms: after } = runtime.report().migration
      return state === 'idle' && after !== null && after !== before
    },
    MOVED_MS_MAX,
  )
}

test('hub reload: subscriptions, options, buckets, tokens and order survive two moves', async () => {
  await using runtime = await createRuntime({
    shards: 2,
    only: ['hub'],
    logStream: new CapturedLog(),
    settings: {
      'admin.port': 0,
      'services.hub.ws.port': 0,
      'services.hub.jwt.secret': SECRET,
      'services.hub.rateLimits': 'ping=5/0.001',
      'services.hub.metricsInterval': '1h',
      'services.hub.metrics.byUser': true,
    },
  })
  const port = runtime.listeners[0]?.port
  const open = async (query: string): Promise<HubClient> => {
    const client = await HubClient.open(`ws://127.0.0.1:${port}/ws${query}`)
    await client.enter()
    return client
  }
  const clients: HubClient[] = []
  for (let index = 0; index < CLIENTS; index++) {
    const client = await open(`?offsets=${index % 2}&token=${tokenOf({ sub: 'developer' })}`)
    await client.subscribe('signals', 'metrics')
    for (let count = 0; count < 3; count++) await client.ask({ type: 'ping' })
    clients.push(client)
  }
  const tokens = await Promise.all(clients.map((client) => client.token()))

  const hub = hubOf(runtime)
  let number = 0
  const publishing = setInterval(() => hub.publish('signals', 'signal.tick', { number: ++number }), 2)
  try {
    await moved(runtime, () => runtime.reload())
    await moved(runtime, () => runtime.setShards(3))
  } finally {
    clearInterval(publishing)
  }

  const last = number
  for (const [index, client] of clients.entries()) {
    for (let wanted = 1; wanted <= last; wanted++) {
      const event = await client.nextEvent()
      assert.equal(event.data.number, wanted)
      assert.equal(event.offset === undefined, index % 2 === 0)
    }
    assert.deepEqual((await client.ask({ type: 'get_subscriptions' })).channels, ['signals', 'metrics'])
    const replies: unknown[] = []
    while (replies.length < 3) replies.push((await client.ask({ type: 'ping' })).type)
    assert.deepEqual(replies, ['pong', 'pong', 'error'], 'the bucket has moved along')
  }
  const page = new MetricPage(await runtime.metrics())
  assert.equal(page.sum('neurograph_ws_connections_total'), CLIENTS)
  assert.equal(page.sum('neurograph_ws_connections_by_user', { user_id: 'developer' }), CLIENTS)
  assert.equal(page.sum('neurograph_ws_connections_closed_total'), 0)

  // The tokens of before still open their sessions, and the connections, which have moved, give way.
  for (const [index, client] of clients.entries()) {
    using back = await open(`?reconnection_token=${tokens[index]}`)
    assert.equal((await client.closed).code, 4500)
    assert.deepEqual((await back.next()).channels, ['signals', 'metrics'])
  }
})
