// The subscribers of one thread, and what they should have heard: the acknowledged messages of all threads. Waits with
// the end of the run until they have, and tells who has not.
import type { Clock } from '../../lib/clock.ts'
import type { LinkAddress } from './link.ts'
import type { MessagePattern } from './message.ts'
import type { ChatPlan } from './plan.ts'
import { Subscriber, type SubscriberOwner } from './subscriber.ts'
import type { Tally } from './tally.ts'
import { COUNTER, counterRow, sumOf } from './thread-message.ts'

export interface AudienceOptions {
  readonly clock: Clock
  readonly errors: Tally
  readonly pattern: MessagePattern
  readonly counters: SharedArrayBuffer
  readonly thread: number
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
  readonly #subscribers = new Set<Subscriber>()

  constructor({ clock, errors, pattern, counters, thread, settled }: AudienceOptions) {
    this.#clock = clock
    this.errors = errors
    this.pattern = pattern
    this.#counters = counters
    this.#row = counterRow(counters, thread)
    this.#settled = settled
  }

  subscribe(chat: ChatPlan, timeoutMs: number, where: LinkAddress): void {
    this.#subscribers.add(new Subscriber(chat, timeoutMs, where, this))
  }

  /** No thread expects another acknowledgement, and each subscriber has what there was. */
  get complete(): boolean {
    if (this.#subscribers.size === 0) return true
    if (sumOf(this.#counters, COUNTER.sending) + sumOf(this.#counters, COUNTER.unanswered) > 0) return false
    const expected = sumOf(this.#counters, COUNTER.right)
    for (const { received } of this.#subscribers) if (received < expected) return false
    return true
  }

  /** Counts what is missing or too much, now that nothing more is awaited. */
  audit(): void {
    if (this.#subscribers.size === 0) return
    const expected = sumOf(this.#counters, COUNTER.right)
    // Without an acknowledgement a message may be stored, or not; and one may come while another thread still sends.
    const exact = sumOf(this.#counters, COUNTER.sending) === 0 && expected === sumOf(this.#counters, COUNTER.sent)
    for (const { received } of this.#subscribers) {
      if (received < expected) this.errors.count('lost', 'for a subscriber', expected - received)
      else if (exact && received > expected) this.errors.count('unexpected', 'for a subscriber', received - expected)
    }
  }

  close(): void {
    for (const subscriber of this.#subscribers) subscriber.close()
  }

  subscribed(): void {
    this.#count(COUNTER.subscribed)
    this.#settled()
  }

  pushed(): void {
    this.lastPushMs = this.#clock.nowMs()
    this.#count(COUNTER.pushed)
  }

  unsubscribed(subscriber: Subscriber, wasOpen: boolean): void {
    this.#subscribers.delete(subscriber)
    if (!wasOpen) this.#settled()
  }

  #count(counter: number): void {
    this.#row[counter] = (this.#row[counter] ?? 0) + 1
  }
}
