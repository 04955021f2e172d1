import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { ManualClock } from '../../src/lib/clock.ts'
import { THREAD, threadOfSeat } from '../../src/lib/thread.ts'
import type { Handover } from '../../src/net/handover.ts'
import { countClosed, countOpened, FIGURE, FigureTable, figureOf, serviceColumn } from '../../src/observe/figure.ts'
import { SlotTable } from '../../src/placement/slots.ts'
import { HandoverDesk } from '../../src/runtime/handover-desk.ts'

const KEY = 'echo:a'

class Desk implements Disposable {
  readonly table = FigureTable.allocate()
  readonly clock = new ManualClock(1000)
  readonly slots = SlotTable.allocate()
  readonly figures = this.table.row(THREAD.acceptor)
  readonly desk: HandoverDesk
  readonly channels: MessageChannel[] = []

  constructor(shardCount: number) {
    this.slots.spread(shardCount)
    const { table, figures, slots, clock } = this
    this.desk = new HandoverDesk({
      seats: shardCount,
      services: [0],
      table,
      figures,
      slots,
      clock,
      heapRefuseAt: 0.85,
      line: 0,
    })
    for (let shard = 0; shard < shardCount; shard++) this.up(shard)
  }

  up(shard: number): void {
    const thread = threadOfSeat(shard)
    this.table.begin(thread)
    this.table.setState(thread, 'ready')
    this.row(shard)[FIGURE.heapLimitBytes] = 1000
    this.table.setTaken(thread, 0, 0)
    const channel = new MessageChannel()
    this.channels.push(channel)
    this.desk.shardUp(shard, channel.port1)
  }

  row(shard: number): Float64Array {
    return this.table.row(threadOfSeat(shard))
  }

  post(shard: number): void {
    // A port stands in for the handle: what moves is not the desk's business.
    const { port1 } = new MessageChannel()
    this.desk.post(shard, 0, { handle: port1 } as unknown as Handover)
  }

  /** What a shard does with a handover; `lost` of them never came. */
  take(shard: number, lost = 0): void {
    const thread = threadOfSeat(shard)
    countOpened(this.row(shard), 0)
    this.table.setTaken(thread, 0, this.table.taken(thread, 0) + 1 + lost)
  }

  beat(shard: number, beats: number): void {
    for (let n = 0; n < beats; n++) this.table.beat(threadOfSeat(shard))
  }

  figure(name: 'handoffsOk' | 'handoffsFailed' | 'handoffsRerouted'): number {
    return figureOf(this.figures, serviceColumn(0, name))
  }

  [Symbol.dispose](): void {
    for (const { port1, port2 } of this.channels) {
      port1.close()
      port2.close()
    }
  }
}

test('handover desk: the slot table names the shard', () => {
  using stage = new Desk(4)
  for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
    assert.equal(stage.desk.shardFor(key, 0), stage.slots.shardOfKey(key))
  }
  assert.equal(stage.figure('handoffsRerouted'), 0)
})

for (const [why, spoil] of [
  ['is not ready', (stage: Desk, shard: number) => stage.table.setState(threadOfSeat(shard), 'hung')],
  ['is gone', (stage: Desk, shard: number) => void stage.desk.shardDown(shard)],
  ['has little heap left', (stage: Desk, shard: number) => (stage.row(shard)[FIGURE.heapUsedBytes] = 900)],
] as const) {
  test(`handover desk: goes round a shard that ${why}`, () => {
    using stage = new Desk(3)
    const chosen = stage.slots.shardOfKey(KEY)
    spoil(stage, chosen)
    const other = stage.desk.shardFor(KEY, 0)
    assert.ok(other >= 0 && other !== chosen)
    assert.equal(stage.figure('handoffsRerouted'), 1)
  })
}

test('handover desk: goes round a shard that takes nothing for a second, until it does', () => {
  using stage = new Desk(2)
  const chosen = stage.slots.shardOfKey(KEY)
  stage.post(chosen)
  stage.clock.advance(900)
  assert.equal(stage.desk.shardFor(KEY, 0), chosen)
  stage.clock.advance(200)
  assert.equal(stage.desk.shardFor(KEY, 0), 1 - chosen)
  stage.take(chosen)
  assert.equal(stage.desk.shardFor(KEY, 0), chosen)
})

test('handover desk: no shard is -1', () => {
  using stage = new Desk(2)
  stage.desk.shardDown(0)
  stage.desk.shardDown(1)
  assert.equal(stage.desk.shardFor(KEY, 0), -1)
})

test('handover desk: what was posted counts as open until it is closed', () => {
  using stage = new Desk(2)
  stage.post(0)
  stage.post(1)
  assert.equal(stage.desk.openOf(0), 2)
  stage.take(0)
  assert.equal(stage.desk.openOf(0), 2)
  countClosed(stage.row(0), 0, 'client')
  assert.equal(stage.desk.openOf(0), 1)
})

test('handover desk: taken is ok, lost with its shard is failed, and neither counts as open', () => {
  using stage = new Desk(1)
  for (let n = 0; n < 5; n++) stage.post(0)
  for (let n = 0; n < 3; n++) stage.take(0)
  assert.equal(stage.desk.acknowledge(), 0)
  assert.equal(stage.figure('handoffsOk'), 3)
  stage.table.settle(threadOfSeat(0))
  assert.equal(stage.desk.shardDown(0), 2)
  assert.equal(stage.figure('handoffsFailed'), 2)
  assert.equal(stage.figure('handoffsOk'), 3)
  assert.equal(stage.desk.openOf(0), 0)
  stage.up(0)
  assert.equal(stage.desk.shardFor(KEY, 0), 0)
})

test('handover desk: when all have little heap left, the one that is meant gets it', () => {
  using stage = new Desk(2)
  for (const shard of [0, 1]) stage.row(shard)[FIGURE.heapUsedBytes] = 990
  assert.equal(stage.desk.shardFor(KEY, 0), stage.slots.shardOfKey(KEY))
})

test('handover desk: one that got lost is written off when a later one was taken', () => {
  using stage = new Desk(1)
  stage.post(0)
  stage.post(0)
  stage.take(0, 1)
  assert.equal(stage.desk.acknowledge(), 1)
  assert.equal(stage.figure('handoffsFailed'), 1)
  assert.equal(stage.desk.openOf(0), 1)
  assert.equal(stage.desk.shardFor(KEY, 0), 0)
})

test('handover desk: one that got lost is written off while the shard beats on, not while it hangs', () => {
  using stage = new Desk(1)
  stage.post(0)
  stage.desk.acknowledge()
  stage.clock.advance(1500)
  assert.equal(stage.desk.acknowledge(), 0)
  assert.equal(stage.desk.shardFor(KEY, 0), -1)
  stage.beat(0, 10)
  assert.equal(stage.desk.acknowledge(), 1)
  assert.equal(stage.desk.openOf(0), 0)
  assert.equal(stage.desk.shardFor(KEY, 0), 0)
})

test('handover desk: what a shard still takes from a dead acceptor closes no way to it', () => {
  using stage = new Desk(1)
  stage.post(0)
  for (let n = 0; n < 3; n++) stage.take(0)
  stage.clock.advance(5000)
  stage.beat(0, 10)
  stage.desk.acknowledge()
  assert.equal(stage.desk.shardFor(KEY, 0), 0)
  assert.equal(stage.desk.openOf(0), 3)
})
