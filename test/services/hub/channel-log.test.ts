import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../../src/lib/clock.ts'
import { cut, PIECE_BYTES } from '../../../src/services/hub/assembly.ts'
import { ChannelLog, Subscription } from '../../../src/services/hub/channel-log.ts'
import { binaryPayload, eventJson, formOf } from '../../../src/services/hub/event.ts'
import { NO_OPTIONS } from '../../../src/services/hub/request.ts'

const EPOCH = 5
const COUNT_MAX = 10

interface World {
  readonly clock: ManualClock
  readonly log: ChannelLog
  strange: number
  sent: number
}

function createWorld(): World {
  const clock = new ManualClock(0, 1_800_000_000_000)
  const world = { clock, strange: 0, sent: 0 }
  let sequence = 0
  const log = new ChannelLog({
    channel: 'tick',
    limits: { countMax: COUNT_MAX, bytesMax: 10_000_000, ageMsMax: 60_000 },
    clock,
    sequence: () => ++sequence,
    sent: (_event, _form, receivers) => {
      world.sent += receivers
    },
    strange: () => {
      world.strange++
    },
  })
  return Object.assign(world, { log })
}

function begin({ log }: World, offset = 0, head = offset): void {
  log.event({ type: 'subscribed', topic: 'hub.tick', epoch: EPOCH, offset, recovered: true, missed: 0 }, head)
}

function tell(world: World, offset: number): void {
  const json = eventJson('tick', 'tick', `{"number":${offset}}`, world.clock.wallMs())
  world.log.message(Buffer.from(json), offset, true)
}

function offsets(world: World, offset: number, epoch = EPOCH): number[] {
  return world.log.after({ epoch, offset }).map((event) => event.offset)
}

test('channel log: it is ready when it has its past', () => {
  const world = createWorld()
  let isReady = false
  world.log.whenReady(() => {
    isReady = true
  })
  begin(world, 3, 5)
  assert.equal(isReady, false)
  tell(world, 4)
  world.log.batchEnd()
  assert.equal(isReady, false)
  tell(world, 5)
  world.log.batchEnd()
  assert.equal(isReady, true)
  assert.deepEqual(offsets(world, 3), [4, 5])
})

test('channel log: what is kept, at the bound and one beyond, and until it is too old', () => {
  const world = createWorld()
  begin(world)
  for (let offset = 1; offset <= COUNT_MAX; offset++) tell(world, offset)
  assert.equal(world.log.reaches({ epoch: EPOCH, offset: 0 }), true)
  tell(world, COUNT_MAX + 1)
  assert.equal(world.log.reaches({ epoch: EPOCH, offset: 0 }), false)
  assert.equal(world.log.reaches({ epoch: EPOCH, offset: 1 }), true)
  assert.equal(world.log.lostAfter({ epoch: EPOCH, offset: 0 }), 1)
  assert.equal(world.log.countAfter({ epoch: EPOCH, offset: 0 }), COUNT_MAX + 1)
  assert.equal(world.log.reaches({ epoch: EPOCH, offset: COUNT_MAX + 2 }), false, 'nobody gave it')
  assert.equal(world.log.reaches({ epoch: EPOCH - 1, offset: 5 }), false)
  assert.deepEqual(offsets(world, 9), [10, 11])
  assert.equal(offsets(world, 9, EPOCH - 1).length, COUNT_MAX, 'of another epoch all that is kept')
  world.clock.advance(60_000)
  assert.deepEqual(offsets(world, 1), [])
  assert.equal(world.log.reaches({ epoch: EPOCH, offset: 11 }), true)
})

test('channel log: events that come together leave as one buffer, made once for all of a form', () => {
  const world = createWorld()
  begin(world)
  const got: { readonly frames: Buffer; readonly messages: number }[] = []
  const receiver = { isOpen: true, deliver: (frames: Buffer, messages: number) => void got.push({ frames, messages }) }
  const form = formOf(NO_OPTIONS, 'frame')
  const subscriptions = [1, 2, 3].map(() => new Subscription(world.log, receiver, form, world.log.position))
  for (const subscription of subscriptions) world.log.enter(subscription)
  tell(world, 1)
  tell(world, 2)
  assert.equal(got.length, 0)
  world.log.batchEnd()
  assert.deepEqual(
    got.map(({ messages }) => messages),
    [2, 2, 2],
  )
  assert.ok(got.every(({ frames }) => frames === got[0]?.frames))
  assert.equal(world.sent, 6)
  world.log.leave(subscriptions[0] as Subscription)
  assert.deepEqual(subscriptions[0]?.position, { epoch: EPOCH, offset: 2 })
  tell(world, 3)
  world.log.batchEnd()
  assert.equal(got.length, 5)
  assert.equal(world.log.size, 2)
})

test('channel log: who has said good-bye misses what comes then', () => {
  const world = createWorld()
  begin(world)
  const heard: number[] = []
  const receiver = { isOpen: true, deliver: (_frames: Buffer, messages: number) => void heard.push(messages) }
  const subscription = new Subscription(world.log, receiver, formOf(NO_OPTIONS, 'frame'), world.log.position)
  world.log.enter(subscription)
  tell(world, 1)
  world.log.batchEnd()
  receiver.isOpen = false
  for (const offset of [2, 3]) tell(world, offset)
  world.log.batchEnd()
  tell(world, 4)
  world.log.batchEnd()
  assert.deepEqual(heard, [1])
  assert.deepEqual(subscription.position, { epoch: EPOCH, offset: 1 })
  world.log.leave(subscription)
  assert.deepEqual(subscription.position, { epoch: EPOCH, offset: 1 }, 'also when it has gone')
})

test('channel log: a hole ends what can be recovered, and another epoch begins anew', () => {
  const world = createWorld()
  begin(world)
  tell(world, 1)
  world.log.event({ type: 'gap', topic: 'hub.tick', epoch: EPOCH, from: 2, to: 4, reason: 'lost' }, 0)
  tell(world, 5)
  assert.equal(world.log.reaches({ epoch: EPOCH, offset: 1 }), false)
  assert.equal(world.log.reaches({ epoch: EPOCH, offset: 4 }), true)
  let reached = 0
  world.log.whenReaches({ epoch: EPOCH, offset: 9 }, () => reached++)
  world.log.event({ type: 'gap', topic: 'hub.tick', epoch: EPOCH + 1, from: 1, to: 0, reason: 'epoch' }, 0)
  assert.equal(reached, 1, 'it never will')
  assert.deepEqual(world.log.position, { epoch: EPOCH + 1, offset: 0 })
})

test('channel log: whoever is ahead of it is waited for', () => {
  const world = createWorld()
  begin(world)
  let reached = 0
  world.log.whenReaches({ epoch: EPOCH, offset: 2 }, () => reached++)
  tell(world, 1)
  world.log.batchEnd()
  assert.equal(reached, 0)
  tell(world, 2)
  world.log.batchEnd()
  assert.equal(reached, 1)
})

test('channel log: who waits no longer is forgotten', () => {
  const world = createWorld()
  const called: string[] = []
  world.log.whenReady(() => called.push('ready, waited no longer'))()
  world.log.whenReady(() => called.push('ready'))
  begin(world)
  world.log.whenReaches({ epoch: EPOCH, offset: 1 }, () => called.push('waited no longer'))()
  tell(world, 1)
  world.log.batchEnd()
  assert.deepEqual(called, ['ready'])
})

test('channel log: a position is known when its past is, and it has come there', () => {
  const world = createWorld()
  const called: number[] = []
  const position = { epoch: EPOCH, offset: 2 }
  world.log.whenKnows(position, () => called.push(2))
  world.log.whenKnows(position, () => called.push(0))()
  const cancel = world.log.whenKnows({ epoch: EPOCH, offset: 3 }, () => called.push(3))
  begin(world)
  assert.deepEqual([called, world.log.knows(position)], [[], false])
  tell(world, 1)
  tell(world, 2)
  world.log.batchEnd()
  assert.deepEqual([called, world.log.knows(position)], [[2], true])
  cancel()
  tell(world, 3)
  world.log.batchEnd()
  assert.deepEqual(called, [2])
  assert.equal(world.log.knows({ epoch: EPOCH + 1, offset: 9 }), true, 'of another epoch there is nothing to come')
})

test('channel log: its past is no news for those who subscribed before it was known', () => {
  const world = createWorld()
  let heard = 0
  const deliver = (_frames: Buffer, messages: number): void => {
    heard += messages
  }
  const receiver = { isOpen: true, deliver }
  const subscription = new Subscription(world.log, receiver, formOf(NO_OPTIONS, 'frame'), world.log.position)
  world.log.enter(subscription)
  const learn = (): void => {
    begin(world, 0, 2)
    for (const offset of [1, 2]) tell(world, offset)
    world.log.batchEnd()
  }
  learn()
  assert.equal(heard, 0)
  assert.deepEqual(subscription.from, { epoch: EPOCH, offset: 2 })
  tell(world, 3)
  world.log.batchEnd()
  assert.equal(heard, 1)
  world.log.event({ type: 'refused', topic: 'hub.tick' }, 0)
  learn()
  assert.equal(heard, 1, 'nor when it listens again')
})

test('channel log: long events come in pieces, mixed with others; what lacks a piece is none', () => {
  const world = createWorld()
  begin(world)
  const frame = Buffer.alloc(2 * PIECE_BYTES, 7)
  const [one, other] = [cut(binaryPayload(frame, 1_800_000_000_000)), cut(binaryPayload(frame, 1_800_000_000_001))]
  assert.equal(one.length, 3)
  let offset = 0
  for (let index = 0; index < 3; index++) {
    world.log.message(one[index] as Buffer, ++offset, false)
    if (index !== 1) world.log.message(other[index] as Buffer, ++offset, false)
  }
  const [event, ...rest] = world.log.after({ epoch: EPOCH, offset: 0 })
  assert.equal(rest.length, 0)
  assert.equal(event?.offset, 4)
  assert.ok(
    event
      ?.frame(formOf({ ...NO_OPTIONS, binary: true }, 'frame'))
      .subarray(-frame.length)
      .equals(frame),
  )
  assert.deepEqual(cut('short'), ['short'])
})

test('channel log: what is no event is counted and nothing else', () => {
  const world = createWorld()
  begin(world)
  for (const [index, text] of ['', '{}', '{"channel":"other","timestamp":"2026-01-01T00:00:00.000Z"}', 'x'].entries())
    world.log.message(Buffer.from(text), index + 1, true)
  world.log.message(Buffer.of(9), 5, false)
  assert.equal(world.strange, 5)
  assert.deepEqual(offsets(world, 0), [])
})
