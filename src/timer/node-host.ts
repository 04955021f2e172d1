// Drives a timer wheel with Node's event loop: one unref'd timeout to the next occupied slot, one immediate at the end
// of a turn that armed timers. It knows no wheel.
import type { TimerHost } from './host.ts'

class NodeTimerHost implements TimerHost {
  armed = false
  readonly #onTick: () => void
  #timeout: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined

  constructor(onTick: () => void) {
    this.#onTick = onTick
  }

  arm(delayMs: number): void {
    clearTimeout(this.#timeout)
    this.armed = true
    this.#timeout = setTimeout(this.#woken, Math.ceil(delayMs))
    // Pending timers alone keep no process alive: connections and ports do.
    this.#timeout.unref()
  }

  soon(): void {
    // Not unref'd: an unref'd immediate waits until something else ends the poll. It lasts for one turn only.
    this.#immediate ??= setImmediate(this.#turnEnded)
  }

  disarm(): void {
    clearTimeout(this.#timeout)
    clearImmediate(this.#immediate)
    this.armed = false
    this.#timeout = undefined
    this.#immediate = undefined
  }

  readonly #woken = (): void => {
    this.armed = false
    this.#timeout = undefined
    this.#onTick()
  }

  readonly #turnEnded = (): void => {
    this.#immediate = undefined
    this.#onTick()
  }
}

/** `onTick` should call `wheel.advance(clock.nowMs(), budget)`. */
export function createNodeTimerHost(onTick: () => void): TimerHost {
  return new NodeTimerHost(onTick)
}
