import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../../src/lib/clock.ts'
import { ChannelLog, Subscription } from '../../../src/services/hub/channel-log.ts'
import { eventJson, formOf } from '../../../src/services/hub/event.ts'
import { Replay } from '../../../src/services/hub/replay.ts'
import { NO_OPTIONS } from '../../../src/services/hub/request.ts'

const EPOCH = 5

test('replay: who says good-bye in the middle of it misses the rest, and its session knows', () => {
  const clock = new ManualClock(0, 1_800_000_000_000)
  let sequence = 0
  const log = new ChannelLog({
    channel: 'tick',
    limits: { countMax: 10, bytesMax: 1_000, ageMsMax: 60_000 },
    clock,
    sequence: () => ++sequence,
    sent: () => {},
    strange: () => {},
  })
  log.event({ type: 'subscribed', topic: 'hub.tick', epoch: EPOCH, offset: 0, recovered: true, missed: 0 }, 0)
  for (let offset = 1; offset <= 3; offset++)
    log.message(Buffer.from(eventJson('tick', 'tick', '{}', clock.wallMs())), offset, true)
  const receiver = { isOpen: true, deliver: () => {} }
  const subscription = new Subscription(log, receiver, formOf(NO_OPTIONS, 'frame'), { epoch: EPOCH, offset: 3 })
  const connection = { open: true, congested: false, sendShared: () => {} }
  const replay = new Replay(connection, [subscription], log.after({ epoch: EPOCH, offset: 0 }), true)
  const isDone = replay.pump(() => {
    connection.congested = true
  })
  assert.equal(isDone, false)
  Object.assign(connection, { open: false, congested: false })
  assert.equal(
    replay.pump(() => assert.fail('it takes nothing more')),
    false,
  )
  assert.deepEqual(replay.positionOf(subscription), ['tick', EPOCH, 1])
  assert.equal(log.size, 0)
})
