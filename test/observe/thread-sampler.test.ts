import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FIGURE, FigureTable, figureOf } from '../../src/observe/figure.ts'
import { ThreadSampler } from '../../src/observe/thread-sampler.ts'

const BLOCK_MS = 300

test('thread sampler: a loop that blocks right after a sample shows delay and utilisation', async () => {
  const row = FigureTable.allocate().row(0)
  const sampler = new ThreadSampler(row)
  try {
    // Ticks must have begun before the block: the first one of a histogram has nothing to be measured from.
    await turns(150)
    sampler.sample()
    const end = performance.now() + BLOCK_MS
    while (performance.now() < end);
    await turns(100)
    sampler.sample()
    assert.ok(figureOf(row, FIGURE.delaySeconds) > BLOCK_MS / 2000, `delay ${row[FIGURE.delaySeconds]}`)
    assert.ok(figureOf(row, FIGURE.utilization) > 0.3, `utilization ${row[FIGURE.utilization]}`)
    assert.ok(figureOf(row, FIGURE.utilization) <= 1)
    assert.ok(figureOf(row, FIGURE.heapUsedBytes) > 1e6)
    assert.ok(figureOf(row, FIGURE.heapLimitBytes) > figureOf(row, FIGURE.heapUsedBytes))
  } finally {
    sampler.close()
  }
})

async function turns(ms: number): Promise<void> {
  const end = performance.now() + ms
  while (performance.now() < end) await new Promise((resolve) => setImmediate(resolve))
}
