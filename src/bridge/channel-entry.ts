// A channel as one thread hears it: one handle towards the bridge's thread, any number of listeners.
import type { ChannelListener, ChannelPosition, ChannelSubscription } from './bridge.ts'

/** One listener of a channel. */
export class Subscription implements ChannelSubscription {
  readonly confirmed: Promise<void>
  readonly listener: ChannelListener
  readonly entry: ChannelEntry
  /**
   *     joining ──▶ live ──▶ ended
   *        └─────────────────▲
   * While it joins, it gets nothing but what is replayed for it.
   */
  state: 'joining' | 'live' | 'ended' = 'joining'
  position: ChannelPosition | undefined
  readonly #onEnd: (subscription: Subscription, isMoving: boolean) => void

  constructor(
    entry: ChannelEntry,
    listener: ChannelListener,
    join: (subscription: Subscription) => Promise<void>,
    onEnd: (subscription: Subscription, isMoving: boolean) => void,
  ) {
    this.entry = entry
    this.listener = listener
    this.#onEnd = onEnd
    this.confirmed = join(this)
  }

  end(isMoving = false): void {
    if (this.state !== 'ended') this.#onEnd(this, isMoving)
  }
}

export class ChannelEntry {
  readonly name: string
  /** Names it in records, to the bridge's thread and back. */
  readonly handle: number
  readonly subscriptions = new Set<Subscription>()
  /**
   *     joining ──▶ subscribed ──(the bridge's thread died)──▶ lost ──▶ subscribed
   */
  state: 'joining' | 'subscribed' | 'lost' = 'joining'
  position: ChannelPosition | undefined

  constructor(name: string, handle: number) {
    this.name = name
    this.handle = handle
  }
}
