// The last messages of all channels of a host, for subscribers that move: bounded in time, in bytes and in number, and the
// oldest goes first. What a channel has of it is in order.
import type { Clock } from '../lib/clock.ts'
import type { Channel, KeptMessage } from './channel.ts'

export interface BacklogLimits {
  readonly keptMs: number
  /** Of all channels. */
  readonly keptBytesMax: number
  /** Of one channel. */
  readonly keptMessagesMax: number
}

/** Charged for each message beside its payload: about what V8 needs for it. */
export const KEPT_MESSAGE_BYTES = 160
/** The queue is cut when so many of its places are used up. */
const CUT_PLACES = 1_024

export class Backlog {
  readonly #limits: BacklogLimits
  readonly #clock: Clock
  // A queue with a moving start: shift() would move the rest each time.
  #queue: (KeptMessage | undefined)[] = []
  #start = 0
  #bytes = 0

  constructor(limits: BacklogLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Copies the payload: it may be a small part of a large buffer. */
  keep(channel: Channel, sequence: number, payload: Buffer): void {
    const nowMs = this.#clock.nowMs()
    this.trim(nowMs)
    const { keptBytesMax, keptMessagesMax } = this.#limits
    const bytes = payload.length + KEPT_MESSAGE_BYTES
    const isFull = (): boolean =>
      this.#bytes + bytes > keptBytesMax || (this.#queue.length - this.#start) * KEPT_MESSAGE_BYTES > keptBytesMax
    while (isFull() && this.#dropOldest());
    if (bytes > keptBytesMax || keptMessagesMax === 0) {
      this.clear(channel, sequence)
      return
    }
    const message: KeptMessage = { channel, sequence, keptMs: nowMs, payload: Buffer.from(payload) }
    this.#queue.push(message)
    channel.kept.push(message)
    this.#bytes += bytes
    // Its place in the queue stays until it is the oldest, without the payload.
    if (channel.kept.length > keptMessagesMax) this.#forgetFirst(channel)
  }

  /** Lets go of what is too old. False: nothing is left. */
  trim(nowMs: number): boolean {
    for (;;) {
      const oldest = this.#queue[this.#start]
      if (oldest === undefined) return false
      if (nowMs - oldest.keptMs < this.#limits.keptMs) return true
      this.#dropOldest()
    }
  }

  /** Nothing up to `sequence` can be replayed any more. */
  clear(channel: Channel, sequence: number): void {
    for (const message of channel.kept) this.#forget(message)
    channel.kept.length = 0
    channel.keptFrom = sequence
  }

  #dropOldest(): boolean {
    const oldest = this.#queue[this.#start]
    if (oldest === undefined) return false
    this.#queue[this.#start++] = undefined
    if (oldest.payload !== undefined) this.#forgetFirst(oldest.channel)
    if (this.#start === this.#queue.length || this.#start > CUT_PLACES) {
      this.#queue = this.#queue.slice(this.#start)
      this.#start = 0
    }
    return true
  }

  #forgetFirst(channel: Channel): void {
    const message = channel.kept.shift()
    if (message === undefined) return
    channel.keptFrom = message.sequence
    this.#forget(message)
  }

  #forget(message: KeptMessage): void {
    this.#bytes -= (message.payload?.length ?? 0) + KEPT_MESSAGE_BYTES
    message.payload = undefined
  }
}
