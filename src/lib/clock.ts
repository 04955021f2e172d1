// Time, passed in and never reached for. Knows nothing of timers.

// The global of this name is an accessor: it would be called with each reading.
import { performance } from 'node:perf_hooks'

export interface Clock {
  /** Monotonic milliseconds with fractions; the same origin in every thread of the process. */
  nowMs(): number
  /** Milliseconds since 1970. */
  wallMs(): number
}

// performance.now() starts at zero in each thread; hrtime is one clock for the process. One offset joins them, and
// performance.now() is the cheaper call.
const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

export const systemClock: Clock = {
  nowMs: () => performance.now() + offsetMs,
  wallMs: () => Date.now(),
}

/** A clock that stands still until told: tests never sleep. */
export class ManualClock implements Clock {
  #nowMs: number
  readonly #wallStartMs: number

  constructor(startMs = 0, wallStartMs = 1_767_225_600_000) {
    this.#nowMs = startMs
    this.#wallStartMs = wallStartMs - startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs
  }

  advance(ms: number): void {
    this.#nowMs += ms
  }
}
