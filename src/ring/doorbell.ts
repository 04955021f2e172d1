// Who has data for whom, and who sleeps: one block of shared words for all threads. Says when a wake-up is due, not how
// it is sent (bell.ts).
//
// No lost wake-up, because each side publishes first and looks second:
//   producer: store TAIL, set its source bit, then swap SLEEPING to 0, and ring if it was 1
//   consumer: store SLEEPING = 1, then read the source bits once more, and wait only if there are none
// All of these are sequentially consistent, so in the one order of all of them either the producer's bit comes before
// the consumer's look, which then sees it, or SLEEPING = 1 comes before the producer's swap, which then rings.
// Swapping either pair brings the hang back: doorbell.test.ts runs every interleaving of both.
import { assert } from '../lib/assert.ts'
import { THREADS_MAX } from '../lib/thread.ts'
import { LINE_BYTES } from './record.ts'

/** 32 sources to a word. */
export const SOURCE_WORDS = Math.ceil(THREADS_MAX / 32)

/** Two lines a thread: the sleeping word is written rarely and read by all, the source bits are written often. */
const THREAD_WORDS = (2 * LINE_BYTES) / 4
const SOURCES_OFFSET = LINE_BYTES / 4

export const Doorbells = {
  /** The block of all threads, about 34 KiB; main allocates it once for the life of the process. */
  allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(THREADS_MAX * THREAD_WORDS * 4)
  },
}

/** The doorbells as thread `self` uses them: its own to listen at, the others' to press. */
export class Doorbell {
  readonly words: Int32Array
  readonly self: number
  readonly #own: number
  readonly #bitWord: number
  readonly #bit: number

  /** Resets the sleeping word, which may still be 1 from a predecessor that died asleep. */
  constructor(memory: SharedArrayBuffer, self: number) {
    assert(self >= 0 && self < THREADS_MAX, 'a thread index is below THREADS_MAX')
    this.words = new Int32Array(memory)
    this.self = self
    this.#own = self * THREAD_WORDS
    this.#bitWord = SOURCES_OFFSET + (self >>> 5)
    this.#bit = 1 << (self & 31)
    this.awake()
  }

  // Producer ----------------------------------------------------------------------------------------------------------

  /** After publishing: marks this thread as a source of `target`. */
  mark(target: number): void {
    const word = target * THREAD_WORDS + this.#bitWord
    // A bit that is set still was set after the tail was stored: whoever takes it will see that tail. Looking is cheaper
    // than a locked `or` when the consumer is behind.
    if ((Atomics.load(this.words, word) & this.#bit) === 0) Atomics.or(this.words, word, this.#bit)
  }

  /** After `mark`: true if `target` slept, and this caller must ring. At most one producer is told so per sleep. */
  takeSleeper(target: number): boolean {
    const word = target * THREAD_WORDS
    if (Atomics.load(this.words, word) === 0) return false
    return Atomics.exchange(this.words, word, 0) === 1
  }

  /** Where `Atomics.waitAsync` waits for that thread. */
  sleepingIndex(thread: number): number {
    return thread * THREAD_WORDS
  }

  // Consumer ----------------------------------------------------------------------------------------------------------

  /** Calls `onSource` for each thread that marked itself since the last time, and clears the marks. Read rings after it. */
  take(onSource: (source: number) => void): void {
    for (let index = 0; index < SOURCE_WORDS; index++) {
      const word = this.#own + SOURCES_OFFSET + index
      if (Atomics.load(this.words, word) === 0) continue
      let bits = Atomics.exchange(this.words, word, 0)
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits)
        bits &= ~(1 << bit)
        onSource(index * 32 + bit)
      }
    }
  }

  /** First step to sleep: from here on producers ring. */
  asleep(): void {
    Atomics.store(this.words, this.#own, 1)
  }

  /** Second step: true if a source marked itself meanwhile; then call `awake` and go on. */
  hasMarks(): boolean {
    for (let index = 0; index < SOURCE_WORDS; index++) {
      if (Atomics.load(this.words, this.#own + SOURCES_OFFSET + index) !== 0) return true
    }
    return false
  }

  /** Takes the sleeping word back. A producer may have been faster: then its ring comes and finds nothing to do. */
  awake(): void {
    Atomics.store(this.words, this.#own, 0)
  }
}
