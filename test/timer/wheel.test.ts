// The named cases: boundaries, callbacks that meddle, limits, statistics.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionError } from '../../src/lib/assert.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { DELAY_MS_MAX, NO_TIMER, type TimerHandle, TimerWheel } from '../../src/timer/wheel.ts'

const TICK_MS = 4.194304
const DAY_MS = 86_400_000

function codeOf(run: () => unknown): { code: string; details: unknown } {
  try {
    run()
  } catch (error) {
    if (error instanceof PolyloopError) return { code: error.code, details: error.details }
    throw error
  }
  return { code: 'none', details: {} }
}

/** Runs one timer on a fresh wheel and answers how late it was. */
function latenessOf(delayMs: number, startMs = 0, idleMs = 0): number {
  const timers = new ManualTimers({ startMs })
  timers.run(idleMs)
  const armedMs = timers.clock.nowMs()
  let firedMs = -1
  timers.wheel.schedule(delayMs, () => {
    assert.equal(firedMs, -1, 'fires once')
    firedMs = timers.clock.nowMs()
  })
  timers.run(delayMs + 5000)
  assert.notEqual(firedMs, -1, `fires within 5 s of ${delayMs}`)
  return firedMs - armedMs - delayMs
}

test('wheel: a delay of zero or less waits for the next tick, not for this turn', () => {
  const timers = new ManualTimers()
  const fired: string[] = []
  timers.wheel.schedule(0, () => fired.push('zero'))
  timers.wheel.schedule(-5, () => fired.push('negative'))
  timers.run(0)
  assert.deepEqual(fired, [])
  timers.run(TICK_MS + 0.1)
  assert.deepEqual(fired, ['zero', 'negative'])
})

test('wheel: at every seam of the levels a timer is neither early nor later than its granularity', () => {
  const seamsMs = [
    1,
    2 ** 22,
    255 * 2 ** 22,
    256 * 2 ** 22,
    257 * 2 ** 22,
    2 ** 27,
    2 ** 30,
    2 ** 31,
    2 ** 35,
    2 ** 41,
  ].map((nanoseconds) => nanoseconds / 1e6)
  for (const seamMs of seamsMs) {
    for (const offMs of [-140, -5, -1, 0, 1, 5, 140]) {
      for (const startMs of [0, 0.5, 4.1875, 133, 2147]) {
        const delayMs = Math.max(0, Math.ceil(seamMs) + offMs)
        const boundMs = delayMs <= 1069 ? 4.22 : delayMs <= 34_000 ? 134.3 : 2147.6
        const lateMs = latenessOf(delayMs, startMs, startMs)
        assert.ok(lateMs >= 0 && lateMs <= boundMs, `delay ${delayMs}: ${lateMs} late, bound ${boundMs}`)
      }
    }
  }
})

test('wheel: delays up to 24.8 days come round and round and fire once; one millisecond more is refused', () => {
  for (const delayMs of [37 * 60_000, 3 * 3_600_000, 10 * DAY_MS, DELAY_MS_MAX]) {
    const lateMs = latenessOf(delayMs)
    assert.ok(lateMs >= 0 && lateMs <= 2147.6, `${delayMs}: ${lateMs}`)
  }
  const { wheel } = new ManualTimers()
  for (const delayMs of [DELAY_MS_MAX + 1, Number.POSITIVE_INFINITY, Number.NaN]) {
    assert.deepEqual(
      codeOf(() => wheel.schedule(delayMs, () => {})),
      { code: 'TIMER_DELAY_INVALID', details: { delayMs } },
    )
    const handle = wheel.schedule(1, () => {})
    assert.equal(codeOf(() => wheel.rearm(handle, delayMs)).code, 'TIMER_DELAY_INVALID')
  }
})

test('wheel: ticks wrap after 208 days, and a wheel idle for months starts again', () => {
  for (const idleDays of [100, 104.2, 130, 156.3, 180, 208, 208.5, 300, 417]) {
    for (const delayMs of [10, 5000, 60_000, DAY_MS]) {
      const lateMs = latenessOf(delayMs, 0, idleDays * DAY_MS)
      assert.ok(lateMs >= 0 && lateMs <= 2147.6, `after ${idleDays} days, delay ${delayMs}: ${lateMs}`)
    }
  }
})

test('wheel: a handle ends with its timer, also when the node is used again', () => {
  const timers = new ManualTimers()
  const { wheel } = timers
  const seen = new Set<number>()
  let handle: TimerHandle = NO_TIMER
  for (let round = 0; round < 1000; round++) {
    const before = handle
    handle = wheel.schedule(10, () => {})
    assert.ok(!seen.has(handle) && Number.isSafeInteger(handle))
    seen.add(handle)
    assert.equal(wheel.cancel(before), false)
    assert.equal(wheel.rearm(before, 5), false)
    assert.equal(wheel.remainingMs(before), undefined)
    if (round % 2 === 0) assert.equal(wheel.cancel(handle), true)
    else timers.run(20)
  }
  assert.deepEqual(wheel.stats, { scheduled: 0, fired: 500, late: 0, cancelled: 500 })
  assert.equal(wheel.cancel(1e15 as TimerHandle), false)
  for (let sentinel = 0; sentinel < 1538; sentinel++) assert.equal(wheel.cancel(sentinel as TimerHandle), false)
})

test('wheel: rearm keeps the handle and starts the delay anew, sooner or later', () => {
  const timers = new ManualTimers()
  const fired: number[] = []
  const handle = timers.wheel.schedule(100, () => fired.push(timers.clock.nowMs()))
  for (let round = 0; round < 50; round++) {
    timers.run(90)
    assert.equal(timers.wheel.rearm(handle, 100), true)
  }
  assert.deepEqual(fired, [])
  timers.wheel.rearm(handle, 40_000)
  timers.run(1000)
  timers.wheel.rearm(handle, 8)
  timers.run(13)
  assert.equal(fired.length, 1)
  assert.equal(timers.wheel.rearm(handle, 8), false)
})

test('wheel: a callback re-arms its own timer, and that repeats', () => {
  const timers = new ManualTimers()
  const gapsMs: number[] = []
  let lastMs = 0
  const handle = timers.wheel.schedule(50, () => {
    gapsMs.push(timers.clock.nowMs() - lastMs)
    lastMs = timers.clock.nowMs()
    assert.equal(timers.wheel.cancel(handle), false, 'being fired is not pending')
    assert.equal(timers.wheel.remainingMs(handle), 0)
    if (gapsMs.length < 10) assert.equal(timers.wheel.rearm(handle, 50), true)
  })
  timers.run(2000)
  assert.equal(gapsMs.length, 10)
  for (const gapMs of gapsMs) assert.ok(gapMs >= 50 && gapMs <= 50 + TICK_MS + 0.02, String(gapMs))
  assert.equal(timers.wheel.rearm(handle, 1), false)
})

test('wheel: a callback re-arms, cancels and replaces its own timer', () => {
  const timers = new ManualTimers()
  const { wheel } = timers
  const fired: string[] = []
  let replacement: TimerHandle = NO_TIMER
  const handle = wheel.schedule(10, () => {
    fired.push('first')
    assert.equal(wheel.rearm(handle, 10), true)
    assert.equal(wheel.cancel(handle), true)
    replacement = wheel.schedule(10, (word: string) => fired.push(word), 'second')
  })
  timers.run(11 + TICK_MS)
  assert.deepEqual(fired, ['first'])
  assert.notEqual(wheel.remainingMs(replacement), undefined, 'the replacement outlives the callback')
  timers.run(100)
  assert.deepEqual(fired, ['first', 'second'])
})

test('wheel: a callback cancels and delays timers that are due in the same slot', () => {
  const timers = new ManualTimers()
  const { wheel } = timers
  const fired: string[] = []
  wheel.schedule(10, () => {
    fired.push('a')
    wheel.cancel(doomed)
    wheel.rearm(delayed, 500)
  })
  const doomed = wheel.schedule(10, () => fired.push('doomed'))
  const delayed = wheel.schedule(10, () => fired.push('delayed'))
  wheel.schedule(10, () => fired.push('b'))
  timers.run(100)
  assert.deepEqual(fired, ['a', 'b'])
  timers.run(500)
  assert.deepEqual(fired, ['a', 'b', 'delayed'])
})

test('wheel: what a callback throws goes to onError, and the rest still fire', () => {
  const errors: unknown[] = []
  const timers = new ManualTimers({ onError: (error) => errors.push(error) })
  let fired = 0
  for (let index = 0; index < 10; index++) {
    timers.wheel.schedule(5, () => {
      fired++
      if (index % 3 === 0) throw new Error(`timer ${index}`)
    })
  }
  timers.run(20)
  assert.equal(fired, 10)
  assert.deepEqual(
    errors.map(String),
    [0, 3, 6, 9].map((index) => `Error: timer ${index}`),
  )
  assert.equal(timers.wheel.stats.scheduled, 0)
})

test('wheel: a timer armed at the end of a long callback is not early', () => {
  const timers = new ManualTimers()
  let armedMs = 0
  let firedMs = 0
  timers.wheel.schedule(5, () => {
    timers.clock.advance(700)
    armedMs = timers.clock.nowMs()
    timers.wheel.schedule(100, () => {
      firedMs = timers.clock.nowMs()
    })
  })
  timers.run(2000)
  const lateMs = firedMs - armedMs - 100
  assert.ok(lateMs >= 0 && lateMs <= TICK_MS + 0.02, String(lateMs))
})

test('wheel: a callback may not advance its own wheel', () => {
  const errors: unknown[] = []
  const timers = new ManualTimers({ onError: (error) => errors.push(error) })
  timers.wheel.schedule(5, () => timers.wheel.advance(timers.clock.nowMs(), 1))
  timers.run(20)
  assert.ok(errors[0] instanceof AssertionError)
})

test('wheel: a full table takes no more, one free place takes one', () => {
  for (const timersMax of [1, 511, 512, 513, 5000]) {
    const { wheel } = new ManualTimers({ timersMax })
    const handles = Array.from({ length: timersMax }, () => wheel.schedule(1000, () => {}))
    const full = { code: 'TIMER_TABLE_FULL', details: { timersMax } }
    assert.deepEqual(
      codeOf(() => wheel.schedule(1, () => {})),
      full,
    )
    assert.equal(wheel.cancel(handles[timersMax >> 1] as TimerHandle), true)
    wheel.schedule(1, () => {})
    assert.deepEqual(
      codeOf(() => wheel.schedule(1, () => {})),
      full,
    )
    assert.equal(wheel.stats.scheduled, timersMax)
  }
})

test('wheel: a turn touches at most its budget, the rest follows in the next turns', () => {
  const timers = new ManualTimers({ budget: 10 })
  const turns = new Map<number, number>()
  let fired = 0
  for (let index = 0; index < 95; index++) {
    timers.wheel.schedule(20 + (index % 3), () => {
      fired++
      turns.set(timers.turns, (turns.get(timers.turns) ?? 0) + 1)
    })
  }
  timers.run(30)
  assert.equal(fired, 95)
  assert.ok(turns.size >= 10 && Math.max(...turns.values()) === 10)
})

test('wheel: only what fires more than 250 ms after its slot counts as late', () => {
  for (const [lateMs, late] of [
    [0, 0],
    [249, 0],
    [262, 1],
    [5000, 1],
  ] as const) {
    const clock = new ManualClock()
    const host = { armed: false, arm(): void {}, soon(): void {}, disarm(): void {} }
    const wheel = new TimerWheel({ clock, host, onError: (error) => assert.ifError(error) })
    wheel.schedule(20_000, () => {})
    assert.equal(wheel.advance(clock.nowMs(), 10), 0)
    clock.advance(Math.ceil(20_000 / 134.217728) * 134.217728 + lateMs)
    assert.equal(wheel.advance(clock.nowMs(), 10), 1)
    assert.equal(wheel.stats.late, late, `${lateMs} ms`)
  }
})

test('wheel: remainingMs counts down to what would be a safe delay elsewhere', () => {
  const timers = new ManualTimers({ startMs: 77 })
  const handle = timers.wheel.schedule(60_000, () => {})
  const first = timers.wheel.remainingMs(handle) ?? -1
  assert.ok(first >= 60_000 && first <= 60_000 + TICK_MS, String(first))
  timers.run(45_000)
  const second = timers.wheel.remainingMs(handle) ?? -1
  assert.ok(second >= 15_000 && second <= 15_000 + TICK_MS, String(second))
})

test('wheel: a pending timer costs a wake-up for its slot, not one per tick', () => {
  const timers = new ManualTimers()
  timers.wheel.schedule(30_000, () => {})
  timers.run(29_000)
  assert.equal(timers.turns, 1)
  timers.run(60_000)
  assert.equal(timers.turns, 2)
  timers.run(DAY_MS)
  assert.equal(timers.turns, 2)
})

test('wheel: close forgets every timer, wherever it is', () => {
  const timers = new ManualTimers({ budget: 1 })
  for (const delayMs of [1, 1, 1, 5000, 60_000, 10_000_000]) timers.wheel.schedule(delayMs, assert.fail)
  timers.run(0)
  timers.wheel.schedule(3, assert.fail)
  timers.wheel.close()
  timers.run(20_000_000)
  assert.deepEqual(timers.wheel.stats, { scheduled: 0, fired: 0, late: 0, cancelled: 7 })
})
