import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { THREAD, threadOfSeat } from '../../src/lib/thread.ts'
import { add, countClosed, countOpened, FIGURE, FigureTable, serviceColumn } from '../../src/observe/figure.ts'
import type { RuntimeReport } from '../../src/observe/report.ts'
import { Status } from '../../src/observe/status.ts'

function subject(): { table: FigureTable; clock: ManualClock; status: Status } {
  const table = FigureTable.allocate()
  const clock = new ManualClock()
  const status = new Status({
    table,
    services: ['echo', 'chat'],
    version: '1.2.3',
    clock,
    readiness: () => 'ready',
    listeners: () => [],
  })
  return { table, clock, status }
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
