// How long to wait before a thread is started again. Pure: time and chance are passed in.

export interface RestartLimits {
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** A thread that was ready for so long was healthy: its next failure is a first one again. */
  readonly healthyAfterMs: number
}

export class RestartPolicy {
  readonly #limits: RestartLimits
  readonly #random: () => number
  #failures = 0

  constructor(limits: RestartLimits, random: () => number) {
    this.#limits = limits
    this.#random = random
  }

  /** The first restart is at once; each further one waits twice as long, give or take a quarter. */
  nextDelayMs(readyForMs: number): number {
    if (readyForMs >= this.#limits.healthyAfterMs) this.#failures = 0
    const failures = this.#failures++
    if (failures === 0) return 0
    const { backoffMinMs, backoffMaxMs } = this.#limits
    const delayMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** (failures - 1))
    // Threads that fell together must not all come back together.
    return delayMs * (0.75 + this.#random() / 2)
  }
}
