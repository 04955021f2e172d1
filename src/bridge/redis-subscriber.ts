// The channels that one Redis server is to bring, over a connection of their own. What is subscribed stays wanted: after
// each end of the connection all of it is subscribed again, some at a time, and each channel is told as a gap as soon as
// it is: before its next message.
//
//     asked ──▶ subscribed ──(the connection ended)──▶ lost ──▶ confirmed ──(the gap is told)──▶ subscribed
//                                                       ▲ └──▶ refused ─┐
//                                                       └───────────────┘ later

import type { RedisEndpoint } from '../lib/redis-address.ts'
import { NO_TIMER, type TimerHandle } from '../timer/wheel.ts'
import { errorOfFailure } from './bridge-engine.ts'
import { failureOfCommand, failureOfLine, replyCodeOf } from './redis-failure.ts'
import { RedisLine } from './redis-line.ts'
import type { RedisLink } from './redis-link.ts'
import type { RedisEngineOptions } from './redis-options.ts'

/** Channels subscribed again at a time: their confirmations, and what waits for them, are bounded. */
const RESUBSCRIBED_AT_ONCE = 500
/** Pause before a lost channel that the server refused is tried again. */
const RETRY_MS = 1_000

type ChannelState = 'asked' | 'subscribed' | 'lost' | 'confirmed' | 'refused'

export interface RedisSubscriberOptions extends RedisEngineOptions {
  readonly endpoint: RedisEndpoint | undefined
  /** Channels belong to slots of a Cluster. */
  readonly isSharded: boolean
  readonly onMessage: (channel: string, payload: Buffer) => void
  readonly onGap: (channels: readonly string[]) => void
  readonly onUp: () => void
  readonly onDown: (problem: string) => void
  readonly onReconnect: () => void
  /** Some of its channels belong to another server now. */
  readonly onMoved: () => void
}

export class RedisSubscriber {
  readonly line: RedisLine
  readonly #options: RedisSubscriberOptions
  readonly #channels = new Map<string, ChannelState>()
  #lost = 0
  #isResubscribing = false
  #retryTimer: TimerHandle = NO_TIMER

  constructor(options: RedisSubscriberOptions) {
    this.#options = options
    this.line = new RedisLine({
      ...options,
      onUp: this.#onUp,
      onDown: this.#onDown,
      onMessage: this.#onMessage,
      onMoved: options.isSharded ? this.#onMoved : undefined,
    })
  }

  /** It is connected, and nothing is lost. */
  get isUp(): boolean {
    return this.line.link !== undefined && this.#lost === 0
  }

  get channels(): IterableIterator<string> {
    return this.#channels.keys()
  }

  has(channel: string): boolean {
    return this.#channels.has(channel)
  }

  /** It was confirmed once: whoever asked for it counts on it. */
  isPromised(channel: string): boolean {
    return this.#channels.has(channel) && this.#channels.get(channel) !== 'asked'
  }

  /** Rejects with a PolyloopError: then it is not subscribed. */
  async subscribe(channel: string): Promise<void> {
    const { link, problem } = this.line
    if (link === undefined) throw errorOfFailure(failureOfLine(problem), 'subscribe')
    this.#channels.set(channel, 'asked')
    try {
      await link.subscribe(channel, this.#options.isSharded)
    } catch (error) {
      // Otherwise it was taken away meanwhile.
      if (this.#channels.get(channel) === 'asked') this.#forget(channel)
      throw errorOfFailure(failureOfCommand(error), 'subscribe')
    }
    if (this.#channels.get(channel) === 'asked') this.#channels.set(channel, 'subscribed')
    // The confirmation came, and then the end of the connection.
    if (this.line.link === link) return
    this.#lose(channel)
    void this.#resubscribe()
  }

  /** Takes over what another server had: it is wanted, and its listeners have missed something. */
  adopt(channels: Iterable<string>): void {
    for (const channel of channels) {
      if (this.#channels.has(channel)) continue
      this.#channels.set(channel, 'lost')
      this.#lost++
    }
    void this.#resubscribe()
  }

  unsubscribe(channel: string): void {
    if (!this.#forget(channel)) return
    // It may end with the connection instead.
    this.line.link?.unsubscribe(channel, this.#options.isSharded).catch(() => {})
  }

  close(problem: string): void {
    this.#options.wheel.cancel(this.#retryTimer)
    this.#channels.clear()
    this.#lost = 0
    this.line.close(problem)
  }

  readonly #onMessage = (name: Buffer, payload: Buffer): void => {
    const channel = name.toString()
    // Its confirmation came in the same bytes, and will be handled behind them.
    if (this.#lost > 0 && this.#isLost(channel)) this.#found([channel])
    this.#options.onMessage(channel, payload)
  }

  readonly #onUp = (): void => {
    void this.#resubscribe()
    this.#options.onUp()
  }

  readonly #onDown = (problem: string): void => {
    for (const channel of this.#channels.keys()) this.#lose(channel)
    this.#options.onDown(problem)
  }

  /** The server has ended some subscriptions by itself. */
  readonly #onMoved = (): void => {
    const kept = this.line.link?.shardedChannels()
    if (kept === undefined) return
    for (const channel of this.#channels.keys()) if (!kept.has(channel)) this.#lose(channel)
    this.#options.onMoved()
    this.#retryLater()
  }

  async #resubscribe(): Promise<void> {
    if (this.#isResubscribing) return
    this.#isResubscribing = true
    for (;;) {
      const { link } = this.line
      const chunk = this.#some('lost', RESUBSCRIBED_AT_ONCE)
      if (link === undefined || chunk.length === 0) break
      await Promise.all(chunk.map((channel) => this.#subscribeAgain(link, channel)))
      // Those that a message found already are told.
      this.#found(chunk.filter((channel) => this.#channels.get(channel) === 'confirmed'))
    }
    this.#isResubscribing = false
    if (this.#lost > 0) this.#retryLater()
    else if (this.line.link !== undefined) this.#options.onUp()
  }

  async #subscribeAgain(link: RedisLink, channel: string): Promise<void> {
    try {
      await link.subscribe(channel, this.#options.isSharded)
      if (this.line.link === link && this.#channels.get(channel) === 'lost') this.#channels.set(channel, 'confirmed')
    } catch (error) {
      // With the connection's end it stays lost, and has its turn with the next one.
      const code = replyCodeOf(error)
      if (code === '' || this.#channels.get(channel) !== 'lost') return
      this.#channels.set(channel, 'refused')
      if (code === 'MOVED') this.#options.onMoved()
    }
  }

  #retryLater(): void {
    if (this.#retryTimer === NO_TIMER) this.#retryTimer = this.#options.wheel.schedule(RETRY_MS, this.#retry)
  }

  readonly #retry = (): void => {
    this.#retryTimer = NO_TIMER
    for (const channel of this.#some('refused', this.#channels.size)) this.#channels.set(channel, 'lost')
    void this.#resubscribe()
  }

  #some(state: ChannelState, countMax: number): string[] {
    const found: string[] = []
    if (this.#lost === 0) return found
    for (const [channel, current] of this.#channels) {
      if (found.length >= countMax) break
      if (current === state) found.push(channel)
    }
    return found
  }

  /** They are subscribed again. */
  #found(channels: readonly string[]): void {
    if (channels.length === 0) return
    for (const channel of channels) this.#channels.set(channel, 'subscribed')
    this.#lost -= channels.length
    this.#options.onGap(channels)
  }

  #isLost(channel: string): boolean {
    const state = this.#channels.get(channel)
    return state === 'lost' || state === 'confirmed'
  }

  #lose(channel: string): void {
    const state = this.#channels.get(channel)
    // What is only asked for is not promised yet.
    if (state === undefined || state === 'asked') return
    if (state === 'subscribed') this.#lost++
    this.#channels.set(channel, 'lost')
  }

  #forget(channel: string): boolean {
    const state = this.#channels.get(channel)
    if (state !== undefined && state !== 'asked' && state !== 'subscribed') this.#lost--
    return this.#channels.delete(channel)
  }
}
