// What the hub itself tells on its six channels, heartbeats, and the figures. [PROTOCOLS 4.4, 4.6, 4.12]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { HubServer } from '../harness/hub-server.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { waitUntil } from '../harness/wait.ts'

let hub: HubServer
before(async () => {
  hub = await HubServer.start({ hub: { metricsInterval: '200ms', pingInterval: '300ms', pingTimeout: '900ms' } })
})
after(() => hub[Symbol.asyncDispose]())

test('hub events: metrics of the process (H7)', async () => {
  using client = await hub.enter()
  await client.subscribe('metrics')
  let frame = await client.next()
  while (frame.event_type === undefined) frame = await client.next()
  assert.deepEqual([frame.channel, frame.event_type], ['metrics', 'system_metrics'])
  const data = frame.data as Readonly<Record<string, unknown>>
  assert.deepEqual(Object.keys(data), [
    'cpu_percent',
    'memory_mb',
    'events_per_sec',
    'total_tokens',
    'total_connections',
    'total_channels',
    'total_subscriptions',
    'buffered_events',
  ])
  assert.equal(data.total_tokens, null)
  assert.ok(Number(data.memory_mb) > 10)
  assert.ok(Number(data.total_connections) >= 1)
})

test('hub events: clients that come and go (H17)', async () => {
  using watcher = await hub.admin()
  await watcher.subscribe('connections')
  const client = await hub.enter({ claims: { sub: 'ada' } })
  const told = async (): Promise<Readonly<Record<string, unknown>>> => {
    for (;;) {
      const { type, event_type: eventType, data } = await watcher.next()
      const known = data as { readonly client_id?: string } | undefined
      if (type === undefined && known?.client_id === client.id) return { eventType, ...known }
    }
  }
  const opened = await told()
  assert.deepEqual([opened.eventType, opened.user_id, opened.total_connections], ['client.connected', 'ada', 2])
  await client.leave()
  const closed = await told()
  assert.deepEqual([closed.eventType, closed.total_connections, closed.reason], ['client.disconnected', 1, 'client'])
})

test('hub events: what administrators do, and a shard that fails: actions, status, logs', async () => {
  using watcher = await hub.admin()
  await watcher.subscribe('actions', 'status', 'logs')
  // One that nobody is on, so that somebody can watch.
  const victim = (await hub.server.health()).shards.find(({ connections }) => connections === 0)
  assert.ok(victim !== undefined)
  await hub.server.kill(victim.id)
  const seen = new Map<string, Readonly<Record<string, unknown>>>()
  const wanted = ['action.executed', 'status.error', 'log.error', 'status.running']
  while (!wanted.every((one) => seen.has(one))) {
    const frame = await watcher.next()
    if (frame.type === undefined) seen.set(String(frame.event_type), frame.data as Readonly<Record<string, unknown>>)
  }
  const action = seen.get('action.executed')
  const told = [action?.action_type, action?.status, action?.error]
  assert.deepEqual(told, ['POST /api/v1/shards/:id/restart', 'completed', null])
  assert.deepEqual(Object.keys(seen.get('log.error') ?? {}), ['level', 'message', 'service', 'correlation_id'])
  const { status, details } = seen.get('status.error') ?? {}
  assert.deepEqual([status, (details as { shard?: unknown }).shard], ['error', victim.id])
})

test('hub heartbeat: a client that answers pings of the protocol stays, one that answers nothing is dropped (H12)', async () => {
  await using calm = await HubServer.start({ hub: { pingInterval: '300ms', pingTimeout: '900ms' }, shards: 1 })
  using listener = await calm.enter()
  const startMs = performance.now()
  using silent = await calm.enter({ options: { autoPong: false } })
  assert.deepEqual(await silent.closed, { code: 1001, reason: 'idle timeout' })
  assert.ok(performance.now() - startMs >= 850)
  for (let count = 0; count < 4; count++) {
    const ping = await listener.next()
    assert.deepEqual(Object.keys(ping), ['type', 'timestamp'])
    assert.equal(ping.type, 'ping')
  }
  assert.equal(listener.socket.isOver, false)
  const page = await calm.server.metrics()
  assert.ok(page.sum('neurograph_ws_heartbeat_latency_seconds_count') >= 3)
  assert.equal(page.sum('neurograph_ws_connections_closed_total', { reason: 'idle_timeout' }), 1)
})

test('hub metrics: figures say what happened, under the established names', async () => {
  await using own = await HubServer.start({ hub: { rateLimits: 'ping=2/0.001' }, shards: 1 })
  const admin = await own.admin()
  await admin.subscribe('metrics')
  await admin.broadcast('metrics', { a: 1 })
  await admin.ask({ type: 'unsubscribe', channel: 'metrics' })
  await admin.ask('{')
  await admin.ask({ type: 'subscribe', channel: 'nowhere' })
  await admin.ask(Buffer.alloc(1))
  for (let count = 0; count < 3; count++) await admin.ask({ type: 'ping' })
  const token = await admin.token()
  await admin.leave()
  const [back, fresh] = [await own.resume(token), await own.resume(token)]
  assert.equal((await back.next()).type, 'session_restored')
  // The connection that left is counted when its socket is gone, which is after its session was restored.
  const page = await waitUntil('the connection that left is counted', async () => {
    const latest = new MetricPage(await (await own.fetch('/metrics')).text())
    return latest.sum('neurograph_ws_connections_closed_total') > 0 && latest
  })
  const sum = (name: string, labels: Readonly<Record<string, string>> = {}): number =>
    page.sum(`neurograph_ws_${name}`, labels)
  assert.equal(sum('connections_total'), 2)
  assert.equal(sum('connections_opened_total'), 3)
  assert.equal(sum('connections_closed_total', { reason: 'client' }), 1)
  assert.equal(sum('disconnects_total', { reason: 'client' }), 1)
  assert.equal(sum('connection_duration_seconds_count'), 1)
  assert.equal(sum('messages_received_total', { message_type: 'ping' }), 3)
  assert.equal(sum('messages_received_total', { message_type: 'invalid' }), 1)
  assert.equal(sum('messages_received_total', { message_type: 'binary' }), 1)
  assert.equal(sum('messages_sent_total', { channel: 'system', message_type: 'pong' }), 2)
  assert.equal(sum('messages_sent_total', { channel: 'metrics', message_type: 'event' }), 1)
  assert.equal(sum('subscriptions_total', { channel: 'metrics' }), 1)
  assert.equal(sum('channel_subscriptions_total', { channel: 'metrics' }), 1)
  assert.equal(sum('channel_unsubscriptions_total', { channel: 'metrics' }), 1)
  assert.equal(sum('channel_subscribers', { channel: 'metrics' }), 0)
  assert.equal(sum('errors_total', { error_type: 'invalid_json' }), 1)
  assert.equal(sum('errors_total', { error_type: 'permission' }), 1)
  assert.equal(sum('errors_total', { error_type: 'invalid_binary' }), 1)
  assert.equal(sum('broadcast_duration_seconds_count', { channel: 'metrics' }), 1)
  assert.equal(sum('reconnections_total', { result: 'restored' }), 1)
  assert.equal(sum('reconnections_total', { result: 'rejected' }), 1)
  assert.equal(sum('rate_limit_hits_total', { message_type: 'ping' }), 1)
  assert.ok(sum('message_latency_seconds_count', { message_type: 'ping' }) >= 2)
  assert.ok(sum('message_size_bytes_count', { direction: 'received' }) >= 9)
  for (const client of [back, fresh]) client[Symbol.dispose]()
})

test('hub events: a drain is told before anybody is closed, on whatever shard', async () => {
  await using drained = await HubServer.start()
  const watchers = await Promise.all(Array.from({ length: 6 }, () => drained.enter()))
  await Promise.all(watchers.map((watcher) => watcher.subscribe('status')))
  const stopped = drained.server.stop()
  for (const watcher of watchers) {
    assert.equal((await watcher.next()).event_type, 'status.stopped')
    assert.equal((await watcher.next()).type, 'disconnected')
    assert.deepEqual(await watcher.closed, { code: 1001, reason: 'server shutting down' })
  }
  await stopped
})
