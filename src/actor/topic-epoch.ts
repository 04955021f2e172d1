// The epochs that one thread gives the topics that begin on it: each is told from every earlier one, also of an earlier
// process, so that who was there before knows that it missed something.
import type { Clock } from '../lib/clock.ts'

/** Leaves 10 random bits, so that two topics of one millisecond differ; below 2^53 until the year 2255. */
const EPOCHS_PER_MS = 1024

export class TopicEpochs {
  readonly #clock: Pick<Clock, 'wallMs'>
  readonly #random: () => number
  #last = 0

  /** `random`: 0 to below 1. */
  constructor(clock: Pick<Clock, 'wallMs'>, random: () => number) {
    this.#clock = clock
    this.#random = random
  }

  next(): number {
    const epoch = this.#clock.wallMs() * EPOCHS_PER_MS + Math.floor(this.#random() * EPOCHS_PER_MS)
    this.#last = Math.max(this.#last + 1, Math.floor(epoch))
    return this.#last
  }
}
