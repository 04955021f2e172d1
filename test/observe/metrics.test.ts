import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Counter } from 'prom-client'
import { CLOSE_REASONS, FAMILIES, type Family, OTHER } from '../../src/observe/family.ts'
import { ThreadMetrics } from '../../src/observe/metrics.ts'

const CLOSED = {
  name: 'test_closed_total',
  type: 'counter',
  help: 'Closed.',
  labels: { reason: CLOSE_REASONS },
} as const
const SIZE = { name: 'test_size', type: 'histogram', help: 'Sizes.', labels: {}, buckets: [1, 10] } as const

test('metrics: the same labels give the same cell, and the cell is what is collected', async () => {
  const metrics = new ThreadMetrics()
  const closed = metrics.counter(CLOSED)
  closed.cell({ reason: 'client' }).value += 2
  metrics.counter(CLOSED).cell({ reason: 'client' }).value += 3
  closed.cell({ reason: 'error' }).value += 1
  assert.deepEqual(await metrics.collect(), [
    {
      name: 'test_closed_total',
      help: 'Closed.',
      type: 'counter',
      aggregator: 'sum',
      values: [
        { value: 5, labels: { reason: 'client' } },
        { value: 1, labels: { reason: 'error' } },
      ],
    },
  ])
})

test('metrics: a value outside the closed set becomes other, whatever it is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...CLOSE_REASONS))),
      async (reasons) => {
        const metrics = new ThreadMetrics()
        const closed = metrics.counter(CLOSED)
        for (const reason of reasons) closed.cell({ reason }).value += 1
        const [family] = await metrics.collect()
        const values = family?.values ?? []
        const allowed = new Set<unknown>([...CLOSE_REASONS, OTHER])
        for (const { labels } of values) assert.ok(allowed.has(labels.reason))
        assert.ok(values.length <= allowed.size)
        assert.equal(
          values.reduce((sum, { value }) => sum + value, 0),
          reasons.length,
        )
      },
    ),
  )
})

test('metrics: a gauge is read when collected, and its cell cannot be asked for', async () => {
  const metrics = new ThreadMetrics()
  let depth = 1
  const family = { name: 'test_depth', type: 'gauge', help: 'Depth.', labels: {} } as const
  metrics.gauge(family).read({}, () => depth)
  depth = 7
  assert.deepEqual((await metrics.collect())[0]?.values, [{ value: 7, labels: {} }])
  assert.throws(() => metrics.gauge(family).cell({}), /not both/)
})

test('metrics: one name has one type', () => {
  const metrics = new ThreadMetrics()
  metrics.counter(CLOSED)
  assert.throws(() => metrics.gauge({ ...CLOSED, type: 'gauge' }), /one type/)
})

test('metrics: a value on a bucket bound is in that bucket, one above the last only in +Inf', async () => {
  const metrics = new ThreadMetrics()
  const cell = metrics.histogram(SIZE).cell({})
  for (const value of [0, 1, 1.5, 10, 11]) cell.observe(value)
  assert.equal(metrics.histogram(SIZE).cell({}), cell)
  assert.deepEqual((await metrics.collect())[0]?.values, [
    { metricName: 'test_size_bucket', labels: { le: 1 }, value: 2 },
    { metricName: 'test_size_bucket', labels: { le: 10 }, value: 4 },
    { metricName: 'test_size_bucket', labels: { le: '+Inf' }, value: 5 },
    { metricName: 'test_size_sum', labels: {}, value: 23.5 },
    { metricName: 'test_size_count', labels: {}, value: 5 },
  ])
})

test('metrics: what is collected survives a structured clone, with metrics of prom-client itself', async () => {
  const metrics = new ThreadMetrics()
  metrics.histogram(FAMILIES.turn).cell({}).observe(0.2)
  new Counter({ name: 'user_total', help: 'Of the user.', registers: [metrics.registry] }).inc(4)
  const json = await metrics.collect()
  assert.deepEqual(structuredClone(json), json)
  assert.deepEqual(
    json.map(({ name, type }) => [name, type]),
    [
      ['polyloop_shard_turn_seconds', 'histogram'],
      ['user_total', 'counter'],
    ],
  )
})

test('metrics: every family of the table has a lawful name, type and buckets', () => {
  for (const { name, type, help, labels, ...rest } of Object.values(FAMILIES) as Family[]) {
    assert.match(name, /^(polyloop|process)_[a-z_]+$/)
    assert.equal(name.endsWith('_total'), type === 'counter', name)
    assert.match(help, /^[A-Z0-9].*\.$/, name)
    assert.ok(!('shard' in labels), `${name}: the label shard is added by main`)
    assert.equal(rest.buckets !== undefined, type === 'histogram', name)
    assert.deepEqual(
      [...(rest.buckets ?? [])].sort((a, b) => a - b),
      [...(rest.buckets ?? [])],
    )
  }
})
