// Topics that hosts share, against the local bridge's own logs: what their homes do when the kind's definition changes, and
// when the server goes away. How logs are followed: topic-follower.test.ts; real hosts: test/faults/topic-hosts.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineTopic } from '../../src/actor/topic-definition.ts'
import type { TopicSpanOptions } from '../../src/actor/topic-span.ts'
import type { ChannelListener } from '../../src/bridge/bridge.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { DirectBridge, localFactory } from '../bridge/bridge-fixture.ts'
import { positioned, World, type WorldOptions } from './topic-world.ts'

type SpanBridge = TopicSpanOptions['bridge']

const history = { count: 50 }
const shared = defineTopic({ kind: 'kept', history, encode: positioned })
const own = defineTopic({ kind: 'kept', history, scope: 'host', encode: positioned })

/** A host's world of two threads, the second with the code that a reload has brought. */
async function hostOf(
  { bridge }: { readonly bridge: SpanBridge },
  before: typeof shared,
  after: typeof shared,
): Promise<{ world: World; settle(): Promise<void> }> {
  const span: WorldOptions['span'] = { bridge, spans: ({ scope }) => scope !== 'host', unpublished: { value: 0 } }
  const world = new World({ threads: 2, definitions: [before], later: { thread: 1, definitions: [after] }, span })
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 20; round++) {
      world.pass(20)
      await new Promise(setImmediate)
    }
    world.settle()
  }
  await settle()
  return { world, settle }
}

for (const [what, before, after] of [
  ['hosts no longer share', shared, own],
  ['hosts begin to share', own, shared],
] as const) {
  test(`span: a topic that ${what} after a reload begins anew, and everybody is told`, async () => {
    await using direct = new DirectBridge(localFactory)
    const { world, settle } = await hostOf(direct, before, after)
    const connection = world.connect(1, 'kept.a')
    await settle()
    for (let count = 0; count < 3; count++) world.publish(0, 'kept.a')
    await settle()
    const { client } = connection
    const { epoch } = client
    assert.deepEqual([client.texts.length, client.since.offset], [3, 3])
    world.moveTopic('kept.a', 1)
    await settle()
    world.publish(0, 'kept.a')
    world.publish(1, 'kept.a')
    await settle()
    world.pass(1_500, 50)
    await settle()
    assert.notEqual(client.epoch, epoch)
    assert.deepEqual(
      client.events.slice(1).map((event) => event.type === 'gap' && event.reason),
      ['epoch'],
    )
    assert.equal(client.texts.length, 5)
    // Who was there before, and comes back to this host or another one, cannot be told that nothing is missing.
    const back = world.connect(1, 'kept.a', { epoch, offset: 3 })
    await settle()
    const [told] = back.client.events
    assert.ok(told?.type === 'subscribed' && !told.recovered)
    world.checkBooks()
    world.checkQuiet()
    for (const { homes } of world.threads) homes.close()
  })
}

test('span: a topic that hosts go on to share goes on after a reload', async () => {
  await using direct = new DirectBridge(localFactory)
  const { world, settle } = await hostOf(direct, shared, shared)
  const { client } = world.connect(1, 'kept.a')
  await settle()
  world.publish(0, 'kept.a')
  await settle()
  world.moveTopic('kept.a', 1)
  await settle()
  world.publish(0, 'kept.a')
  await settle()
  assert.deepEqual([client.gaps, client.texts.length, client.since.offset], [0, 2, 2])
  for (const { homes } of world.threads) homes.close()
})

test('span: a host that was cut off gets what others published meanwhile, in order, when it is back', async () => {
  await using direct = new DirectBridge(localFactory)
  const line = new CutLine(direct.bridge)
  const { world, settle } = await hostOf({ bridge: line.bridge }, shared, shared)
  // It is not cut off. Only publishes, so that the one channel has one listener.
  const other = await hostOf(direct, shared, shared)
  const { client } = world.connect(1, 'kept.a')
  await settle()
  world.publish(0, 'kept.a')
  await settle()
  const { since } = client
  assert.equal(since.offset, 1)

  line.isCut = true
  world.publish(0, 'kept.a')
  await settle()
  assert.notEqual(client.epoch, since.epoch)
  for (let count = 0; count < 3; count++) other.world.publish(1, 'kept.a')
  await other.settle()
  world.publish(0, 'kept.a')
  await settle()
  assert.equal(client.texts.length, 3)

  line.mend()
  await settle()
  world.publish(0, 'kept.a')
  await settle()
  assert.deepEqual(
    client.events
      .slice(1)
      .map((event) => event.type === 'gap' && [event.reason, event.epoch === since.epoch, event.to]),
    [
      ['epoch', false, 0],
      ['epoch', true, 1],
    ],
  )
  const publishers = client.texts.slice(3).map((text) => (JSON.parse(text) as { publisher: number }).publisher)
  assert.deepEqual([publishers, client.since], [[1, 1, 1, 0], { epoch: since.epoch, offset: 5 }])
  world.checkBooks()
  world.checkQuiet()
  for (const { homes } of [...world.threads, ...other.world.threads]) homes.close()
})

/** The way to a bridge, which can be cut: calls fail, and what channels bring does not come. */
class CutLine {
  isCut = false
  readonly bridge: SpanBridge
  readonly #listeners = new Set<ChannelListener>()

  constructor(bridge: SpanBridge) {
    const whenWhole = <A, R>(call: (argument: A) => Promise<R>): ((argument: A) => Promise<R>) => {
      const away = new PolyloopError('BRIDGE_DOWN', { problem: 'cut' })
      return (argument) => (this.isCut ? Promise.reject(away) : call(argument))
    }
    this.bridge = {
      append: whenWhole(bridge.append),
      open: whenWhole(bridge.open),
      read: whenWhole(bridge.read),
      subscribe: (channel, listener) => {
        this.#listeners.add(listener)
        const subscription = bridge.subscribe(channel, {
          message: (...message) => {
            if (!this.isCut) listener.message(...message)
          },
          gap: () => listener.gap(),
        })
        const end = (): void => {
          this.#listeners.delete(listener)
          subscription.end()
        }
        return { confirmed: subscription.confirmed, position: undefined, end }
      },
    }
  }

  mend(): void {
    this.isCut = false
    for (const listener of this.#listeners) listener.gap()
  }
}
