import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { THREADS_MAX, threadOfSeat } from '../../src/lib/thread.ts'
import { CLOSE_REASONS, FAMILIES, REFUSE_REASONS } from '../../src/observe/family.ts'
import {
  add,
  closedColumn,
  countArrived,
  countClosed,
  countDeparted,
  countOpened,
  FIGURE,
  FIGURES,
  FigureTable,
  figureOf,
  openConnections,
  refusedColumn,
  SERVICE_FIGURES,
  SERVICES_MAX,
  type ServiceFigureName,
  serviceColumn,
} from '../../src/observe/figure.ts'

test('figure: no two columns are the same, and each is inside the row', () => {
  const columns = [
    ...Object.values(FIGURE),
    ...CLOSE_REASONS.map(closedColumn),
    ...REFUSE_REASONS.map(refusedColumn),
    ...Array.from({ length: SERVICES_MAX }, (_, service) =>
      (Object.keys(SERVICE_FIGURES) as ServiceFigureName[]).map((name) => serviceColumn(service, name)),
    ).flat(),
  ]
  assert.equal(new Set(columns).size, columns.length)
  assert.ok(Math.max(...columns) < FigureTable.allocate().row(0).length)
  assert.throws(() => serviceColumn(SERVICES_MAX, 'opened'), { name: 'AssertionError' })
})

test('figure: the labels of every figure are in the closed sets of its family', () => {
  for (const row of [...Object.values(FIGURES), ...Object.values(SERVICE_FIGURES)]) {
    const labels: Readonly<Record<string, readonly string[]>> = FAMILIES[row.family].labels
    for (const [name, value] of Object.entries('labels' in row ? row.labels : {})) {
      assert.ok(labels[name]?.includes(value), `${row.family} has no ${name}="${value}"`)
    }
  }
})

test('figure: rows of different threads do not overlap', () => {
  const table = FigureTable.allocate()
  for (let thread = 0; thread < THREADS_MAX; thread++) table.row(thread).fill(thread + 1)
  for (let thread = 0; thread < THREADS_MAX; thread++) {
    assert.ok(table.row(thread).every((value) => value === thread + 1))
    assert.equal(table.beats(thread), 0)
    assert.equal(table.state(thread), 'absent')
  }
  assert.throws(() => table.row(THREADS_MAX), { name: 'AssertionError' })
})

test('figure: memory of another layout is refused', () => {
  const memory = new SharedArrayBuffer(FigureTable.allocate().memory.byteLength)
  assert.throws(() => new FigureTable(memory), /layout/)
})

test('figure: states, generations, beats and restarts of a thread are seen through another table', () => {
  const main = FigureTable.allocate()
  const shard = new FigureTable(main.memory)
  assert.deepEqual(main.threads(), [])
  assert.equal(main.begin(9), 1)
  assert.equal(shard.state(9), 'starting')
  shard.beat(9)
  shard.beat(9)
  main.setState(9, 'hung')
  main.countRestart(9)
  assert.equal(main.begin(9), 2)
  assert.deepEqual([main.beats(9), shard.generation(9), shard.restarts(9)], [2, 2, 1])
  assert.deepEqual(main.threads(), [9])
})

test('figure: settling a dead thread balances the books and zeroes its gauges only', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(SERVICES_MAX - 1), fc.boolean(), fc.nat(2)), { maxLength: 60 }), (events) => {
      const table = FigureTable.allocate()
      const row = table.row(threadOfSeat(0))
      let open = 0
      let closedOrLost = 0
      for (const [service, opens, end] of events) {
        if (opens) countOpened(row, service)
        else countArrived(row, service)
        if (end === 0) open++
        else if (end === 1) countClosed(row, service, 'client')
        else countDeparted(row, service)
        if (end !== 2) closedOrLost++
      }
      row[FIGURE.heapUsedBytes] = 5
      add(row, FIGURE.bytesIn, 7)
      assert.equal(table.settle(threadOfSeat(0)), open)
      for (let service = 0; service < SERVICES_MAX; service++) assert.equal(openConnections(row, service), 0)
      const closed = CLOSE_REASONS.reduce((sum, reason) => sum + figureOf(row, closedColumn(reason)), 0)
      assert.equal(closed, closedOrLost)
      assert.equal(figureOf(row, closedColumn('restart')), open)
      assert.deepEqual([row[FIGURE.heapUsedBytes], row[FIGURE.bytesIn]], [0, 7])
      assert.equal(table.settle(threadOfSeat(0)), 0, 'settling twice loses nothing twice')
    }),
  )
})

test('figure: a thread that spins without returning to its loop stays readable', async () => {
  const table = FigureTable.allocate()
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const source = `
    import { workerData } from 'node:worker_threads'
    const { FigureTable, FIGURE, add } = await import(workerData.module)
    const row = new FigureTable(workerData.memory).row(8)
    while (Atomics.load(workerData.stop, 0) === 0) add(row, FIGURE.bytesIn, 3)
  `
  const module = new URL('../../src/observe/figure.ts', import.meta.url).href
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { module, memory: table.memory, stop },
  })
  const exit = new Promise((resolve) => worker.once('exit', resolve))
  const row = table.row(8)
  try {
    while (figureOf(row, FIGURE.bytesIn) === 0) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(figureOf(row, FIGURE.bytesIn) % 3, 0)
  } finally {
    Atomics.store(stop, 0, 1)
    assert.equal(await exit, 0)
  }
})
