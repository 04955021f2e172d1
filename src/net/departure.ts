// A connection that wants to leave its loop: its input is held back until the kernel has taken everything it had to
// say, or until the time for that is over, or its peer takes nothing for `net.closeTimeout`. Made only when a connection
// moves, or its server ends.
import type { TimerHandle } from '../timer/wheel.ts'
import type { EventLoop } from './event-loop.ts'

/** What is held back. */
export interface Departing {
  readonly loop: EventLoop
  /** Everything sent is with the kernel, and the handler knows it. */
  readonly drained: boolean
  /** What the kernel has not taken. */
  unsentBytes(): number
  /** Takes input again, which it has not since `heldMs`. */
  release(heldMs: number): void
}

export class Departure {
  /** Everything has left: the connection may be frozen, now. */
  ready = false
  readonly startMs: number
  readonly #connection: Departing
  readonly #done: (drained: boolean) => void
  #leftMs: number
  #stepMs = 0
  #unsentBytes = 0
  #timer: TimerHandle | undefined

  constructor(connection: Departing, timeoutMs: number, done: (drained: boolean) => void) {
    this.#connection = connection
    this.#done = done
    this.startMs = connection.loop.readClock()
    this.#leftMs = timeoutMs
    this.#wait()
  }

  /** Output has moved. */
  look(): void {
    if (this.ready || this.#timer === undefined || !this.#connection.drained) return
    this.#stopTimer()
    this.ready = true
    this.#done(true)
    this.ready = false
    // Whoever asked did not freeze it.
    this.#connection.release(this.startMs)
  }

  /** So long nothing has ended it. */
  waited(): void {
    this.#leftMs -= this.#stepMs
    const unsentBytes = this.#connection.unsentBytes()
    // Without output it waits for somebody else: the handler's answers.
    const isStuck = unsentBytes > 0 && unsentBytes === this.#unsentBytes
    if (this.#leftMs <= 0 || isStuck) this.fail()
    else this.#wait()
  }

  /** Not now. Told later, so that nobody asks again in the middle of whatever prevents it. */
  fail(): void {
    if (this.#timer === undefined) return
    this.#stopTimer()
    this.#connection.release(this.startMs)
    queueMicrotask(() => this.#done(false))
  }

  #wait(): void {
    const { wheel, limits } = this.#connection.loop
    this.#unsentBytes = this.#connection.unsentBytes()
    this.#stepMs = Math.min(this.#leftMs, limits.closeTimeoutMs)
    this.#timer = wheel.schedule(this.#stepMs, waited, this)
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#connection.loop.wheel.cancel(this.#timer)
    this.#timer = undefined
  }
}

function waited(departure: Departure): void {
  departure.waited()
}
