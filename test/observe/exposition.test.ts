import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Counter } from 'prom-client'
import { THREAD, threadOfSeat } from '../../src/lib/thread.ts'
import { Exposition, type MetricSource } from '../../src/observe/exposition.ts'
import { FAMILIES, METRIC_NAMES } from '../../src/observe/family.ts'
import { add, countClosed, countOpened, FIGURE, FigureTable, serviceColumn } from '../../src/observe/figure.ts'
import { ThreadMetrics } from '../../src/observe/metrics.ts'

const SERVICES = ['echo', 'chat']

test('exposition: every family of the table is on the page of a runtime that has no thread yet', async () => {
  const page = parse(await exposition(FigureTable.allocate(), []).text())
  assert.deepEqual([...page.families.keys()].sort(), [...METRIC_NAMES].sort())
  assert.deepEqual(page.samples.get('polyloop_shard_up'), undefined)
  assert.equal(page.samples.get('polyloop_build_info')?.[0]?.labels.version, '1.2.3')
  assert.ok((page.samples.get('process_resident_memory_bytes')?.[0]?.value ?? 0) > 1e6)
})

test('exposition: the figures of a thread become its series', async () => {
  const table = runningTable()
  const row = table.row(threadOfSeat(0))
  countOpened(row, 1)
  countOpened(row, 1)
  countClosed(row, 1, 'too_slow')
  add(row, FIGURE.bytesIn, 42)
  add(row, serviceColumn(0, 'messagesOut'), 3)
  add(table.row(THREAD.acceptor), serviceColumn(1, 'handoffsRerouted'), 5)
  table.countRestart(threadOfSeat(0))
  const page = parse(await exposition(table, []).text())
  assert.equal(page.value('polyloop_shard_connections', { shard: '0', service: 'chat' }), 1)
  assert.equal(page.value('polyloop_shard_connections', { shard: '0', service: 'echo' }), 0)
  assert.equal(page.value('polyloop_net_opened_total', { shard: '0', service: 'chat' }), 2)
  assert.equal(page.value('polyloop_net_closed_total', { shard: '0', reason: 'too_slow' }), 1)
  assert.equal(page.value('polyloop_net_bytes_total', { shard: '0', direction: 'in' }), 42)
  assert.equal(page.value('polyloop_net_messages_total', { shard: '0', service: 'echo', direction: 'out' }), 3)
  assert.equal(page.value('polyloop_handoffs_total', { shard: 'acceptor', service: 'chat', result: 'rerouted' }), 5)
  assert.equal(page.value('polyloop_shard_restarts_total', { shard: '0' }), 1)
})

test('exposition: a thread is up while it is ready or draining, and gone when retired', async () => {
  const table = FigureTable.allocate()
  const thread = threadOfSeat(3)
  const up = async (): Promise<number | undefined> =>
    parse(await exposition(table, []).text()).value('polyloop_shard_up', { shard: '3' })
  table.begin(thread)
  assert.equal(await up(), 0)
  table.setState(thread, 'ready')
  assert.equal(await up(), 1)
  table.setState(thread, 'draining')
  assert.equal(await up(), 1)
  table.setState(thread, 'hung')
  assert.equal(await up(), 0)
  table.setState(thread, 'dead')
  assert.equal(await up(), 0)
  table.setState(thread, 'absent')
  assert.equal(await up(), undefined)
})

test('exposition: metrics of threads are merged under their shard label, histograms included', async () => {
  const table = runningTable()
  const sources = [0, 1].map((shard): MetricSource => {
    const metrics = new ThreadMetrics()
    metrics
      .histogram(FAMILIES.turn)
      .cell({})
      .observe(shard + 0.2)
    return { thread: threadOfSeat(shard), collect: () => metrics.collect() }
  })
  const page = parse(await exposition(table, sources).text())
  assert.equal(page.value('polyloop_shard_turn_seconds_bucket', { shard: '0', le: '0.25' }), 1)
  assert.equal(page.value('polyloop_shard_turn_seconds_bucket', { shard: '1', le: '1' }), 0)
  assert.equal(page.value('polyloop_shard_turn_seconds_bucket', { shard: '1', le: '+Inf' }), 1)
  assert.equal(page.value('polyloop_shard_turn_seconds_sum', { shard: '1' }), 1.2)
  assert.equal(page.families.get('polyloop_shard_turn_seconds'), 'histogram')
})

test('exposition: user code cannot take the place of another shard, nor break the page with its texts', async () => {
  const metrics = new ThreadMetrics()
  const mine = new Counter({
    name: 'user_things_total',
    help: 'Of a user: "x"\n\\y',
    labelNames: ['shard', 'text'],
    registers: [metrics.registry],
  })
  mine.inc({ shard: '0', text: 'a"} 1\nevil 2\\' })
  const source = { thread: threadOfSeat(1), collect: () => metrics.collect() }
  const text = await exposition(runningTable(), [source]).text()
  const lines = text.split('\n').filter((line) => line.includes('user_things') || line.includes('evil'))
  assert.deepEqual(lines, [
    '# HELP user_things_total Of a user: "x"\\n\\\\y',
    '# TYPE user_things_total counter',
    'user_things_total{shard="1",text="a\\"} 1\\nevil 2\\\\"} 1',
  ])
})

test('exposition: a hung thread and a failing one cost the page their metrics, not their figures', async () => {
  const table = runningTable()
  table.setState(threadOfSeat(0), 'hung')
  add(table.row(threadOfSeat(0)), FIGURE.bytesOut, 9)
  const hung = Promise.withResolvers<[]>()
  let asked = 0
  const sources: MetricSource[] = [
    {
      thread: threadOfSeat(0),
      collect: () => {
        asked++
        return hung.promise
      },
    },
    { thread: threadOfSeat(1), collect: () => Promise.reject(new Error('gone')) },
  ]
  const subject = exposition(table, sources, 20)
  const page = parse(await subject.text())
  assert.equal(page.value('polyloop_shard_up', { shard: '0' }), 0)
  assert.equal(page.value('polyloop_net_bytes_total', { shard: '0', direction: 'out' }), 9)
  assert.equal(page.value('polyloop_shard_up', { shard: '1' }), 1)
  await subject.text()
  assert.equal(asked, 1, 'a thread that owes an answer is not asked again')
  table.begin(threadOfSeat(0))
  await subject.text()
  assert.equal(asked, 2, 'but its successor is')
  hung.resolve([])
  await new Promise((resolve) => setImmediate(resolve))
  await subject.text()
  assert.equal(asked, 3, 'and so is a thread that has answered')
})

test('exposition: scrapes that come together share one collection', async () => {
  let asked = 0
  const source = {
    thread: THREAD.main,
    collect: async () => {
      asked++
      return []
    },
  }
  const subject = exposition(FigureTable.allocate(), [source])
  assert.equal(new Set(await Promise.all([subject.text(), subject.text()])).size, 1)
  assert.equal(asked, 1)
})

test('exposition: every label value of a full page is from a closed set', async () => {
  const page = parse(await exposition(runningTable(), []).text())
  const sets = new Map(Object.values(FAMILIES).map((family) => [family.name as string, family.labels]))
  let seen = 0
  for (const [name, samples] of page.samples) {
    for (const { labels } of samples) {
      for (const [label, value] of Object.entries(labels)) {
        seen++
        const set = (sets.get(name) as Record<string, readonly string[]> | undefined)?.[label]
        if (label === 'shard') assert.match(value, /^(\d+|main|acceptor)$/)
        else if (label === 'service') assert.ok(SERVICES.includes(value))
        else if (name !== 'polyloop_build_info') assert.ok(set?.includes(value), `${name}{${label}="${value}"}`)
      }
    }
  }
  assert.ok(seen > 100)
})

function runningTable(): FigureTable {
  const table = FigureTable.allocate()
  for (const thread of [THREAD.main, THREAD.acceptor, threadOfSeat(0), threadOfSeat(1)]) {
    table.begin(thread)
    table.setState(thread, 'ready')
  }
  return table
}

function exposition(table: FigureTable, sources: readonly MetricSource[], deadlineMs = 1000): Exposition {
  return new Exposition({ table, services: SERVICES, version: '1.2.3', sources: () => sources, deadlineMs })
}

interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Page {
  readonly families: ReadonlyMap<string, string>
  readonly samples: ReadonlyMap<string, readonly Sample[]>
  value(name: string, labels: Readonly<Record<string, string>>): number | undefined
}

// A strict reader of the text format 0.0.4: whatever it does not know fails the test.
function parse(text: string): Page {
  assert.ok(text.endsWith('\n'))
  const families = new Map<string, string>()
  const samples = new Map<string, Sample[]>()
  const seen = new Set<string>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ')) continue
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line)
    if (type?.[1] !== undefined && type[2] !== undefined) {
      assert.ok(!families.has(type[1]), `${type[1]} has one TYPE line`)
      families.set(type[1], type[2])
      continue
    }
    const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
    assert.ok(sample?.[1] !== undefined, `not a line of the format: ${line}`)
    const series = line.slice(0, line.lastIndexOf(' '))
    assert.ok(!seen.has(series), `${series} appears once`)
    seen.add(series)
    const labels = Object.fromEntries(
      [...(sample[2] ?? '').matchAll(/([a-z_]+)="([^"]*)"(?:,|$)/g)].map(([, name, value]) => [name, value]),
    )
    const value = Number(sample[3])
    assert.ok(Number.isFinite(value), line)
    const known = samples.get(sample[1])
    if (known === undefined) samples.set(sample[1], [{ labels, value }])
    else known.push({ labels, value })
  }
  return {
    families,
    samples,
    value: (name, wanted) => {
      const found = samples.get(name)?.filter(({ labels }) => {
        const entries = Object.entries(labels)
        return entries.length === Object.keys(wanted).length && entries.every(([key, value]) => wanted[key] === value)
      })
      return found?.[0]?.value
    },
  }
}
