import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { THREAD, threadOfSeat } from '../../src/lib/thread.ts'
import {
  add,
  countArrived,
  countClosed,
  countDeparted,
  countOpened,
  FIGURE,
  FigureTable,
  serviceColumn,
} from '../../src/observe/figure.ts'
import { type MigrationReport, NO_MIGRATION, type RuntimeReport } from '../../src/observe/report.ts'
import { Status, type StatusOptions } from '../../src/observe/status.ts'

function subject(bridge?: StatusOptions['bridge']): { table: FigureTable; clock: ManualClock; status: Status } {
  const table = FigureTable.allocate()
  const clock = new ManualClock()
  const status = new Status({
    table,
    services: ['echo', 'chat'],
    version: '1.2.3',
    clock,
    readiness: () => 'ready',
    listeners: () => [],
    ...(bridge && { bridge }),
  })
  return { table, clock, status }
}

function shardOf(report: RuntimeReport, seat: number): RuntimeReport['shards'][number] {
  const found = report.shards.find((shard) => shard.seat === seat)
  assert.ok(found !== undefined)
  return found
}

function serviceOf(report: RuntimeReport, name: string): RuntimeReport['services'][number] {
  const found = report.services.find((service) => service.name === name)
  assert.ok(found !== undefined)
  return found
}

test('status: a runtime without shards is unhealthy, with one of two up degraded, draining counts as up', () => {
  const { table, status } = subject()
  assert.equal(status.health().status, 'unhealthy')
  table.begin(threadOfSeat(0))
  table.begin(threadOfSeat(1))
  assert.equal(status.health().status, 'unhealthy', 'starting')
  table.setState(threadOfSeat(0), 'ready')
  assert.equal(status.health().status, 'degraded')
  table.setState(threadOfSeat(1), 'draining')
  assert.equal(status.health().status, 'healthy')
  table.begin(THREAD.acceptor)
  assert.deepEqual(
    status.health().shards.map(({ id, state }) => [id, state]),
    [
      [0, 'ready'],
      [1, 'draining'],
    ],
    'other threads are no shards',
  )
})

test('status: without its bridge a runtime is degraded, and its services are as well as their shards', () => {
  let state = { kind: 'redis' as const, isUp: false, problem: 'connect ECONNREFUSED' }
  const { table, status } = subject(() => state)
  table.begin(threadOfSeat(0))
  table.begin(THREAD.bridge)
  table.setState(THREAD.bridge, 'ready')
  assert.equal(status.health().status, 'unhealthy', 'a shard is worse')
  table.setState(threadOfSeat(0), 'ready')
  const health = status.health()
  assert.equal(health.status, 'degraded')
  assert.equal(health.services.echo?.status, 'healthy')
  assert.deepEqual(health.bridge, { kind: 'redis', status: 'disconnected', error: 'connect ECONNREFUSED' })
  state = { kind: 'redis', isUp: true, problem: '' }
  assert.equal(status.health().status, 'healthy')
  assert.deepEqual(status.health().bridge, { kind: 'redis', status: 'connected' })
  // What it said last is worth nothing then.
  for (const gone of ['hung', 'dead', 'starting'] as const) {
    table.setState(THREAD.bridge, gone)
    assert.equal(status.health().status, 'degraded')
    assert.equal(status.health().bridge?.error, `its thread is ${gone}`)
  }
  assert.equal(subject().status.health().bridge, undefined)
})

test('status: rates are those between the last two samples', () => {
  const { table, clock, status } = subject()
  const thread = threadOfSeat(0)
  table.begin(thread)
  const row = table.row(thread)
  add(row, serviceColumn(1, 'messagesIn'), 100)
  assert.equal(serviceOf(status.runtime(), 'chat').messages_in_per_second, 0)
  clock.advance(2000)
  status.sample()
  assert.equal(serviceOf(status.runtime(), 'chat').messages_in_per_second, 50)
  add(row, serviceColumn(1, 'messagesIn'), 30)
  clock.advance(1000)
  status.sample()
  const chat = serviceOf(status.runtime(), 'chat')
  assert.deepEqual([chat.messages_in, chat.messages_in_per_second], [130, 30])
  assert.equal(serviceOf(status.runtime(), 'echo').messages_in, 0)
})

test('status: totals keep what a retired thread counted, its connections are settled', () => {
  const { table, status } = subject()
  const thread = threadOfSeat(5)
  table.begin(thread)
  const row = table.row(thread)
  for (let i = 0; i < 3; i++) countOpened(row, 0)
  countClosed(row, 0, 'client')
  assert.deepEqual([status.runtime().shards[0]?.connections, status.health().services.echo?.connections], [2, 2])
  table.settle(thread)
  table.setState(thread, 'absent')
  assert.deepEqual(status.runtime().shards, [])
  const echo = serviceOf(status.runtime(), 'echo')
  assert.deepEqual([echo.connections, echo.opened], [0, 3])
})

test('status: the runtime report has the figures of shards and of other threads apart', () => {
  const { table, clock, status } = subject()
  table.begin(THREAD.main)
  table.begin(threadOfSeat(2))
  table.setState(threadOfSeat(2), 'hung')
  table.countRestart(threadOfSeat(2))
  const row = table.row(threadOfSeat(2))
  row[FIGURE.utilization] = 0.5
  row[FIGURE.ringUsedBytes] = 64
  clock.advance(2500)
  const report = status.runtime()
  assert.deepEqual([report.uptime_seconds, report.readiness, report.node], [2, 'ready', process.version])
  assert.deepEqual(
    report.threads.map(({ name }) => name),
    ['main'],
  )
  const [shard] = report.shards
  assert.ok(shard !== undefined)
  const { id, name, state, generation, restarts, eventloop_utilization, ring_used_bytes } = shard
  assert.deepEqual(
    [id, name, state, generation, restarts, eventloop_utilization, ring_used_bytes],
    [2, '2', 'hung', 1, 1, 0.5, 64],
  )
})

test('status: the rates of a shard are its own, and gauges of its actors and turns are passed on', () => {
  const { table, clock, status } = subject()
  for (const seat of [0, 1]) table.begin(threadOfSeat(seat))
  const row = table.row(threadOfSeat(1))
  add(row, serviceColumn(0, 'messagesIn'), 10)
  add(row, serviceColumn(1, 'messagesIn'), 20)
  add(row, serviceColumn(1, 'messagesOut'), 6)
  row[FIGURE.actors] = 7
  row[FIGURE.mailboxDepth] = 3
  row[FIGURE.turnP99Seconds] = 0.002
  clock.advance(2000)
  status.sample()
  const report = status.runtime()
  const { messages_in_per_second, messages_out_per_second, ...shard } = shardOf(report, 1)
  assert.deepEqual([messages_in_per_second, messages_out_per_second], [15, 3])
  assert.deepEqual([shard.actors, shard.mailbox_depth, shard.turn_p99_seconds], [7, 3, 0.002])
  assert.equal(shardOf(report, 0).messages_in_per_second, 0)
  table.settle(threadOfSeat(1))
  assert.deepEqual([shardOf(status.runtime(), 1).actors, shardOf(status.runtime(), 1).messages_in], [0, 30])
})

test('status: during a reload a shard has two seats in the report and one line in health', () => {
  const { table, status } = subject()
  for (const seat of [1, 0, 64]) table.begin(threadOfSeat(seat))
  for (const seat of [0, 1]) table.setState(threadOfSeat(seat), 'ready')
  countOpened(table.row(threadOfSeat(0)), 0)
  countOpened(table.row(threadOfSeat(64)), 0)
  const seats = status.runtime().shards.map(({ id, seat, name, state }) => [id, seat, name, state])
  assert.deepEqual(seats, [
    [0, 0, '0', 'ready'],
    [0, 64, '0', 'starting'],
    [1, 1, '1', 'ready'],
  ])
  const lines = (): unknown => status.health().shards.map(({ id, state, connections }) => [id, state, connections])
  assert.deepEqual(lines(), [
    [0, 'ready', 2],
    [1, 'ready', 0],
  ])
  assert.equal(status.health().status, 'healthy', 'a successor that starts is no shard that is down')
  table.setState(threadOfSeat(0), 'dead')
  assert.deepEqual([status.health().status, status.health().shards[0]?.state], ['degraded', 'starting'])
})

test('status: the rate of a shard has what its predecessor did before it was retired', () => {
  const { table, clock, status } = subject()
  for (const seat of [0, 64]) table.begin(threadOfSeat(seat))
  clock.advance(1000)
  status.sample()
  add(table.row(threadOfSeat(0)), serviceColumn(0, 'messagesIn'), 60)
  add(table.row(threadOfSeat(64)), serviceColumn(0, 'messagesIn'), 40)
  clock.advance(1000)
  status.sample()
  const ratesOf = (): number[] => status.runtime().shards.map((shard) => shard.messages_in_per_second)
  assert.deepEqual(ratesOf(), [60, 40])
  table.settle(threadOfSeat(0))
  table.setState(threadOfSeat(0), 'absent')
  assert.deepEqual(ratesOf(), [100])
  clock.advance(1000)
  status.sample()
  assert.deepEqual(ratesOf(), [0])
})

test('status: the migration is what its provider says, and idle without one', () => {
  const { table, clock, status } = subject()
  assert.deepEqual([status.runtime().migration.state, status.runtime().migration.kind], ['idle', null])
  const migration: MigrationReport = { ...NO_MIGRATION, state: 'moving', kind: 'reload', moved: 3, remaining: 4 }
  const moving = new Status({
    ...{ table, clock, services: [], version: '1', readiness: () => 'ready' as const, listeners: () => [] },
    migration: () => migration,
  })
  assert.deepEqual(moving.runtime().migration, migration)
})

test('status: a connection that moved counts where it is, and in all once', () => {
  const { table, status } = subject()
  const [from, to] = [threadOfSeat(0), threadOfSeat(1)]
  for (const thread of [from, to]) table.begin(thread)
  for (let n = 0; n < 3; n++) countOpened(table.row(from), 0)
  countDeparted(table.row(from), 0)
  assert.equal(serviceOf(status.runtime(), 'echo').connections, 2, 'on its way nobody has it')
  countArrived(table.row(to), 0)
  const report = status.runtime()
  assert.deepEqual([shardOf(report, 0).connections, shardOf(report, 1).connections], [2, 1])
  const { connections, opened } = serviceOf(report, 'echo')
  assert.deepEqual([connections, opened], [3, 3])
  table.settle(from)
  assert.equal(status.health().services.echo?.connections, 1)
})
