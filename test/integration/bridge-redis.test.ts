// Two runtimes that talk through one Redis, as two hosts would: channels, keys and logs are one; messages of a channel
// come once to each host; an example for users does what it says.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createRuntime, type PolyloopError, type Runtime } from '../../src/index.ts'
import { BridgeTalker } from '../harness/bridge-talker.ts'
import { CapturedLog } from '../harness/captured-log.ts'
import { LineClient } from '../harness/line-client.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'

const MODULES = [
  new URL('../harness/bridge-service.ts', import.meta.url),
  new URL('../../examples/notice-board/notice-board.ts', import.meta.url),
]
/** Beyond `ring.messageMax`, and the room that a record has beside it. */
const LARGE_BYTES = 1024 * 1024 + 4 * 1024
const MESSAGES = 500
const PASSWORD = 'open:sesame/1'

const log = new CapturedLog()
let redis: RedisServer
let one: Runtime
let two: Runtime

before(async () => {
  redis = await startRedis({ password: PASSWORD })
  ;[one, two] = await Promise.all([startHost(), startHost()])
})

after(async () => {
  await Promise.all([one.close(), two.close()])
  await redis[Symbol.asyncDispose]()
})

function startHost(): Promise<Runtime> {
  return createRuntime({
    shards: 2,
    modules: MODULES,
    only: ['crier', 'notice-board'],
    logStream: log,
    settings: {
      'admin.port': 0,
      'store.kind': 'memory',
      'bridge.redis.url': redis.url,
      'services.notice-board.tcp.port': 0,
    },
  })
}

function portOf(runtime: Runtime, name: string): number {
  return runtime.listeners.find(({ service }) => service === name)?.port ?? 0
}

/** One that listens to `channel` already. */
async function hearing(runtime: Runtime, channel: string): Promise<BridgeTalker> {
  const talker = await BridgeTalker.open(portOf(runtime, 'crier'))
  await talker.hear(channel)
  return talker
}

async function isConnected(runtime: Runtime): Promise<void> {
  await waitUntil('it is connected', () => runtime.health().bridge?.status === 'connected')
}

test('hosts: a message comes to every listener of both, in order, and once to each host', async () => {
  await Promise.all([isConnected(one), isConnected(two)])
  assert.deepEqual(one.health().bridge, { kind: 'redis', status: 'connected' })
  const talkers = await Promise.all([one, one, one, two, two].map((host) => hearing(host, 'news')))
  const [ada] = talkers
  const sent = Array.from({ length: MESSAGES }, (_, index) => `news ${index}`)
  // As many subscribers as hosts, whoever listens there.
  for (const answer of await Promise.all(sent.map((text) => ada?.ask(`say ${text}`)))) assert.equal(answer, '2')
  await waitUntil('all heard all', () => talkers.every(({ heard }) => heard.length === MESSAGES))
  for (const { heard, gaps } of talkers) {
    assert.deepEqual(heard, sent)
    assert.deepEqual(gaps, [])
  }
  for (const host of [one, two]) {
    const page = new MetricPage(await host.metrics())
    const shard = 'bridge'
    assert.equal(page.sum('polyloop_bridge_up', { shard }), 1)
    assert.equal(page.sum('polyloop_bridge_messages_total', { shard, direction: 'in' }), MESSAGES)
    assert.equal(page.sum('polyloop_bridge_messages_total', { shard, direction: 'out' }), host === one ? MESSAGES : 0)
  }
  for (const talker of talkers) talker[Symbol.dispose]()
  const subscriptions = async (host: Runtime): Promise<number> =>
    new MetricPage(await host.metrics()).sum('polyloop_bridge_subscriptions')
  // The board's own stays.
  await waitUntil('nobody listens', async () => (await subscriptions(one)) + (await subscriptions(two)) === 2)
})

test('hosts: what one keeps the other finds, and takes once', async () => {
  using ada = await BridgeTalker.open(portOf(one, 'crier'))
  using bob = await BridgeTalker.open(portOf(two, 'crier'))
  assert.equal(await ada.ask('set ticket winner'), 'ok')
  assert.equal(await bob.ask('get ticket'), 'winner')
  const taken = await Promise.all([ada, bob, ada, bob].map((talker) => talker.ask('take ticket')))
  assert.deepEqual(taken.toSorted(), ['none', 'none', 'none', 'winner'])
  assert.equal(await ada.ask('append diary first'), '1')
  assert.equal(await bob.ask('append diary second'), '2')
  assert.equal(await ada.ask('read diary'), 'first,second')
})

test('hosts: a script is one step for the server, and what it throws is told', async () => {
  const text = "return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2], false}"
  const call = (by: string | number): Promise<unknown> =>
    one.bridge.script({ text, keys: ['script-key'], args: [by, Buffer.from([0, 255])] })
  assert.deepEqual(await call(2), [2, Buffer.from([0, 255]), null])
  assert.deepEqual(await call(3), [5, Buffer.from([0, 255]), null])
  await assert.rejects(call('x'), (error: PolyloopError) => {
    assert.equal(error.code, 'BRIDGE_REFUSED')
    return /integer/.test(String(error.details.problem))
  })
  for (const wrong of [
    { text: '' },
    { keys: [''] },
    { args: [Number.NaN] },
    { args: Array.from({ length: 1_001 }, () => 1) },
  ]) {
    const arguments_ = { text, keys: ['script-key'], args: [1, 'x'], ...wrong }
    await assert.rejects(one.bridge.script(arguments_), { code: 'BRIDGE_REFUSED' })
  }
})

test('hosts: a message of more than 1 MiB is too large for the rings; it is a typed error, and the next one comes', async () => {
  const heard: string[] = []
  const subscription = two.bridge.subscribe('large', {
    message: (payload) => heard.push(payload.toString()),
    gap: () => heard.push('gap'),
  })
  await subscription.confirmed
  await assert.rejects(one.bridge.publish({ channel: 'large', payload: Buffer.alloc(LARGE_BYTES) }), {
    code: 'MESSAGE_TOO_LARGE',
  })
  // From elsewhere it may come all the same: then who listens is told that something is missing.
  redis.command('SETRANGE', 'blob', LARGE_BYTES, 'x')
  redis.command('EVAL', "return redis.call('PUBLISH', 'large', redis.call('GET', 'blob'))", 0)
  assert.equal(await one.bridge.publish({ channel: 'large', payload: Buffer.from('small') }), 1)
  await waitUntil('the next one', () => heard.includes('small'))
  assert.deepEqual(heard, ['gap', 'small'])
  subscription.end()
})

test('example: the notice board shows what is said on any host, and what was said before', async () => {
  using ada = await LineClient.open({ port: portOf(one, 'notice-board') })
  using bob = await LineClient.open({ port: portOf(two, 'notice-board') })
  await waitUntil('both hosts listen', () => redis.command('PUBSUB', 'NUMSUB', 'notice-board').endsWith('2'))
  ada.say('tea is ready')
  assert.equal(await ada.next(), 'tea is ready')
  assert.equal(await bob.next(), 'tea is ready')
  bob.say('coming')
  assert.equal(await ada.next(), 'coming')
  assert.equal(await bob.next(), 'coming')
  using eve = await LineClient.open({ port: portOf(two, 'notice-board') })
  eve.say('last')
  assert.deepEqual([await eve.next(), await eve.next()], ['tea is ready', 'coming'])
})

test('hosts: the password of the server is in no line of the log', () => {
  assert.ok(log.logged('bridge.up').length >= 2)
  for (const secret of [PASSWORD, encodeURIComponent(PASSWORD)]) assert.ok(!log.text.includes(secret))
})
