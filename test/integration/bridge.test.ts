// The bridge's thread in the runtime, without a server: who gets one, who can call it, and what a drain, a reload and the
// end of a shard do to it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  type ChannelListener,
  type CreateRuntimeOptions,
  createRuntime,
  PolyloopError,
  type Runtime,
} from '../../src/index.ts'
import { BridgeTalker } from '../harness/bridge-talker.ts'
import { CapturedLog } from '../harness/captured-log.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { waitUntil } from '../harness/wait.ts'

const SERVICE = new URL('../harness/bridge-service.ts', import.meta.url)
const SHARDS = 2
/** More than the ring of main takes at once. */
const CALLS = 5_000
/** Connections until there is one on each shard. */
const CONNECTIONS_MAX = 64

const log = new CapturedLog()
let runtime: Runtime

before(async () => {
  runtime = await start({ logStream: log })
})

after(() => runtime.close())

function start(options: CreateRuntimeOptions = {}): Promise<Runtime> {
  return createRuntime({
    shards: SHARDS,
    modules: [SERVICE],
    only: ['crier'],
    logStream: new CapturedLog(),
    ...options,
    settings: { 'admin.port': 0, 'store.kind': 'memory', ...options.settings },
  })
}

function crierPort(): number {
  return runtime.listeners.find(({ service }) => service === 'crier')?.port ?? 0
}

function threadsOf(of: Runtime): string[] {
  return of.report().threads.map(({ name, state }) => `${name} ${state}`)
}

async function metricPage(): Promise<MetricPage> {
  return new MetricPage(await runtime.metrics())
}

/** A talker on each shard, by its number. */
async function talkersApart(): Promise<BridgeTalker[]> {
  const talkers: BridgeTalker[] = []
  const counts = (): number[] => runtime.health().shards.map(({ connections }) => connections)
  await waitUntil('those of the tests before have left', () => counts().every((count) => count === 0))
  for (let count = 0; count < CONNECTIONS_MAX && Object.keys(talkers).length < SHARDS; count++) {
    const before = counts()
    const talker = await BridgeTalker.open(crierPort())
    await talker.ask('started')
    const shard = counts().findIndex((now, index) => now > (before[index] ?? 0))
    if (talkers[shard] !== undefined) talkers[shard][Symbol.dispose]()
    talkers[shard] = talker
    // Or the next one could not be told from one that leaves.
    await waitUntil(
      'it is the only one',
      () => counts().reduce((sum, now) => sum + now) === Object.keys(talkers).length,
    )
  }
  return talkers
}

/** Keeps what main hears. */
class Ear implements ChannelListener {
  readonly heard: string[] = []
  gaps = 0

  message(payload: Buffer): void {
    this.heard.push(payload.toString())
  }

  gap(): void {
    this.gaps++
  }
}

test('bridge: nobody needs one: there is no thread, no health of it, and main is told', async () => {
  await using lonely = await start({
    modules: [],
    only: ['echo'],
    settings: { 'services.echo.tcp.port': 0, 'services.echo.udp.port': 0, 'services.echo.ws.port': 0 },
  })
  assert.deepEqual(threadsOf(lonely), ['main ready', 'acceptor ready'])
  assert.equal(lonely.health().bridge, undefined)
  await assert.rejects(
    lonely.bridge.ping(),
    (error) => error instanceof PolyloopError && error.code === 'BRIDGE_ABSENT',
  )
  assert.equal(await lonely.drain(), true)
})

test('bridge: services, actors and main share its keys and channels; each hears a message once', async () => {
  assert.deepEqual(threadsOf(runtime), ['main ready', 'acceptor ready', 'bridge ready', 'store ready'])
  assert.deepEqual(runtime.health().bridge, { kind: 'local', status: 'connected' })
  const [ada, bob] = await talkersApart()
  assert.ok(ada && bob)
  using _ada = ada
  using _bob = bob
  assert.equal(await ada.ask('started'), 'reached')
  assert.equal(await ada.ask('set place here'), 'ok')
  assert.equal(await bob.ask('get place'), 'here')
  assert.equal(Buffer.from((await runtime.bridge.take({ key: 'place' })) ?? []).toString(), 'here')
  assert.equal(await bob.ask('take place'), 'none')

  const ear = new Ear()
  const subscription = runtime.bridge.subscribe('news', ear)
  await Promise.all([ada.hear('news'), bob.hear('news'), bob.hear('news'), subscription.confirmed])
  assert.equal(await ada.ask('say news one'), '1')
  assert.equal(await bob.ask('cry news two'), '1')
  await runtime.bridge.publish({ channel: 'news', payload: Buffer.from('three') })
  await waitUntil('all heard all', () => ear.heard.length === 3 && ada.heard.length === 3 && bob.heard.length === 6)
  assert.deepEqual(ear.heard, ['one', 'two', 'three'])
  assert.deepEqual(ada.heard, ['news one', 'news two', 'news three'])
  assert.deepEqual(bob.heard.toSorted(), [...ada.heard, ...ada.heard].toSorted())

  const page = await metricPage()
  const ofBridge = { shard: 'bridge' }
  assert.equal(page.sum('polyloop_bridge_up', ofBridge), 1)
  assert.equal(page.sum('polyloop_bridge_subscriptions', ofBridge), 1)
  assert.equal(page.sum('polyloop_bridge_messages_total', { ...ofBridge, direction: 'in' }), 3)
  assert.equal(page.sum('polyloop_bridge_messages_total', { ...ofBridge, direction: 'out' }), 3)
  assert.equal(page.sum('polyloop_bridge_gaps_total', ofBridge), 0)
  subscription.end()
  assert.deepEqual([ada.gaps, bob.gaps, ear.gaps], [[], [], 0])
})

test('bridge: a listener of main that throws is logged, and the others hear the message', async () => {
  const ear = new Ear()
  const bad = { gap: () => {}, message: () => assert.fail('a listener that fails') }
  await runtime.bridge.subscribe('bad', bad).confirmed
  await runtime.bridge.subscribe('bad', ear).confirmed
  await runtime.bridge.publish({ channel: 'bad', payload: Buffer.from('one') })
  await waitUntil('it is heard', () => ear.heard.length === 1)
  await waitUntil('it is logged', () => log.logged('runtime.listener_failed').length === 1)
})

test('bridge: a reload keeps its thread, its keys and what main hears', async () => {
  const ear = new Ear()
  await runtime.bridge.subscribe('kept', ear).confirmed
  await runtime.bridge.set({ key: 'place', value: Buffer.from('here') })
  assert.deepEqual(await runtime.reload(), { outcome: 'accepted' })
  await waitUntil('the reload is over', () => runtime.report().migration.state === 'idle', 30_000)
  const bridge = runtime.report().threads.find(({ name }) => name === 'bridge')
  assert.equal(bridge?.generation, 1)
  using ada = await BridgeTalker.open(crierPort())
  assert.equal(await ada.ask('get place'), 'here')
  assert.equal(await ada.ask('say kept after'), '1')
  await waitUntil('main hears it', () => ear.heard.length === 1)
  assert.equal(ear.gaps, 0)
})

test('bridge: what a shard listened to ends with it', async () => {
  const [ada, bob] = await talkersApart()
  assert.ok(ada && bob)
  using _ada = ada
  using _bob = bob
  await ada.hear('alone')
  const say = (text: string): Promise<number> =>
    runtime.bridge.publish({ channel: 'alone', payload: Buffer.from(text) })
  assert.equal(await say('one'), 1)
  assert.equal(runtime.restart(0), 'accepted')
  await waitUntil('nobody listens', async () => (await say('two')) === 0)
  assert.equal(await bob.ask('say alone three'), '0')
})

test('bridge: a drain does the calls that are on their way', async () => {
  const calls = Array.from({ length: CALLS }, (_, index) =>
    runtime.bridge.append({ log: 'last words', payload: Buffer.from(`${index}`), countMax: CALLS, ttlSeconds: 60 }),
  )
  const offsets = Promise.all(calls)
  assert.equal(await runtime.drain(), true)
  assert.equal((await offsets).at(-1)?.offset, CALLS)
  // And later ones end too.
  await assert.rejects(runtime.bridge.ping(), (error) => error instanceof PolyloopError)
})
