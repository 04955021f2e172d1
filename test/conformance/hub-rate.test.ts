// Rate limits: at capacity, one over, after a refill, for every type of message. [PROTOCOLS 4.8]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Frame, HubClient } from '../harness/hub-client.ts'
import { HubServer } from '../harness/hub-server.ts'
import { pause } from '../harness/wait.ts'

let hub: HubServer
before(async () => {
  hub = await HubServer.start()
})
after(() => hub[Symbol.asyncDispose]())

const DEFAULTS = {
  ping: { frame: { type: 'ping' }, capacity: 120, refill: 2 },
  subscribe: { frame: { type: 'subscribe' }, capacity: 30, refill: 1 },
  unsubscribe: { frame: { type: 'unsubscribe' }, capacity: 30, refill: 1 },
  get_subscriptions: { frame: { type: 'get_subscriptions' }, capacity: 60, refill: 10 },
  get_reconnection_token: { frame: { type: 'get_reconnection_token' }, capacity: 60, refill: 10 },
  set_options: { frame: { type: 'set_options' }, capacity: 60, refill: 10 },
  broadcast: { frame: { type: 'broadcast', channel: 'metrics' }, capacity: 60, refill: 10 },
  recover: { frame: { type: 'recover', positions: {} }, capacity: 60, refill: 10 },
  unknown: { frame: { type: 'x' }, capacity: 60, refill: 10 },
  unreadable: { frame: '{', capacity: 60, refill: 10 },
  binary: { frame: Buffer.alloc(3), capacity: 60, refill: 10 },
} as const

function isRefused({ message }: Frame): boolean {
  return message === 'Rate limit exceeded'
}

/** Sends `count` at once and answers the replies. */
async function flood(client: HubClient, frame: object | string | Buffer, count: number): Promise<readonly Frame[]> {
  for (let index = 0; index < count; index++) client.send(frame)
  const replies: Frame[] = []
  while (replies.length < count) {
    const reply = await client.next()
    if (reply.type !== undefined) replies.push(reply)
  }
  return replies
}

for (const [type, { frame, capacity, refill }] of Object.entries(DEFAULTS)) {
  test(`hub rate: ${type}: ${capacity} at once pass, and what comes then waits`, async () => {
    using client = await hub.admin()
    const startMs = performance.now()
    const replies = await flood(client, frame, capacity + 20)
    // Time goes on while they are answered.
    const gained = Math.ceil(((performance.now() - startMs) / 1_000) * refill)
    const refused = replies.map(isRefused)
    assert.ok(
      refused.slice(0, capacity).every((one) => !one),
      'at capacity',
    )
    assert.ok(refused.filter((one) => one).length >= 20 - gained, 'beyond it')
    const last = replies.find(isRefused)
    assert.ok(last !== undefined)
    assert.deepEqual(Object.keys(last), ['type', 'message', 'retry_after'])
    const seconds = Number(last.retry_after)
    assert.ok(seconds > 0 && seconds <= 1 / refill, String(seconds))
    if (refill < 10) return
    // What it is told to wait is enough.
    const { retry_after: waitSeconds } = (await flood(client, frame, 20)).findLast(isRefused) ?? last
    await pause(Number(waitSeconds) * 1_000 + 5)
    assert.equal(isRefused((await flood(client, frame, 1))[0] as Frame), false, 'after the refill')
  })
}

test('hub rate: a refused message has no other effect, its id comes back, and types do not share', async () => {
  using client = await hub.enter()
  await flood(client, { type: 'subscribe' }, 30)
  const reply = await client.ask({ type: 'subscribe', channel: 'metrics', id: 5 })
  assert.deepEqual([reply.message, reply.id, Object.keys(reply).at(-1)], ['Rate limit exceeded', 5, 'id'])
  assert.deepEqual((await client.ask({ type: 'get_subscriptions' })).channels, [])
  assert.equal((await client.ask({ type: 'ping' })).type, 'pong')
})

test('hub rate: what is unknown and what cannot be read have one bucket', async () => {
  using client = await hub.enter()
  await flood(client, '{', 30)
  await flood(client, { type: 'x' }, 30)
  const replies = await flood(client, '[]', 20)
  assert.ok(replies.some(isRefused))
})

test('hub rate: a hit is an action, at most one a second for a session', async () => {
  using watcher = await hub.admin()
  await watcher.subscribe('actions')
  using client = await hub.enter()
  const startMs = performance.now()
  await flood(client, { type: 'subscribe' }, 60)
  const event = await watcher.nextEvent()
  const seconds = Math.ceil((performance.now() - startMs) / 1_000)
  assert.equal(event.event_type, 'action.executed')
  const { action_id: id, ...rest } = event.data
  assert.match(String(id), /^[0-9a-f-]{36}$/)
  assert.deepEqual(rest, {
    action_type: 'rate_limit',
    status: 'failed',
    result: { client_id: client.id, message_type: 'subscribe' },
    execution_time_ms: 0,
    error: 'Rate limit exceeded',
  })
  let more = 0
  watcher.send({ type: 'ping' })
  for (let frame = await watcher.next(); frame.type !== 'pong'; frame = await watcher.next()) more++
  assert.ok(more < seconds, `${more} more`)
})

test('hub rate: limits and the burst are configured', async () => {
  await using own = await HubServer.start({ hub: { rateLimits: 'ping=2/0.1', rateLimitBurst: 1 }, shards: 1 })
  using client = await own.enter()
  const replies = await flood(client, { type: 'ping' }, 4)
  assert.deepEqual(replies.map(isRefused), [false, false, false, true])
  assert.ok(Number(replies[3]?.retry_after) > 9)
  assert.equal((await flood(client, { type: 'get_subscriptions' }, 61)).filter(isRefused).length, 0)
})
