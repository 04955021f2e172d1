// Relays that are behind, because the way to them was full: they get what they missed, as far as it is kept, when there is
// room again.
import type { Clock } from '../lib/clock.ts'
import { NO_TIMER, type TimerHandle, type TimerWheel } from '../timer/wheel.ts'
import type { TopicEntry } from './topic-entry.ts'
import type { Interest } from './topic-frozen.ts'
import type { TopicHome } from './topic-home.ts'
import { RIGHT } from './topic-record.ts'

const RETRY_MS = 20
const BURST_MAX = 1_024

export interface LaggardOptions {
  readonly clock: Clock
  readonly wheel: TimerWheel
  /** False: the way is full. */
  readonly sendMessage: (home: TopicHome, interest: Interest, entry: TopicEntry) => boolean
  /** Messages from `behindFrom` to `to` are lost. False: the way is full. */
  readonly sendLost: (home: TopicHome, interest: Interest, to: number) => boolean
}

export class TopicLaggards {
  readonly #options: LaggardOptions
  /** Topics with a relay that is behind. */
  readonly #homes = new Set<TopicHome>()
  #timer: TimerHandle = NO_TIMER

  constructor(options: LaggardOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#homes.size
  }

  /** It has a relay that is behind. */
  add(home: TopicHome): void {
    this.#homes.add(home)
    const { wheel } = this.#options
    if (wheel.remainingMs(this.#timer) === undefined) this.#timer = wheel.schedule(RETRY_MS, () => this.#retry())
  }

  delete(home: TopicHome): void {
    this.#homes.delete(home)
  }

  close(): void {
    this.#options.wheel.cancel(this.#timer)
  }

  #retry(): void {
    for (const home of this.#homes) {
      let isBehind = false
      for (const interest of [...home.interests]) if (!this.#catchUp(home, interest)) isBehind = true
      if (!isBehind) this.#homes.delete(home)
    }
    if (this.#homes.size > 0) this.#options.wheel.rearm(this.#timer, RETRY_MS)
  }

  /** Sends what a relay has missed, as far as it is kept and there is room; answers whether it is level. */
  #catchUp(home: TopicHome, interest: Interest): boolean {
    if (interest.behindFrom === 0 || interest.isJoining === true) return true
    const { clock, sendLost, sendMessage } = this.#options
    const first = home.history.first(RIGHT.repair, clock.nowMs())
    if (first > interest.behindFrom) {
      if (!sendLost(home, interest, first - 1)) return false
      interest.behindFrom = first
    }
    for (let burst = 0; burst < BURST_MAX; burst++) {
      const entry = home.history.get(interest.behindFrom)
      if (entry === undefined) {
        interest.behindFrom = 0
        return true
      }
      if (!sendMessage(home, interest, entry)) return false
      interest.behindFrom++
    }
    return false
  }
}
