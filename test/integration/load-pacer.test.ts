import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pacer } from '../../src/cli/load/pacer.ts'
import { systemClock } from '../../src/lib/clock.ts'

test('pacer: one wake-up per order, at its time, also for a time that has passed', async () => {
  let woken = Promise.withResolvers<void>()
  const pacer = new Pacer(new URL('../../workers/load-pacer.ts', import.meta.url), () => woken.resolve())
  for (const aheadMs of [30, 5, 2, 1, 0.3, 0, -5]) {
    woken = Promise.withResolvers<void>()
    const dueMs = systemClock.nowMs() + aheadMs
    pacer.wakeAt(dueMs)
    await woken.promise
    // Its usual lateness, of which it takes off 0.2 ms at most, is the only reason to be early.
    const earlyMs = dueMs - systemClock.nowMs()
    assert.ok(earlyMs < 0.2, `${aheadMs} ms ahead: ${earlyMs} ms early`)
  }
  // The thread ends, or this process would not.
  pacer.close()
})
