// How long a connection waits for its peer: for traffic while it is open, for the peer's part of the good-bye at its
// end. One timer on the wheel. Knows nothing of bytes but how many wait.
import type { TimerHandle, TimerWheel } from '../timer/wheel.ts'

/** Whose patience it is. */
export interface Patient {
  /** Bytes the kernel has not taken; while they get fewer the peer reads. */
  unsentBytes(): number
  /** No byte went either way for `timeoutMs`. */
  silent(): void
  /** The end does not come, and no output moves. */
  abandoned(): void
  readonly loop: {
    readonly wheel: TimerWheel
    readonly limits: { readonly closeTimeoutMs: number }
    readClock(): number
  }
}

export class Patience {
  /** When a byte last went either way. Traffic only notes it: see `#fired`. */
  activeMs: number
  /** When bytes came in last; 0: none have, in this loop. */
  receivedMs = 0
  /** How long the peer may be silent; 0: for ever. */
  timeoutMs = 0
  readonly #patient: Patient
  #timer: TimerHandle | undefined
  #ending = false
  /** What was unsent when that was last asked. */
  #unsentBytes = 0

  constructor(patient: Patient, nowMs: number) {
    this.#patient = patient
    this.activeMs = nowMs
  }

  /** Lets `timeoutMs` run from now on. */
  start(): void {
    this.#arm(this.timeoutMs)
  }

  stop(): void {
    this.#arm(0)
  }

  received(nowMs: number): void {
    this.activeMs = nowMs
    this.receivedMs = nowMs
  }

  /** How long nothing had gone either way at `atMs`. */
  silentMs(atMs: number): number {
    return Math.max(0, atMs - this.activeMs)
  }

  /** Goes on, `silentMs` of its timeout having gone by. */
  goOn(silentMs: number): void {
    if (this.#ending) return
    this.activeMs = this.#patient.loop.readClock() - silentMs
    this.#arm(this.timeoutMs === 0 ? 0 : Math.max(1, this.timeoutMs - silentMs))
  }

  /** From now on it waits for the end, `net.closeTimeout` behind the last output that moved. */
  expectEnd(): void {
    this.#ending = true
    this.outputMoves()
    this.#arm(this.#patient.loop.limits.closeTimeoutMs)
  }

  /** Whether the kernel took some of a backlog since this was last asked. */
  outputMoves(): boolean {
    const unsentBytes = this.#patient.unsentBytes()
    const moved = unsentBytes > 0 && unsentBytes !== this.#unsentBytes
    this.#unsentBytes = unsentBytes
    return moved
  }

  fired(): void {
    this.#timer = undefined
    const patient = this.#patient
    const moves = this.outputMoves()
    if (this.#ending) {
      // Output that still moves is not cut off: the peer is slow, but it reads.
      if (moves) this.#arm(patient.loop.limits.closeTimeoutMs)
      else patient.abandoned()
      return
    }
    // Traffic only notes the time; the timer moves when it fires. That makes a re-arm one store instead of a wheel
    // operation per message, and is never early.
    const nowMs = patient.loop.readClock()
    if (moves) this.activeMs = nowMs
    const leftMs = this.activeMs + this.timeoutMs - nowMs
    if (leftMs > 0) {
      this.#arm(leftMs)
      return
    }
    this.activeMs = nowMs
    this.#arm(this.timeoutMs)
    patient.silent()
  }

  #arm(ms: number): void {
    const { wheel } = this.#patient.loop
    if (ms === 0) {
      if (this.#timer !== undefined) wheel.cancel(this.#timer)
      this.#timer = undefined
    } else if (this.#timer === undefined || !wheel.rearm(this.#timer, ms)) {
      this.#timer = wheel.schedule(ms, fire, this)
    }
  }
}

function fire(patience: Patience): void {
  patience.fired()
}
