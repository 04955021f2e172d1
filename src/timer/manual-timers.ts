// A wheel whose time stands still until told: for tests of whatever uses timers. It plays the event loop, turn by turn.
import { ManualClock } from '../lib/clock.ts'
import type { TimerHost } from './host.ts'
import { TimerWheel } from './wheel.ts'

class ManualHost implements TimerHost {
  armed = false
  wanted = false
  wakeAtMs = 0
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  arm(delayMs: number): void {
    this.armed = true
    // Up to 1/64 ms, as a real host rounds: a delay too small to move the clock would never end.
    this.wakeAtMs = Math.ceil((this.#clock.nowMs() + delayMs) * 64) / 64
  }

  soon(): void {
    this.wanted = true
  }

  disarm(): void {
    this.armed = false
    this.wanted = false
  }
}

export interface ManualTimersOptions {
  readonly startMs?: number
  /** Timers touched in one turn; default no limit. */
  readonly budget?: number
  readonly timersMax?: number
  /** Default: what a callback throws comes out of `run`. */
  readonly onError?: (error: unknown) => void
}

export class ManualTimers {
  readonly clock: ManualClock
  readonly wheel: TimerWheel
  /** Wake-ups so far. */
  turns = 0
  readonly #host: ManualHost
  readonly #budget: number
  readonly #errors: unknown[] = []

  constructor(options: ManualTimersOptions = {}) {
    this.clock = new ManualClock(options.startMs ?? 0)
    this.#host = new ManualHost(this.clock)
    this.#budget = options.budget ?? Number.MAX_SAFE_INTEGER
    this.wheel = new TimerWheel({
      clock: this.clock,
      host: this.#host,
      onError: options.onError ?? ((error) => this.#errors.push(error)),
      ...(options.timersMax === undefined ? {} : { timersMax: options.timersMax }),
    })
  }

  /** Lets `ms` pass and fires what falls due, each timer at its own time. `run(0)` ends the current turn. */
  run(ms: number): void {
    const endMs = this.clock.nowMs() + ms
    for (;;) {
      if (this.#host.wanted) this.#turn()
      else if (this.#host.armed && this.#host.wakeAtMs <= endMs) {
        this.clock.advance(Math.max(0, this.#host.wakeAtMs - this.clock.nowMs()))
        this.#host.armed = false
        this.#turn()
      } else break
    }
    this.clock.advance(endMs - this.clock.nowMs())
  }

  #turn(): void {
    this.#host.wanted = false
    this.turns++
    this.wheel.advance(this.clock.nowMs(), this.#budget)
    const error = this.#errors.shift()
    if (error !== undefined) throw error
  }
}
