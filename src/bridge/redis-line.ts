// A way to a Redis server that stays: a link, and after its end the next one, for ever, with a pause that grows.

import type { RedisEndpoint } from '../lib/redis-address.ts'
import { NO_TIMER, type TimerHandle } from '../timer/wheel.ts'
import { RedisLink } from './redis-link.ts'
import { pauseMsOf, type RedisEngineOptions } from './redis-options.ts'

export interface RedisLineOptions extends RedisEngineOptions {
  readonly endpoint: RedisEndpoint | undefined
  readonly onUp: (link: RedisLink) => void
  readonly onDown: (problem: string) => void
  /** It is up again. */
  readonly onReconnect: () => void
  readonly onMessage?: ((channel: Buffer, payload: Buffer) => void) | undefined
  readonly onMoved?: (() => void) | undefined
}

export class RedisLine {
  /** Why there is no link that can be used; empty while there is. */
  problem = 'it is not connected yet'
  readonly #options: RedisLineOptions
  #link: RedisLink | undefined
  #timer: TimerHandle = NO_TIMER
  /** Since the last link that was ready. */
  #attempts = 0
  #wasReady = false
  #isClosed = false

  constructor(options: RedisLineOptions) {
    this.#options = options
    this.#connect()
  }

  /** While it can be used. */
  get link(): RedisLink | undefined {
    return this.#link?.state === 'ready' ? this.#link : undefined
  }

  /** Ends the link; the next one may find another server. */
  restart(problem: string): void {
    this.link?.end(problem)
  }

  close(problem: string): void {
    this.#isClosed = true
    this.#options.wheel.cancel(this.#timer)
    this.#link?.end(problem)
  }

  readonly #connect = (): void => {
    this.#timer = NO_TIMER
    const { onMessage, onMoved } = this.#options
    this.#link = new RedisLink({
      ...this.#options,
      attempt: this.#attempts,
      onReady: this.#onReady,
      onEnded: this.#onEnded,
      onMessage,
      onMoved,
    })
  }

  readonly #onReady = (link: RedisLink): void => {
    if (this.#wasReady) this.#options.onReconnect()
    this.#wasReady = true
    this.#attempts = 0
    this.problem = ''
    this.#options.onUp(link)
  }

  readonly #onEnded = (_link: RedisLink, problem: string): void => {
    this.problem = problem
    if (!this.#isClosed) {
      const pauseMs = pauseMsOf(this.#attempts++, this.#options)
      this.#timer = this.#options.wheel.schedule(pauseMs, this.#connect)
    }
    this.#options.onDown(problem)
  }
}
