// What only the defaults show: the interval of metrics, and how much is kept for a client that went away. [PROTOCOLS 4.4, 4.7]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'

const METRICS_MS_MAX = 6_000
const EVENTS = 1_500
/** Requests that wait for their replies: one at a time would take long. */
const AT_ONCE = 100

let hub: HubServer
before(async () => {
  hub = await HubServer.start({ hub: { metricsInterval: '5s', rateLimits: MANY_BROADCASTS } })
})
after(() => hub[Symbol.asyncDispose]())

test('hub defaults: a subscriber of metrics gets them within 6 s (H7)', async () => {
  using client = await hub.enter()
  await client.subscribe('metrics')
  const startMs = performance.now()
  const event = await client.nextEvent(METRICS_MS_MAX)
  assert.equal(event.event_type, 'system_metrics')
  assert.ok(performance.now() - startMs <= METRICS_MS_MAX)
})

test('hub defaults: of 1,500 missed events the newest 1,000 come, in order, and 500 are dropped (H10)', async () => {
  const client = await hub.enter()
  await client.subscribe('status')
  const token = await client.token()
  await client.leave()
  using admin = await hub.admin()
  for (let first = 1; first <= EVENTS; first += AT_ONCE) {
    for (let number = first; number < first + AT_ONCE; number++)
      admin.send({ type: 'broadcast', channel: 'status', data: { number } })
    for (let count = 0; count < AT_ONCE; count++) assert.equal((await admin.next()).type, 'broadcast_ack')
  }
  using back = await hub.resume(token)
  const restored = await back.next()
  assert.deepEqual([restored.type, restored.missed, restored.dropped], ['session_restored', 1_000, 500])
  for (let number = 501; number <= EVENTS; number++) assert.equal((await back.nextEvent()).data.number, number)
  const page = await hub.server.metrics()
  assert.equal(page.sum('neurograph_ws_buffer_overflow_total'), 500)
})
