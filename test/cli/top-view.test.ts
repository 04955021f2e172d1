import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { topLines } from '../../src/cli/top-view.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { threadOfSeat } from '../../src/lib/thread.ts'
import { add, countOpened, FIGURE, FigureTable, serviceColumn } from '../../src/observe/figure.ts'
import { NO_MIGRATION, type RuntimeReport } from '../../src/observe/report.ts'
import { Status } from '../../src/observe/status.ts'

const PLAIN = { terminal: false, columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY }

function reportOf(seats: readonly number[], migration = NO_MIGRATION): RuntimeReport {
  const table = FigureTable.allocate()
  const clock = new ManualClock()
  for (const seat of seats) {
    table.begin(threadOfSeat(seat))
    table.setState(threadOfSeat(seat), 'ready')
  }
  const status = new Status({
    ...{ table, clock, services: ['echo'], version: '1.2.3', readiness: () => 'ready' as const, listeners: () => [] },
    migration: () => migration,
  })
  for (const seat of seats) {
    const row = table.row(threadOfSeat(seat))
    for (let i = 0; i < 500 + seat; i++) countOpened(row, 0)
    add(row, serviceColumn(0, 'messagesIn'), 10_000 * (seat + 1))
    add(row, serviceColumn(0, 'messagesOut'), 12_000)
    row[FIGURE.utilization] = 0.3 * (seat + 1)
    row[FIGURE.heapUsedBytes] = 30 * 1024 ** 2
    row[FIGURE.heapLimitBytes] = 100 * 1024 ** 2
    row[FIGURE.ringUsedBytes] = 1_536
    row[FIGURE.turnP99Seconds] = 0.0012
    row[FIGURE.actors] = 7
    row[FIGURE.mailboxDepth] = 3
  }
  clock.advance(2_000)
  status.sample()
  clock.advance(3_600_000)
  return status.runtime()
}

test('top: a plain table of the shards under the totals', () => {
  assert.equal(
    topLines(reportOf([0, 1]), PLAIN).join('\n'),
    `
polyloop 1.2.3  ready  up 1 h 00 min
2 shards  1,001 connections  in 15,000/s  out 12,000/s  14 actors
echo: 1,001 connections, 501 new/s, in 15,000/s, out 12,000/s

SHARD  STATE  CONNECTIONS    IN/S  OUT/S  TURN P99  BUSY     RING  ACTORS  MAILBOX         HEAP
    0  ready          500   5,000  6,000    1.2 ms   30%  1.5 KiB       7        3  30 MiB  30%
    1  ready          501  10,000  6,000    1.2 ms   60%  1.5 KiB       7        3  30 MiB  30%`.slice(1),
  )
})

test('top: on a terminal lanes have bars of their load, in colours that say how much it is', () => {
  const lines = topLines(reportOf([0, 1, 2]), { terminal: true, columns: 120, rows: 24 })
  const lanes = lines.slice(-3)
  const bars = lanes.map((line) => stripVTControlCharacters(line).split(/ {2,}/).at(-1))
  assert.deepEqual(bars, ['███·······', '██████····', '█████████·'])
  assert.deepEqual(
    // biome-ignore lint/complexity/useRegexLiterals: the escape character is easier read here
    lanes.map((line) => new RegExp('\\x1b\\[(\\d+)m█').exec(line)?.[1]),
    ['32', '33', '31'],
  )
})

test('top: no line is wider than the terminal, and there are never more than it has rows', () => {
  for (const columns of [20, 60, 94, 107, 200]) {
    for (const rows of [5, 8, 24, 80]) {
      const lines = topLines(reportOf(Array.from({ length: 64 }, (_, seat) => seat)), { terminal: true, columns, rows })
      const widest = Math.max(...lines.map((line) => stripVTControlCharacters(line).length))
      assert.ok(widest <= columns, `${widest} of ${columns}`)
      assert.ok(lines.length <= Math.max(rows, 7), `${lines.length} of ${rows}`)
      if (rows === 24) assert.match(lines.at(-1) ?? '', /and 46 more/)
      if (rows === 80) assert.ok(!lines.join('').includes('more'))
    }
  }
})

test('top: a reload in progress has a line, and both seats of a shard are shown', () => {
  const migration = { ...NO_MIGRATION, state: 'moving', kind: 'reload', moved: 30, remaining: 10, failed: 0 } as const
  const lines = topLines(reportOf([0, 64], migration), PLAIN)
  assert.ok(lines.includes('reload:  75%  30 of 40 connections moved'))
  assert.match(lines.join('\n'), /^1 shard /m)
  assert.deepEqual(
    lines.slice(-2).map((line) => line.trim().split(' ', 1)[0]),
    ['0', '0'],
  )
})
