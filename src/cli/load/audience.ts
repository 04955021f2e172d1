// The subscribers of one thread, or its members of a room, and what they should have heard: the acknowledged messages of
// all threads. Waits with the end of the run until they have, and tells who has not.
import type { Clock } from '../../lib/clock.ts'
import type { LinkListener } from './link.ts'
import type { MessagePattern } from './message.ts'
import type { Follower, SubscriberOwner } from './subscriber.ts'
import type { Tally } from './tally.ts'
import { COUNTER, counterRow, sumOf } from './thread-message.ts'

/** What hears of a member that may send, too. `received` is told of the member's own messages only. */
export type MemberListener = Pick<LinkListener, 'opened' | 'received' | 'failed' | 'closed'>

export interface AudienceOptions {
  readonly clock: Clock
  readonly errors: Tally
  readonly pattern: MessagePattern
  readonly counters: SharedArrayBuffer
  readonly thread: number
  /** For people: `subscriber`. */
  readonly follower: string
  /** A subscriber has opened, or failed to. */
  settled(): void
}

export class Audience implements SubscriberOwner {
  readonly errors: Tally
  readonly pattern: MessagePattern
  lastPushMs = 0
  readonly #clock: Clock
  readonly #counters: SharedArrayBuffer
  readonly #row: Float64Array
  readonly #settled: () => void
  readonly #follower: string
  readonly #followers = new Set<Follower>()

  constructor({ clock, errors, pattern, counters, thread, follower, settled }: AudienceOptions) {
    this.#clock = clock
    this.errors = errors
    this.pattern = pattern
    this.#counters = counters
    this.#row = counterRow(counters, thread)
    this.#follower = follower
    this.#settled = settled
  }

  add(follower: Follower): void {
    this.#followers.add(follower)
  }

  /** What the sender's listener hears, of one that is a follower as long as it is open. */
  listenerOf(follower: () => Follower, listener: MemberListener): MemberListener {
    return {
      opened: () => {
        this.add(follower())
        listener.opened()
      },
      received: (bytes, start, end) => listener.received(bytes, start, end),
      failed: (sequence, kind, detail) => listener.failed(sequence, kind, detail),
      closed: (kind, detail) => {
        this.remove(follower())
        listener.closed(kind, detail)
      },
    }
  }

  remove(follower: Follower): void {
    this.#followers.delete(follower)
  }

  /** No thread expects another acknowledgement, and each subscriber has what there was. */
  get complete(): boolean {
    if (this.#followers.size === 0) return true
    if (sumOf(this.#counters, COUNTER.sending) + sumOf(this.#counters, COUNTER.unanswered) > 0) return false
    const expected = sumOf(this.#counters, COUNTER.right)
    for (const { received } of this.#followers) if (received < expected) return false
    return true
  }

  /** Counts what is missing or too much, now that nothing more is awaited. */
  audit(): void {
    if (this.#followers.size === 0) return
    const expected = sumOf(this.#counters, COUNTER.right)
    // Without an acknowledgement a message may be stored, or not; and one may come while another thread still sends.
    const exact = sumOf(this.#counters, COUNTER.sending) === 0 && expected === sumOf(this.#counters, COUNTER.sent)
    const whom = `for a ${this.#follower}`
    let isComplete = true
    for (const { received } of this.#followers) {
      if (received < expected) {
        isComplete = false
        this.errors.count('lost', whom, expected - received)
      } else if (exact && received > expected) this.errors.count('unexpected', whom, received - expected)
    }
    if (!isComplete) return
    for (const { hasOtherOrder } of this.#followers) if (hasOtherOrder === true) this.errors.count('reordered', whom)
  }

  close(): void {
    for (const follower of this.#followers) follower.close()
  }

  subscribed(): void {
    this.#count(COUNTER.subscribed)
    this.#settled()
  }

  pushed(): void {
    this.lastPushMs = this.#clock.nowMs()
    this.#count(COUNTER.pushed)
  }

  unsubscribed(follower: Follower, wasOpen: boolean): void {
    this.#followers.delete(follower)
    if (!wasOpen) this.#settled()
  }

  #count(counter: number): void {
    this.#row[counter] = (this.#row[counter] ?? 0) + 1
  }
}
