// Random programs against a model that keeps every timer in a plain map: never early, none lost, none twice.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import type { TimerHandle } from '../../src/timer/wheel.ts'

const REPEATS_MAX = 3

interface Pending {
  readonly handle: TimerHandle
  dueMs: number
  delayMs: number
  repeats: number
}

type Deed =
  | { readonly kind: 'schedule'; readonly delayMs: number; readonly next: readonly Deed[] }
  | { readonly kind: 'cancel' | 'stale'; readonly pick: number }
  | { readonly kind: 'rearm'; readonly pick: number; readonly delayMs: number }
  | { readonly kind: 'rearm-self'; readonly delayMs: number }
  | { readonly kind: 'throw' }

/** Runs deeds on a wheel and on the model, and compares whenever a timer fires. */
class Trial {
  readonly timers: ManualTimers
  readonly pending = new Map<number, Pending>()
  readonly #gone: TimerHandle[] = []
  readonly #budget: number
  #nextId = 0
  #turn = -1
  #firedInTurn = 0

  constructor(budget: number) {
    this.#budget = budget
    this.timers = new ManualTimers({
      budget,
      startMs: 12.25,
      timersMax: 4000,
      onError: (error) => {
        if (error !== 'thrown on purpose') throw error
      },
    })
  }

  perform(deed: Deed, self?: { id: number; entry: Pending }): void {
    const { wheel, clock } = this.timers
    switch (deed.kind) {
      case 'schedule': {
        const id = this.#nextId++
        const handle = wheel.schedule(deed.delayMs, () => this.#fired(id, deed.next))
        this.pending.set(id, { handle, delayMs: deed.delayMs, dueMs: clock.nowMs() + deed.delayMs, repeats: 0 })
        return
      }
      case 'cancel': {
        const chosen = this.#choose(deed.pick)
        if (chosen === undefined) return
        assert.equal(wheel.cancel(chosen.entry.handle), true)
        this.#forget(chosen.id, chosen.entry)
        return
      }
      case 'stale': {
        const handle = this.#gone[deed.pick % Math.max(1, this.#gone.length)]
        if (handle === undefined || handle === self?.entry.handle) return
        assert.equal(wheel.cancel(handle), false)
        assert.equal(wheel.rearm(handle, 1), false)
        return
      }
      case 'rearm': {
        const chosen = this.#choose(deed.pick)
        if (chosen === undefined) return
        assert.equal(wheel.rearm(chosen.entry.handle, deed.delayMs), true)
        chosen.entry.delayMs = deed.delayMs
        chosen.entry.dueMs = clock.nowMs() + deed.delayMs
        return
      }
      case 'rearm-self': {
        if (self === undefined) return
        const entry = this.pending.get(self.id) ?? self.entry
        // Once cancelled after its first re-arming, the timer is gone.
        if (entry.repeats++ >= REPEATS_MAX || !wheel.rearm(entry.handle, deed.delayMs)) return
        entry.delayMs = deed.delayMs
        entry.dueMs = clock.nowMs() + deed.delayMs
        this.pending.set(self.id, entry)
        const gone = this.#gone.indexOf(entry.handle)
        if (gone >= 0) this.#gone.splice(gone, 1)
        return
      }
      case 'throw':
        if (self !== undefined) throw 'thrown on purpose'
    }
  }

  run(ms: number): void {
    this.timers.run(ms)
    const nowMs = this.timers.clock.nowMs()
    for (const entry of this.pending.values()) {
      const lost = entry.dueMs + this.#boundMs(entry.delayMs) < nowMs
      assert.ok(!lost, `a timer of ${entry.delayMs} due at ${entry.dueMs} is still pending at ${nowMs}`)
      assert.ok((this.timers.wheel.remainingMs(entry.handle) ?? -1) >= Math.max(0, entry.dueMs - nowMs - 1e-6))
    }
    assert.equal(this.timers.wheel.stats.scheduled, this.pending.size)
  }

  #fired(id: number, next: readonly Deed[]): void {
    const entry = this.pending.get(id)
    assert.ok(entry !== undefined, 'a timer fired that was cancelled or had fired')
    const lateMs = this.timers.clock.nowMs() - entry.dueMs
    assert.ok(lateMs >= 0, `${entry.delayMs} ms: early by ${-lateMs}`)
    assert.ok(lateMs <= this.#boundMs(entry.delayMs), `${entry.delayMs} ms: late by ${lateMs}`)
    this.#firedInTurn = this.#turn === this.timers.turns ? this.#firedInTurn + 1 : 1
    this.#turn = this.timers.turns
    assert.ok(this.#firedInTurn <= this.#budget, 'more than the budget in one turn')
    this.#forget(id, entry)
    for (const deed of next) this.perform(deed, { id, entry })
  }

  #boundMs(delayMs: number): number {
    return (delayMs <= 1000 ? 4.194304 : delayMs <= 34_000 ? 134.217728 : 2147.483648) + 1 / 64
  }

  #choose(pick: number): { id: number; entry: Pending } | undefined {
    const ids = [...this.pending.keys()]
    const id = ids[pick % Math.max(1, ids.length)]
    const entry = id === undefined ? undefined : this.pending.get(id)
    return id === undefined || entry === undefined ? undefined : { id, entry }
  }

  #forget(id: number, entry: Pending): void {
    this.pending.delete(id)
    this.#gone.push(entry.handle)
  }
}

const delayMs = fc.oneof(
  fc.integer({ min: 0, max: 20 }),
  fc.integer({ min: 0, max: 1100 }),
  fc.integer({ min: 900, max: 36_000 }),
  fc.integer({ min: 30_000, max: 3_000_000 }),
  fc.integer({ min: 2_100_000, max: 20_000_000 }),
)
const pick = fc.nat(1000)
const simple: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({ kind: fc.constant('schedule' as const), delayMs, next: fc.constant([]) }),
  fc.record({ kind: fc.constantFrom('cancel' as const, 'stale' as const), pick }),
  fc.record({ kind: fc.constant('rearm' as const), pick, delayMs }),
  fc.record({ kind: fc.constant('rearm-self' as const), delayMs }),
  fc.constant({ kind: 'throw' as const }),
)
const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('schedule' as const), delayMs, next: fc.array(simple, { maxLength: 4 }) }),
  },
  { weight: 1, arbitrary: simple },
)
const quarters = (max: number): fc.Arbitrary<number> => fc.nat(max * 4).map((count) => count / 4)
const passMs = fc.oneof(quarters(10), quarters(2000), quarters(60_000), quarters(5_000_000))
const step = fc.oneof({ weight: 3, arbitrary: fc.array(deed, { maxLength: 8 }) }, { weight: 2, arbitrary: passMs })

function trial(steps: readonly (number | Deed[])[], budget: number): void {
  const trial = new Trial(budget)
  for (const step of steps) {
    if (typeof step === 'number') trial.run(step)
    else for (const deed of step) trial.perform(deed)
  }
  // Ten days are more than the longest delay with all its repetitions (6 hours each): everything must have fired.
  trial.run(864_000_000)
  assert.equal(trial.pending.size, 0)
}

test('wheel: random programs keep every promise of the model', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => trial(steps, Number.MAX_SAFE_INTEGER)),
    { numRuns: 1500 },
  )
})

test('wheel: the promises hold with a budget of a few timers a turn', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), fc.integer({ min: 1, max: 5 }), (steps, budget) =>
      trial(steps, budget),
    ),
    { numRuns: 500 },
  )
})

test('wheel: random loads on a lagging loop are late, but never early and never lost', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(delayMs, quarters(3000)), { minLength: 1, maxLength: 200, size: 'max' }),
      fc.integer({ min: 1, max: 50 }),
      (loads, budget) => {
        const timers = new ManualTimers()
        let pending = 0
        for (const [delay, lagMs] of loads) {
          const atMs = timers.clock.nowMs()
          pending++
          timers.wheel.schedule(delay, () => {
            pending--
            assert.ok(timers.clock.nowMs() >= atMs + delay)
          })
          // The clock moves without a turn: what is due piles up.
          timers.clock.advance(lagMs)
          assert.ok(timers.wheel.advance(timers.clock.nowMs(), budget) <= budget)
        }
        timers.run(86_400_000)
        assert.equal(pending, 0)
        assert.equal(timers.wheel.stats.fired, loads.length)
      },
    ),
    { numRuns: 300 },
  )
})
