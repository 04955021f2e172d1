// Whether a client is still there: pings it, and notices when nothing comes any more. One timer on the shard's wheel.
//
//   at each timer:  silent for `timeoutMs` ──▶ dead()     time for a ping ──▶ ping()     else: too early, look again
import type { Clock } from '../../lib/clock.ts'

export interface HeartbeatOptions {
  readonly clock: Clock
  readonly after: (delayMs: number, callback: () => void) => () => void
  readonly intervalMs: number
  readonly timeoutMs: number
}

export interface Pulse {
  /** Nothing can come: we do not read from it. */
  readonly paused: boolean
  ping(): void
  dead(): void
}

export interface FrozenHeartbeat {
  readonly heardMs: number
  readonly pingMs: number
}

export class Heartbeat {
  /** When something came last. */
  heardMs: number
  #pingMs: number
  readonly #options: HeartbeatOptions
  readonly #pulse: Pulse
  #cancel: () => void = () => {}

  /** `frozen`: how it was in another thread; clocks are the same in all of them. */
  constructor(options: HeartbeatOptions, pulse: Pulse, frozen?: FrozenHeartbeat) {
    const nowMs = options.clock.nowMs()
    this.#options = options
    this.#pulse = pulse
    this.heardMs = frozen?.heardMs ?? nowMs
    this.#pingMs = frozen?.pingMs ?? nowMs + options.intervalMs
    this.#arm(nowMs)
  }

  freeze(): FrozenHeartbeat {
    this.stop()
    return { heardMs: this.heardMs, pingMs: this.#pingMs }
  }

  stop(): void {
    this.#cancel()
  }

  #look(): void {
    const { clock, intervalMs, timeoutMs } = this.#options
    const nowMs = clock.nowMs()
    if (this.#pulse.paused) this.heardMs = nowMs
    else if (nowMs - this.heardMs >= timeoutMs) {
      this.#pulse.dead()
      return
    }
    if (nowMs >= this.#pingMs) {
      this.#pingMs = nowMs + intervalMs
      this.#pulse.ping()
    }
    this.#arm(nowMs)
  }

  #arm(nowMs: number): void {
    const nextMs = Math.min(this.#pingMs, this.heardMs + this.#options.timeoutMs)
    this.#cancel = this.#options.after(Math.max(1, nextMs - nowMs), () => this.#look())
  }
}
