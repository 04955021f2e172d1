// How a sleeper is woken: two ways behind the same functions. bench/ring-round-trip.bench.ts decides which is the default.
import type { MessagePort } from 'node:worker_threads'
import type { Doorbell } from './doorbell.ts'

export type BellKind = 'port' | 'wait-async'

export interface Bell {
  /** Producer, after `takeSleeper` answered true. Bells of a dead thread ring in vain. */
  ring(target: number, port: MessagePort): void
  /** Consumer, asleep and with nothing marked: arranges for `onRing`. False if a producer has rung already. */
  wait(): boolean
  /** Releases what `wait` left behind. */
  close(): void
}

export function createBell(kind: BellKind, doorbell: Doorbell, onRing: () => void): Bell {
  return kind === 'port' ? new PortBell() : new WaitAsyncBell(doorbell, onRing)
}

/** An empty message on the pair's port: it wakes the loop, keeps it alive, and `onRing` is the port's listener. */
class PortBell implements Bell {
  ring(_target: number, port: MessagePort): void {
    port.postMessage(0)
  }

  wait(): boolean {
    return true
  }

  close(): void {}
}

/**
 * `Atomics.waitAsync` on the sleeping word. It does not keep the loop alive: the thread needs another reason to live.
 * Never pass it a timeout: the waiter would leave a delayed task behind for every sleep.
 */
class WaitAsyncBell implements Bell {
  readonly #doorbell: Doorbell
  readonly #onRing: () => void
  #waiting = false
  #closed = false

  constructor(doorbell: Doorbell, onRing: () => void) {
    this.#doorbell = doorbell
    this.#onRing = onRing
  }

  ring(target: number): void {
    Atomics.notify(this.#doorbell.words, this.#doorbell.sleepingIndex(target))
  }

  wait(): boolean {
    // A sleep that ended without a ring (attach, watchdog) has left its waiter behind, and that one serves this sleep.
    if (this.#waiting) return true
    const { words, self } = this.#doorbell
    const result = Atomics.waitAsync(words, this.#doorbell.sleepingIndex(self), 1)
    if (!result.async) return false
    this.#waiting = true
    result.value.then(() => {
      this.#waiting = false
      if (!this.#closed) this.#onRing()
    })
    return true
  }

  close(): void {
    this.#closed = true
    this.#doorbell.awake()
    if (this.#waiting) Atomics.notify(this.#doorbell.words, this.#doorbell.sleepingIndex(this.#doorbell.self))
  }
}
