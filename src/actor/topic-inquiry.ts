// What one feed is asking its home, and since when; and where homes are. Plain state of the relay, beside the feeds.
import { slotOfTopic } from './topic-definition.ts'
import type { TopicFeed } from './topic-feed.ts'

export class TopicInquiry {
  readonly feed: TopicFeed
  /** The number of the last join; its answer carries it. */
  joinRequest = 0
  /** When to join, or to join again because no answer came; Infinity: the home has answered. */
  joinDueMs = 0
  /** The number of the pull whose answer is awaited; 0: none. */
  pullRequest = 0
  /** When its answer is given up. */
  pullDueMs = 0
  /** Since when messages are missing; 0: none is. */
  holeSinceMs = 0
  /** The round of the audit in which something came from the home last. */
  heard = 0
  /** It has messages to flush at the end of the turn. */
  isDirty = false

  constructor(feed: TopicFeed) {
    this.feed = feed
  }
}

/** Where a topic is found. */
export interface TopicAddress {
  readonly slot: number
  readonly kind: string
  readonly name: Buffer
}

const ADDRESSES_MAX = 4_096

/** Addresses by name: a name is checked, hashed and encoded once, not for every message. */
export class TopicAddresses {
  readonly #known = new Map<string, TopicAddress>()
  readonly #kindOf: (name: string) => string

  constructor(kindOf: (name: string) => string) {
    this.#kindOf = kindOf
  }

  /** Throws what `kindOf` throws on a name that is none. */
  of(name: string): TopicAddress {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const address = { kind: this.#kindOf(name), slot: slotOfTopic(name), name: Buffer.from(name) }
    if (this.#known.size >= ADDRESSES_MAX) this.#known.clear()
    this.#known.set(name, address)
    return address
  }
}
