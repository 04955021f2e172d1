import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Doorbells } from '../../src/ring/doorbell.ts'
import { createLinkEnds, createLinkMemory, type LinkEnd } from '../../src/ring/link.ts'
import type { HammerReport, HammerTask } from './ring-hammer.ts'

/** A soak sets it to millions. */
const MESSAGES = Number(process.env.POLYLOOP_TEST_RING_MESSAGES ?? 100_000)
const SEED = Number(process.env.POLYLOOP_TEST_SEED ?? Date.now() % 1_000_000_007) + 1

for (const bell of ['port', 'wait-async'] as const) {
  test(`ring: ${bell}: two threads hammer each other with random sizes, and each message arrives whole, once, in order`, async (t) => {
    t.diagnostic(`seed ${SEED - 1}, ${MESSAGES} messages each way`)
    const doorbells = Doorbells.allocate()
    const ends = createLinkEnds(createLinkMemory(8, 9, { data: 64 * 1024, control: 4 * 1024 }))
    const start = (self: number, link: LinkEnd): Worker => {
      const workerData = { self, doorbells, link, bell, messages: MESSAGES, seed: SEED * self } satisfies HammerTask
      return new Worker(new URL('./ring-hammer.ts', import.meta.url), { workerData, transferList: [link.port] })
    }
    const workers = [start(8, ends.low), start(9, ends.high)]
    const reports = await Promise.all(
      workers.map(async (worker) => ((await once(worker, 'message')) as [HammerReport])[0]),
    )
    for (const worker of workers) worker.postMessage('close')
    await Promise.all(workers.map((worker) => once(worker, 'exit')))
    for (const { wrong, received, stats } of reports) {
      assert.deepEqual(wrong, [])
      assert.ok(received.control > 0)
      assert.equal(stats.recordsIn, MESSAGES)
      assert.equal(stats.recordsOut, MESSAGES)
      assert.equal(stats.watchdogWakes, 0)
      assert.equal(stats.discardedChunks, 0)
      assert.ok(stats.full > 0, 'the rings were full at times')
    }
  })
}
