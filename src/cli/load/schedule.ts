// When the messages of an open loop are due. The schedule never waits for an answer: that is what makes it open.
import { seededRandom } from './random.ts'

export class Schedule {
  /** When the next message is due. */
  dueMs: number
  readonly #gapMs: number
  readonly #random: (() => number) | undefined
  readonly #startMs: number
  #index = 0

  /** Evenly spaced from `startMs` on; `poisson` draws the pauses from an exponential distribution with the same mean. */
  constructor(startMs: number, ratePerSecond: number, poisson: boolean, seed: number) {
    this.#startMs = startMs
    this.#gapMs = 1_000 / ratePerSecond
    this.#random = poisson ? seededRandom(seed) : undefined
    this.dueMs = startMs
  }

  advance(): void {
    this.#index++
    // Multiplied, not added up: an hour of additions would drift.
    if (this.#random === undefined) this.dueMs = this.#startMs + this.#index * this.#gapMs
    else this.dueMs -= Math.log(1 - this.#random()) * this.#gapMs
  }
}
