// Whether a client is still there: pings it, and notices when nothing comes any more. One timer on the shard's wheel.
//
//   at each timer:  silent for `timeoutMs` ──▶ dead()     time for a ping ──▶ ping()     else: too early, look again
import type { Clock } from '../lib/clock.ts'

export interface HeartbeatOptions {
  readonly clock: Clock
  readonly after: (delayMs: number, callback: () => void) => () => void
  readonly intervalMs: number
  readonly timeoutMs: number
}

export interface Pulse {
  /** Nothing can come: we do not read from it. */
  readonly paused: boolean
  /** When something came last; 0: nothing has, here. Also a ping of the client, or a part of a long message. */
  readonly receivedMs: number
  ping(): void
  dead(): void
}

export interface FrozenHeartbeat {
  readonly heardMs: number
  readonly pingMs: number
}

export class Heartbeat {
  /** Nothing is held against the client that came before. */
  #heardMs: number
  #pingMs: number
  readonly #options: HeartbeatOptions
  readonly #pulse: Pulse
  #cancel: () => void = () => {}

  /** `frozen`: how it was in another thread; clocks are the same in all of them. */
  constructor(options: HeartbeatOptions, pulse: Pulse, frozen?: FrozenHeartbeat) {
    const nowMs = options.clock.nowMs()
    this.#options = options
    this.#pulse = pulse
    this.#heardMs = frozen?.heardMs ?? nowMs
    this.#pingMs = frozen?.pingMs ?? nowMs + options.intervalMs
    this.#arm(nowMs)
  }

  freeze(): FrozenHeartbeat {
    this.stop()
    return { heardMs: this.#heard(), pingMs: this.#pingMs }
  }

  stop(): void {
    this.#cancel()
  }

  /** The client is read from again. */
  goOn(): void {
    this.#heardMs = this.#options.clock.nowMs()
  }

  #heard(): number {
    return Math.max(this.#heardMs, this.#pulse.receivedMs)
  }

  #look(): void {
    const { clock, intervalMs, timeoutMs } = this.#options
    const nowMs = clock.nowMs()
    if (this.#pulse.paused) this.#heardMs = nowMs
    else if (nowMs - this.#heard() >= timeoutMs) {
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
    const nextMs = Math.min(this.#pingMs, this.#heard() + this.#options.timeoutMs)
    this.#cancel = this.#options.after(Math.max(1, nextMs - nowMs), () => this.#look())
  }
}
