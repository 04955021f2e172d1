// Requests and their replies, errors, permissions: over real sockets, text by text. [PROTOCOLS 4.2, 4.3, 4.5]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { HubClient } from '../harness/hub-client.ts'
import { CHANNELS, HubServer } from '../harness/hub-server.ts'
import { waitUntil } from '../harness/wait.ts'

const FREE =
  'subscribe=100000/1000,unsubscribe=100000/1000,broadcast=100000/1000,set_options=100000/1000,invalid=100000/1000'

let hub: HubServer
before(async () => {
  hub = await HubServer.start({ hub: { rateLimits: FREE } })
})
after(() => hub[Symbol.asyncDispose]())

/** Which channels a role may subscribe to, and broadcast to. */
const RIGHTS = {
  admin: { subscribe: CHANNELS, broadcast: CHANNELS },
  developer: { subscribe: ['metrics', 'signals', 'actions', 'logs', 'status'], broadcast: [] },
  viewer: { subscribe: ['metrics', 'status'], broadcast: [] },
  bot: { subscribe: ['metrics', 'signals', 'status'], broadcast: [] },
  anonymous: { subscribe: ['metrics', 'status'], broadcast: [] },
} as const satisfies Record<string, { subscribe: readonly string[]; broadcast: readonly string[] }>

for (const [role, { subscribe, broadcast }] of Object.entries(RIGHTS)) {
  test(`hub permissions: ${role}, channel by channel`, async () => {
    using client = await hub.enter(role === 'anonymous' ? {} : { claims: { sub: 'someone', role } })
    for (const channel of CHANNELS) {
      const may = (subscribe as readonly string[]).includes(channel)
      const reply = await client.ask({ type: 'subscribe', channel })
      assert.deepEqual(reply.channels, may ? [channel] : [], channel)
      assert.deepEqual(reply.denied, may ? undefined : [channel], channel)
      await client.ask({ type: 'unsubscribe', channel })
    }
    for (const channel of CHANNELS) {
      const reply = await client.ask({ type: 'broadcast', channel })
      const may = (broadcast as readonly string[]).includes(channel)
      if (may) assert.equal(reply.type, 'broadcast_ack', channel)
      else assert.deepEqual(reply, { type: 'error', message: `Permission denied: broadcast to ${channel}` })
    }
  })
}

test('hub requests: each reply, member by member, with the id last', async () => {
  using client = await hub.admin()
  const members = async (frame: object): Promise<readonly string[]> => Object.keys(await client.ask(frame))
  assert.deepEqual(await members({ type: 'ping' }), ['type', 'timestamp'])
  assert.deepEqual(await members({ type: 'ping', id: 'a' }), ['type', 'timestamp', 'id'])
  assert.deepEqual(await members({ type: 'subscribe', channel: 'metrics' }), ['type', 'channels', 'timestamp'])
  assert.deepEqual(await members({ type: 'subscribe', channel: 'x' }), [
    'type',
    'channels',
    'denied',
    'message',
    'timestamp',
  ])
  assert.deepEqual(await members({ type: 'unsubscribe', channel: 'x' }), ['type', 'channels', 'timestamp'])
  assert.deepEqual(await members({ type: 'get_subscriptions' }), ['type', 'channels', 'timestamp'])
  assert.deepEqual(await members({ type: 'set_options' }), ['type', 'binary', 'compression', 'timestamp'])
  assert.deepEqual(await members({ type: 'get_reconnection_token' }), ['type', 'token', 'expires_in', 'timestamp'])
  assert.deepEqual(await members({ type: 'broadcast', channel: 'logs' }), [
    'type',
    'channel',
    'subscribers',
    'timestamp',
  ])
})

test('hub requests: ids that may be one are repeated, others are not', async () => {
  using client = await hub.enter()
  for (const id of [0, -1, 2 ** 53 - 1, '', 'x'.repeat(64)])
    assert.equal((await client.ask({ type: 'ping', id })).id, id)
  for (const id of [1.5, 2 ** 53, 'x'.repeat(65), null, true, {}, []])
    assert.ok(!('id' in (await client.ask({ type: 'ping', id }))), JSON.stringify(id))
  assert.equal((await client.ask({ type: 'nothing', id: 7 })).id, 7, 'errors too')
})

test('hub requests: subscriptions in their order, each once; what is not allowed is named (H4)', async () => {
  using client = await hub.enter()
  const reply = await client.ask({ type: 'subscribe', channels: [...CHANNELS, 'metrics', 'weather'] })
  assert.deepEqual(reply.channels, ['metrics', 'status'])
  assert.deepEqual(reply.denied, ['signals', 'actions', 'logs', 'connections', 'weather'])
  assert.equal(reply.message, 'Permission denied for channels: signals, actions, logs, connections, weather')
  await client.ask({ type: 'unsubscribe', channels: ['metrics', 'weather', 'weather'] }).then(({ channels }) => {
    assert.deepEqual(channels, ['metrics', 'weather'])
  })
  await client.subscribe('metrics')
  assert.deepEqual((await client.ask({ type: 'get_subscriptions' })).channels, ['status', 'metrics'])
  for (const empty of [{}, { channels: [] }, { channels: null }, { channel: null }])
    assert.deepEqual((await client.ask({ type: 'subscribe', ...empty })).channels, [])
})

test('hub requests: a subscription counts before its reply, on whatever shard; the sender gets its own broadcast (H16)', async () => {
  using admin = await hub.admin()
  for (let count = 1; count <= 8; count++) {
    const client = await hub.enter()
    await client.subscribe('metrics')
    assert.equal(await admin.broadcast('metrics', { count }), 1)
    const event = await client.nextEvent()
    assert.deepEqual([event.event_type, event.data], ['broadcast', { count }])
    await client.ask({ type: 'unsubscribe', channel: 'metrics' })
    assert.equal(await admin.broadcast('metrics', {}), 0)
    await client.leave()
  }
  await admin.subscribe('logs')
  admin.send({ type: 'broadcast', channel: 'logs', event_type: 'x'.repeat(128), data: null })
  const frames = [await admin.next(), await admin.next()]
  const event = frames.find(({ type }) => type === undefined)
  assert.deepEqual([event?.event_type, event?.data], ['x'.repeat(128), {}])
  assert.deepEqual(Object.keys(event ?? {}), ['channel', 'timestamp', 'event_type', 'data'])
  assert.ok(frames.some(({ type, subscribers }) => type === 'broadcast_ack' && subscribers === 1))
})

test('hub requests: replies keep the order of requests', async () => {
  using admin = await hub.admin()
  const types = [
    'subscribe',
    'ping',
    'broadcast',
    'get_subscriptions',
    'get_reconnection_token',
    'ping',
    'unsubscribe',
    'nothing',
  ]
  for (const [id, type] of types.entries()) admin.send({ type, channel: 'connections', id })
  for (const [id] of types.entries()) {
    let frame = await admin.next()
    while (frame.type === undefined) frame = await admin.next()
    assert.equal(frame.id, id)
  }
})

test('hub errors: each text, and the connection stays open (H5)', async () => {
  using client = await hub.admin()
  const many = (count: number, length = 1): readonly string[] =>
    Array.from({ length: count }, (_, index) => `${index}`.padEnd(length, 'x'))
  const bad = 'channels must be an array of at most 64 strings'
  const badType = 'event_type must be a string of 1 to 128 characters'
  const badPositions = 'positions must be an object of {epoch, offset}'
  const positions = (count: number): object =>
    Object.fromEntries(many(count).map((channel) => [channel, { epoch: '1', offset: 0 }]))
  for (const [frame, message] of [
    ['invalid json{', 'Invalid JSON format'],
    ['', 'Invalid JSON format'],
    ['\ufeff{"type":"ping"}', 'Invalid JSON format'],
    ['[]', 'Error processing message: expected a JSON object'],
    ['7', 'Error processing message: expected a JSON object'],
    ['null', 'Error processing message: expected a JSON object'],
    [{}, 'Unknown message type: None'],
    [{ type: null }, 'Unknown message type: None'],
    [{ type: 'x'.repeat(65) }, `Unknown message type: ${'x'.repeat(64)}`],
    [{ type: 'pong' }, 'Unknown message type: pong'],
    [{ type: 'binary' }, 'Unknown message type: binary'],
    [{ type: 'invalid' }, 'Unknown message type: invalid'],
    [{ type: 'subscribe', channels: 'x' }, 'channels must be an array'],
    [{ type: 'unsubscribe', channels: {} }, 'channels must be an array'],
    [{ type: 'subscribe', channels: [1] }, bad],
    [{ type: 'subscribe', channel: 1 }, bad],
    [{ type: 'subscribe', channels: many(65) }, bad],
    [{ type: 'unsubscribe', channels: many(1, 129) }, bad],
    [{ type: 'set_options', binary: 1 }, 'Invalid options: binary'],
    [{ type: 'set_options', compression: 'zip' }, 'Invalid options: compression'],
    [{ type: 'set_options', offsets: 'yes' }, 'Invalid options: offsets'],
    [{ type: 'broadcast', channel: 'weather' }, 'Unknown channel: weather'],
    [{ type: 'broadcast' }, 'Unknown channel: None'],
    [{ type: 'broadcast', channel: 'logs', data: [] }, 'data must be an object'],
    [{ type: 'broadcast', channel: 'logs', data: 'x' }, 'data must be an object'],
    [{ type: 'broadcast', channel: 'logs', event_type: '' }, badType],
    [{ type: 'broadcast', channel: 'logs', event_type: 'x'.repeat(129) }, badType],
    [{ type: 'broadcast', channel: 'logs', event_type: 7 }, badType],
    [{ type: 'recover' }, badPositions],
    [{ type: 'recover', positions: positions(65) }, badPositions],
  ] as const) {
    assert.deepEqual(await client.ask(frame as object), { type: 'error', message }, JSON.stringify(frame))
  }
  // At the limits.
  const reply = await client.ask({ type: 'subscribe', channels: many(64, 128) })
  assert.equal((reply.denied as unknown[]).length, 64)
  assert.equal((await client.ask({ type: 'recover', positions: positions(64) })).type, 'recovered')
})

test('hub errors: what is nested deeper than a stack reaches ends nothing', async () => {
  using client = await hub.admin()
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  for (const [frame, type] of [
    [`{"type":${deep}}`, 'error'],
    [`{"type":"broadcast","channel":${deep}}`, 'error'],
    [`{"type":"ping","id":${deep}}`, 'pong'],
    [`{"type":"subscribe","channels":${deep}}`, 'error'],
  ] as const) {
    assert.equal((await client.ask(frame)).type, type)
  }
  // Whether it can be told depends on the version of Node.js.
  const { type } = await client.ask(`{"type":"broadcast","channel":"logs","data":{"a":${deep}}}`)
  assert.ok(type === 'broadcast_ack' || type === 'error')
})

test('hub errors: a client without rights is not told which channels there are', async () => {
  using client = await hub.enter()
  const reply = await client.ask({ type: 'broadcast', channel: 'weather' })
  assert.equal(reply.message, 'Permission denied: broadcast to weather')
})

test('hub errors: text of more than 1 MiB is too large, of 1 MiB it is not', async () => {
  const frame = (bytes: number): string => `{"type":"ping","pad":"${'x'.repeat(bytes - 24)}"}`
  assert.equal(frame(100).length, 100)
  using client = await hub.enter()
  assert.equal((await client.ask(frame(1024 * 1024))).type, 'pong')
  client.send(frame(1024 * 1024 + 1))
  assert.deepEqual(await client.next(), { type: 'error', message: 'Message too large' })
  assert.deepEqual(await client.closed, { code: 1009, reason: 'message too large' })
})

test('hub errors: what ends a connection is counted by its reason', async () => {
  const closed = async (reason: string): Promise<number> => {
    const page = await hub.server.metrics()
    const [one, other] = ['connections_closed', 'disconnects'].map((name) =>
      page.sum(`neurograph_ws_${name}_total`, { reason }),
    )
    assert.equal(one, other)
    return one ?? 0
  }
  const ends = {
    protocol_error: (client: HubClient) => client.socket.raw.send('x', { mask: false }),
    too_large: (client: HubClient) => client.send('x'.repeat(1024 * 1024 + 1)),
    resumed: async (client: HubClient) => (await hub.resume(await client.token())).leave(),
    client: (client: HubClient) => client.leave(),
  } as const
  for (const [reason, end] of Object.entries(ends)) {
    const before = await closed(reason)
    using client = await hub.enter()
    await end(client)
    const { code } = await client.closed
    assert.equal(code, { protocol_error: 1002, too_large: 1009, resumed: 4500, client: 1005 }[reason], reason)
    // One that was resumed elsewhere left with a good-bye of its own.
    await waitUntil(reason, async () => (await closed(reason)) > before)
  }
})

test('hub options: gzip implies binary, and no binary means no gzip', async () => {
  using client = await hub.enter()
  for (const [given, binary, compression] of [
    [{}, false, 'none'],
    [{ binary: true }, true, 'none'],
    [{ compression: 'gzip' }, true, 'gzip'],
    [{ binary: false }, false, 'none'],
    [{ binary: false, compression: 'gzip' }, true, 'gzip'],
    [{ compression: 'none' }, true, 'none'],
    [{ binary: null, compression: null }, true, 'none'],
  ] as const) {
    const reply = await client.ask({ type: 'set_options', ...given })
    assert.deepEqual([reply.binary, reply.compression], [binary, compression], JSON.stringify(given))
  }
  using queried = await hub.enter({ query: { compression: 'gzip', binary: 'maybe' } })
  const reply = await queried.ask({ type: 'set_options' })
  assert.deepEqual([reply.binary, reply.compression], [true, 'gzip'])
})
