// Wakes a generator thread at a given time, to some dozen microseconds: Node's timers are a millisecond coarse. A second
// thread sleeps on a futex and rings a port. (Polling is more exact, but the scheduler of a busy machine makes a thread
// pay for it: 20,000 messages a second, four busy threads on two cores, P99 of the delay 487 ms against 5 ms so.)
//
//   generator: wakeMs = t, ORDER = wake, notify ──► pacer: sleeps until t minus its usual lateness, posts ──► wake()
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../lib/clock.ts'

const ORDER = { none: 0, wake: 1, end: 2 } as const
/** Words of the shared memory: the order, a word that nobody notifies (to sleep on), and the time as a Float64. */
const ORDER_WORD = 0
const SLEEP_WORD = 1
const TIME_AT = 8
const SHARED_BYTES = 16
/** How much of its latest lateness the pacer learns from; a single outlier must not make it spin. */
const LEARNING_SHARE = 0.05
const LATENESS_MS_MAX = 0.2

export class Pacer {
  readonly #worker: Worker
  readonly #words: Int32Array
  readonly #time: Float64Array

  constructor(entry: URL, wake: () => void) {
    const shared = new SharedArrayBuffer(SHARED_BYTES)
    this.#words = new Int32Array(shared, 0, TIME_AT / Int32Array.BYTES_PER_ELEMENT)
    this.#time = new Float64Array(shared, TIME_AT, 1)
    this.#worker = new Worker(entry, { workerData: shared, name: 'load-pacer' })
    this.#worker.on('message', wake)
  }

  /** One wake-up: the next may be ordered after it came. */
  wakeAt(ms: number): void {
    this.#time[0] = ms
    this.#order(ORDER.wake)
  }

  close(): void {
    this.#order(ORDER.end)
  }

  #order(order: number): void {
    Atomics.store(this.#words, ORDER_WORD, order)
    Atomics.notify(this.#words, ORDER_WORD)
  }
}

/** The pacer's own thread: blocks, and returns when the generator closes it. */
export function servePacer(shared: SharedArrayBuffer, clock: Clock, ring: () => void): void {
  const words = new Int32Array(shared, 0, TIME_AT / Int32Array.BYTES_PER_ELEMENT)
  const time = new Float64Array(shared, TIME_AT, 1)
  let latenessMs = 0
  for (;;) {
    Atomics.wait(words, ORDER_WORD, ORDER.none)
    // An end may have overtaken the order to wake.
    if (Atomics.compareExchange(words, ORDER_WORD, ORDER.wake, ORDER.none) === ORDER.end) return
    const sleepMs = (time[0] ?? 0) - clock.nowMs() - latenessMs
    if (sleepMs > 0) {
      Atomics.wait(words, SLEEP_WORD, 0, sleepMs)
      const lateMs = clock.nowMs() - (time[0] ?? 0)
      latenessMs = Math.max(0, Math.min(latenessMs + lateMs * LEARNING_SHARE, LATENESS_MS_MAX))
    }
    ring()
  }
}
