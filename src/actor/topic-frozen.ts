// What of topics travels from shard to shard when slots and connections move: plain, structured-cloneable data.
import type { TopicSince } from './topic-connection.ts'

/** A thread in one of its lives. */
export interface Life {
  readonly thread: number
  /** u16 */
  readonly generation: number
}

/** A relay that gets every message. */
export interface Interest extends Life {
  /** The topic's number at that relay. */
  readonly feed: number
  /** The first message it could not be sent because the way was full; 0: none. */
  behindFrom: number
  /** The topic began anew, and it has not joined since: it gets everything from there on when it does. */
  isJoining?: boolean
}

/** Somebody who is present. */
export interface Member {
  /** Where its connection is; records of two threads may come in either order, so for a moment there may be two. */
  readonly places: Life[]
  /** When the last thread let go of it, because it moves to another one; 0: it does not. */
  travellingMs: number
  /** JSON. */
  info: Uint8Array
}

/** A topic on its way to another shard; structured-cloneable. */
export interface FrozenTopic {
  readonly name: string
  readonly slot: number
  readonly epoch: number
  readonly offset: number
  /** Hosts shared it, and so they do its epoch. */
  readonly isShared?: boolean
  readonly activeMs: number
  /** When it was frozen: threads that went down since are not resurrected. */
  readonly frozenMs: number
  /** Packed. */
  readonly entries: Uint8Array
  readonly interests: readonly Readonly<Interest>[]
  readonly members: readonly (Readonly<Member> & { readonly id: number })[]
}

/** A subscription on its way to another shard. */
export interface FrozenSubscription {
  readonly topic: string
  /** It was told that it is subscribed. */
  readonly told: boolean
  /** If told, where it stands: the last message it was given or passed over. Else what it asked for, if anything. */
  readonly since?: TopicSince
  readonly deliver?: string
  /** JSON. */
  readonly presence?: string
  /** Packed messages that wait for it. */
  readonly queue?: Uint8Array
}
