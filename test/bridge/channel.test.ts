// Channels between the threads of a host: shared, moved, and told of every gap.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChannelSubscription } from '../../src/bridge/bridge.ts'
import type { BridgeEvents, EngineFactory } from '../../src/bridge/bridge-engine.ts'
import { LocalEngine } from '../../src/bridge/local-engine.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { bytes, Ear, fails, GAP } from './bridge-fixture.ts'
import { BridgeLoop, type BridgeLoopOptions, THREAD } from './bridge-loop.ts'

const OTHER = THREAD + 1

interface World {
  readonly loop: BridgeLoop
  readonly timers: ManualTimers
  /** `+name` and `-name`, as the engine was asked. */
  readonly asked: string[]
  /** Of the engine that lives now. */
  events(): BridgeEvents
  /** Set: what is subscribed from now on is refused. */
  refusal: PolyloopError | undefined
}

/** The local engine, with its calls written down, and a clock that stands still. */
function worldOf(options: BridgeLoopOptions = {}): World {
  const timers = new ManualTimers()
  const asked: string[] = []
  let current: BridgeEvents | undefined
  const engine: EngineFactory = (events) => {
    current = events
    const { clock, wheel } = timers
    const local = new LocalEngine({ clock, wheel, memoryBytesMax: 1_000_000, readBytesMax: 100_000 }, events)
    return Object.assign(Object.create(local), {
      figures: local.figures,
      run: local.run.bind(local),
      close: local.close.bind(local),
      subscribe: (channel: string) => {
        asked.push(`+${channel}`)
        return world.refusal === undefined ? local.subscribe(channel) : Promise.reject(world.refusal)
      },
      unsubscribe: (channel: string) => {
        asked.push(`-${channel}`)
        local.unsubscribe(channel)
      },
    }) as LocalEngine
  }
  const world: World = {
    timers,
    asked,
    refusal: undefined,
    events: () => {
      assert.ok(current !== undefined)
      return current
    },
    loop: undefined as unknown as BridgeLoop,
  }
  const loop = new BridgeLoop(engine, { ...options, clock: timers.clock, wheel: timers.wheel })
  loop.byHand = true
  return Object.assign(world, { loop })
}

async function listen(
  world: World,
  name: string,
  thread = THREAD,
): Promise<{ ear: Ear; subscription: ChannelSubscription }> {
  const ear = new Ear()
  const subscription = world.loop.client(thread).bridge.subscribe(name, ear)
  await world.loop.settle()
  await subscription.confirmed
  return { ear, subscription }
}

function say(world: World, text: string, name = 'c'): void {
  world.events().onMessage(name, bytes(text))
}

test('channel: one subscription for all listeners of all threads, and the last one ends it', async () => {
  const world = worldOf()
  const all = [
    await listen(world, 'c'),
    await listen(world, 'c'),
    await listen(world, 'c', OTHER),
    await listen(world, 'other'),
  ]
  assert.deepEqual(world.asked, ['+c', '+other'])
  say(world, 'one')
  assert.deepEqual([world.loop.way(THREAD).toClient.length, world.loop.way(OTHER).toClient.length], [1, 1])
  await world.loop.settle()
  assert.deepEqual(
    all.map(({ ear }) => ear.heard),
    [['one'], ['one'], ['one'], []],
  )
  all[0]?.subscription.end()
  all[2]?.subscription.end()
  await world.loop.settle()
  say(world, 'two')
  await world.loop.settle()
  assert.deepEqual(
    all.map(({ ear }) => ear.heard.length),
    [1, 2, 1, 0],
  )
  all[1]?.subscription.end()
  all[1]?.subscription.end()
  await world.loop.settle()
  assert.deepEqual(world.asked, ['+c', '+other', '-c'])
  assert.equal(world.loop.host.figures.subscriptions, 1)
  assert.equal(world.loop.client().channels, 1)
})

test('channel: many who come at once share what is asked for', async () => {
  const world = worldOf()
  const ears = Array.from({ length: 10 }, () => new Ear())
  const subscriptions = ears.map((ear, index) => world.loop.client(THREAD + (index % 2)).bridge.subscribe('c', ear))
  // One leaves before it is confirmed.
  subscriptions[3]?.end()
  await world.loop.settle()
  await Promise.all(subscriptions.map(({ confirmed }) => confirmed))
  assert.deepEqual(world.asked, ['+c'])
  say(world, 'one')
  await world.loop.settle()
  assert.deepEqual(
    ears.map(({ heard }) => heard.length),
    [1, 1, 1, 0, 1, 1, 1, 1, 1, 1],
  )
})

test('channel: all who asked leave before it is confirmed', async () => {
  const world = worldOf()
  world.loop.client().bridge.subscribe('c', new Ear()).end()
  await world.loop.settle()
  assert.deepEqual(world.asked, ['+c', '-c'])
  assert.equal(world.loop.host.figures.subscriptions, 0)
})

test('channel: a refusal ends it for those who asked, and the next one asks anew', async () => {
  const world = worldOf()
  world.refusal = new PolyloopError('BRIDGE_DOWN', { problem: 'away' })
  const refused = world.loop.client().bridge.subscribe('c', new Ear())
  const waits = fails(refused.confirmed, 'BRIDGE_DOWN')
  await world.loop.settle()
  assert.deepEqual(await waits, { operation: 'subscribe', problem: 'away' })
  world.refusal = undefined
  const { ear } = await listen(world, 'c')
  say(world, 'one')
  await world.loop.settle()
  assert.deepEqual(ear.heard, ['one'])
  assert.deepEqual(world.asked, ['+c', '+c'])
})

test('channel: a listener that moves to another thread misses nothing, and hears nothing twice', async () => {
  const world = worldOf()
  const { ear, subscription } = await listen(world, 'c')
  say(world, '1')
  await world.loop.settle()
  // On their way when it freezes, while it is nowhere, and while it joins.
  say(world, '2')
  const since = subscription.position
  assert.ok(since !== undefined)
  subscription.end(true)
  await world.loop.settle()
  say(world, '3')
  world.timers.run(1_900)
  const next = new Ear()
  const moved = world.loop.client(OTHER).bridge.subscribe('c', next, since)
  say(world, '4')
  await world.loop.settle()
  await moved.confirmed
  say(world, '5')
  await world.loop.settle()
  assert.deepEqual([ear.heard, next.heard], [['1'], ['2', '3', '4', '5']])
  assert.deepEqual(world.asked, ['+c'])
  assert.deepEqual(moved.position, next.positions.at(-1))
})

test('channel: a listener that was quiet moves as well, also to where others listen', async () => {
  const world = worldOf()
  const { subscription } = await listen(world, 'c')
  const { ear: neighbour } = await listen(world, 'c', OTHER)
  const since = subscription.position
  subscription.end(true)
  say(world, '1')
  await world.loop.settle()
  const next = new Ear()
  const moved = world.loop.client(OTHER).bridge.subscribe('c', next, since)
  say(world, '2')
  await world.loop.settle()
  say(world, '3')
  await world.loop.settle()
  await moved.confirmed
  assert.deepEqual(
    [next.heard, neighbour.heard],
    [
      ['1', '2', '3'],
      ['1', '2', '3'],
    ],
  )
})

test('channel: one that moved too late, or from elsewhere, hears of a gap first', async () => {
  const world = worldOf({ limits: { lingerMs: 2_000, keptMs: 2_000, keptMessagesMax: 3 } })
  const { subscription } = await listen(world, 'c')
  const since = subscription.position
  assert.ok(since !== undefined)
  subscription.end(true)
  await world.loop.settle()
  const rejoin = async (position = since): Promise<string[]> => {
    const ear = new Ear()
    const moved = world.loop.client(OTHER).bridge.subscribe('c', ear, position)
    await world.loop.settle()
    await moved.confirmed
    say(world, 'live')
    await world.loop.settle()
    moved.end(true)
    await world.loop.settle()
    return ear.heard
  }
  assert.deepEqual(await rejoin({ life: since.life + 1, sequence: since.sequence }), [GAP, 'live'])
  assert.deepEqual(await rejoin({ life: since.life, sequence: since.sequence + 1_000 }), [GAP, 'live'])
  assert.deepEqual(await rejoin(), ['live', 'live', 'live'])
  assert.deepEqual(await rejoin(), ['live', 'live', 'live', 'live'])
  assert.deepEqual(await rejoin(), [GAP, 'live'], 'only three are kept')
  world.timers.run(2_100)
  assert.deepEqual(world.asked, ['+c', '-c'])
  assert.equal(world.loop.host.figures.keptBytes, 0)
  assert.deepEqual(await rejoin(), [GAP, 'live'], 'it was subscribed anew')
  world.events().onGap(['c'])
  assert.deepEqual(await rejoin(), [GAP, 'live'], 'the server was away')
})

test('channel: what a full ring refuses is told as a gap, before anything else', async () => {
  const world = worldOf()
  const { ear } = await listen(world, 'c')
  const { ear: neighbour } = await listen(world, 'c', OTHER)
  world.loop.way().toClientMax = 2
  for (const text of ['1', '2', '3', '4']) say(world, text)
  world.timers.run(100)
  assert.equal(world.loop.way().toClient.length, 2)
  await world.loop.settle()
  assert.deepEqual(ear.heard, ['1', '2'])
  world.timers.run(100)
  await world.loop.settle()
  assert.deepEqual(ear.heard, ['1', '2', GAP], 'also when nothing more is said')
  world.loop.way().toClientMax = 0
  say(world, '5')
  world.loop.way().toClientMax = 10
  say(world, '6')
  await world.loop.settle()
  assert.deepEqual(ear.heard, ['1', '2', GAP, GAP, '6'])
  assert.deepEqual(neighbour.heard, ['1', '2', '3', '4', '5', '6'])
  assert.deepEqual([world.loop.cells.droppedRingFull.value, world.loop.cells.messagesIn.value], [3, 6])
})

test('channel: a message that no record can hold is told as a gap', async () => {
  const world = worldOf({ limits: { answerBytesMax: 1_016 } })
  const { ear } = await listen(world, 'c')
  say(world, 'x'.repeat(1_000))
  say(world, 'x'.repeat(1_001))
  say(world, 'y')
  await world.loop.settle()
  assert.deepEqual(ear.heard, ['x'.repeat(1_000), GAP, 'y'])
  assert.equal(world.loop.cells.droppedTooLarge.value, 1)
})

test('channel: a gap of the server reaches everybody, in its place', async () => {
  const world = worldOf()
  const { ear } = await listen(world, 'c')
  const { ear: other } = await listen(world, 'other', OTHER)
  say(world, '1')
  world.events().onGap(['c', 'unknown'])
  say(world, '2')
  await world.loop.settle()
  assert.deepEqual([ear.heard, other.heard], [['1', GAP, '2'], []])
  assert.equal(world.loop.cells.gaps.value, 1)
})

test("channel: the bridge's thread dies: every listener hears of it, and goes on", async () => {
  const world = worldOf()
  const { ear } = await listen(world, 'c')
  const { ear: other } = await listen(world, 'c', OTHER)
  say(world, '1')
  const waits = world.loop.client().bridge.subscribe('late', new Ear())
  const late = fails(waits.confirmed, 'BRIDGE_LOST')
  const open = fails(world.loop.client().bridge.get({ key: 'x' }), 'BRIDGE_LOST')
  await world.loop.restartHost()
  await Promise.all([late, open])
  world.refusal = new PolyloopError('BRIDGE_DOWN', { problem: 'away' })
  await world.loop.settle()
  assert.deepEqual(ear.heard, ['1'], 'the server is away: nothing can be promised yet')
  world.refusal = undefined
  world.timers.run(1_100)
  await world.loop.settle()
  say(world, '2')
  await world.loop.settle()
  assert.deepEqual(
    [ear.heard, other.heard],
    [
      ['1', GAP, '2'],
      ['1', GAP, '2'],
    ],
  )
  assert.equal(world.loop.host.figures.subscriptions, 1, 'nobody wants the late one')
  world.timers.run(10_000)
  await world.loop.settle()
  assert.equal(world.loop.client().waiting, 0)
})

test('channel: its way was full when the thread of the bridge died', async () => {
  const world = worldOf()
  const { ear } = await listen(world, 'c')
  world.loop.way().toHostMax = 0
  await world.loop.restartHost()
  world.loop.way().toHostMax = 10
  world.timers.run(1_100)
  await world.loop.settle()
  say(world, '1')
  await world.loop.settle()
  assert.deepEqual(ear.heard, [GAP, '1'])
})

test('channel: the answer of the successor does not fit, its messages do: the gap comes first', async () => {
  const world = worldOf()
  const { ear } = await listen(world, 'c')
  await world.loop.restartHost()
  world.loop.way().toClientMax = 0
  await world.loop.settle()
  world.loop.way().toClientMax = 10
  say(world, '1')
  await world.loop.settle()
  world.timers.run(1_300)
  await world.loop.settle()
  say(world, '2')
  await world.loop.settle()
  assert.deepEqual(ear.heard, [GAP, '1', '2'])
})

test('channel: the answer of a successor that died, too, promises nothing', async () => {
  const world = worldOf()
  const { ear } = await listen(world, 'c')
  await world.loop.restartHost()
  world.loop.pass()
  await new Promise((resolve) => setImmediate(resolve))
  say(world, '1')
  // What it said is still unread. And it cannot be asked again at once.
  world.loop.way().toHostMax = 0
  await world.loop.restartHost()
  await world.loop.settle()
  assert.deepEqual(ear.heard, [GAP, '1'])
  world.loop.way().toHostMax = 10
  world.timers.run(1_300)
  await world.loop.settle()
  say(world, '2')
  await world.loop.settle()
  assert.deepEqual(ear.heard, [GAP, '1', GAP, '2'])
})

test('channel: a thread that dies is unsubscribed, and its successor begins anew', async () => {
  const world = worldOf()
  await listen(world, 'c')
  await listen(world, 'd')
  const { ear: other } = await listen(world, 'd', OTHER)
  // Left unread in the ring: it is read after the end of the thread.
  world.loop.client().bridge.subscribe('stale', new Ear())
  world.loop.restartClient()
  assert.deepEqual(world.asked, ['+c', '+d', '-c'])
  const { ear } = await listen(world, 'd')
  await world.loop.settle()
  assert.deepEqual(world.asked, ['+c', '+d', '-c', '+stale', '-stale'])
  say(world, '1', 'd')
  await world.loop.settle()
  assert.deepEqual([ear.heard, other.heard], [['1'], ['1']])
})

test('channel: what a predecessor subscribed and its successor does not want ends with its next message', async () => {
  const world = worldOf()
  world.loop.client().bridge.subscribe('stale', new Ear())
  world.loop.restartClient()
  await world.loop.settle()
  assert.deepEqual(world.asked, ['+stale'])
  say(world, '1', 'stale')
  await world.loop.settle()
  assert.deepEqual(world.asked, ['+stale', '-stale'])
})

test('channel: an end that a full ring refuses is sent again', async () => {
  const world = worldOf()
  const one = await listen(world, 'c')
  const two = await listen(world, 'd')
  world.loop.way().toHostMax = 0
  one.subscription.end()
  two.subscription.end()
  world.loop.way().toHostMax = 10
  world.timers.run(50)
  await world.loop.settle()
  assert.deepEqual(world.asked, ['+c', '+d', '-c', '-d'])
})

test('channel: a subscription that nobody answers ends in time', async () => {
  const world = worldOf()
  const subscription = world.loop.client().bridge.subscribe('c', new Ear())
  const waits = fails(subscription.confirmed, 'BRIDGE_TIMEOUT')
  world.timers.run(5_300)
  assert.equal((await waits).operation, 'subscribe')
  assert.equal(world.loop.client().channels, 0)
  await world.loop.settle()
  assert.deepEqual(world.asked, ['+c', '-c'])
})

test('channel: a listener that throws does not hurt the others, and is reported', async () => {
  const world = worldOf()
  const bad = {
    message: () => {
      throw new Error('bad message')
    },
    gap: () => {
      throw new Error('bad gap')
    },
  }
  const first = world.loop.client().bridge.subscribe('c', bad)
  await world.loop.settle()
  await first.confirmed
  const { ear } = await listen(world, 'c')
  say(world, '1')
  world.events().onGap(['c'])
  await world.loop.settle()
  assert.deepEqual(ear.heard, ['1', GAP])
  assert.deepEqual(
    world.loop.errors.map((error) => (error as Error).message),
    ['bad message', 'bad gap'],
  )
})

test('channel: a listener may end itself, or bring another, in the middle of a message', async () => {
  const world = worldOf()
  const heard: string[] = []
  const added = new Ear()
  const { bridge } = world.loop.client()
  const subscription = bridge.subscribe('c', {
    message: (payload) => {
      heard.push(payload.toString())
      subscription.end()
      bridge.subscribe('c', added)
    },
    gap: () => {},
  })
  await world.loop.settle()
  const { ear } = await listen(world, 'c')
  say(world, '1')
  await world.loop.settle()
  say(world, '2')
  await world.loop.settle()
  assert.deepEqual([heard, ear.heard, added.heard], [['1'], ['1', '2'], ['2']])
})
