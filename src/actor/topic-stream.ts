// The messages of one topic in order, whatever way they came: one thread's ring keeps order, but a home that moved has
// used two. Early ones are held until the hole before them is filled. Pure.
import type { TopicMessage } from './topic-message.ts'

/** Early messages of one topic; what is beyond is pulled from the home when it is its turn. */
export const HELD_MAX = 1_024

export class TopicStream {
  epoch = 0
  /** The last message that came in order. */
  received = 0
  /** The last message that is known to exist. */
  expected = 0
  readonly #held = new Map<number, TopicMessage>()
  #earlyEpoch = 0

  get held(): number {
    return this.#held.size
  }

  get hasHole(): boolean {
    return this.received < this.expected
  }

  /** Begins with the message after `offset`. */
  begin(epoch: number, offset: number): void {
    const known = this.#earlyEpoch === epoch ? this.expected : 0
    this.epoch = epoch
    this.received = offset
    this.expected = Math.max(offset, known)
    this.#earlyEpoch = 0
    this.#held.clear()
  }

  /** Before `begin`: a message of this epoch exists. */
  noteEarly(epoch: number, offset: number): void {
    this.expected = epoch === this.#earlyEpoch ? Math.max(this.expected, offset) : offset
    this.#earlyEpoch = epoch
  }

  expect(offset: number): void {
    if (offset > this.expected) this.expected = offset
  }

  /** Whether the message is the next one. An early one is held, an old one is not needed. */
  take(message: TopicMessage): boolean {
    const { offset } = message
    this.expect(offset)
    if (offset === this.received + 1) {
      this.received = offset
      return true
    }
    if (offset > this.received && this.#held.size < HELD_MAX) this.#held.set(offset, message)
    return false
  }

  /** A held message whose turn it is now. */
  takeHeld(): TopicMessage | undefined {
    if (this.#held.size === 0) return undefined
    const message = this.#held.get(this.received + 1)
    if (message === undefined) return undefined
    this.#held.delete(message.offset)
    this.received = message.offset
    return message
  }

  /** Gives up what is missing up to `offset`. */
  skipTo(offset: number): void {
    for (const held of this.#held.keys()) if (held <= offset) this.#held.delete(held)
    this.received = offset
    this.expect(offset)
  }
}
