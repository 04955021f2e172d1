// What two shards say to each other on their port while slots move between them. One port for a pair, for as long as
// both live: everything of all moves from one to the other is in one order.

import type { GateMessage } from '../actor/gate.ts'
import type { MoveMessage } from '../actor/router.ts'
import type { FrozenSubscription, FrozenTopic } from '../actor/topic-frozen.ts'
import type { ActorMoveMessage } from '../actor/transfer.ts'
import type { FrozenConnection } from '../net/frozen-connection.ts'
import type { TcpHandle } from '../net/handoff.ts'
import type { AttachedSession } from './session-book.ts'

/** From the old owner of slots to the new one, about one move. */
export type SlotMoveMessage = (MoveMessage | ActorMoveMessage | TopicMoveMessage | ElsewhereMessage | GateMessage) & {
  readonly move: number
}

interface TopicMoveMessage {
  readonly kind: 'topics'
  readonly frozen: readonly FrozenTopic[]
}

/** Connections of the slots that live on other shards. */
interface ElsewhereMessage {
  readonly kind: 'elsewhere'
  readonly connections: readonly { readonly slot: number; readonly id: number; readonly thread: number }[]
}

/** About connections. They follow their slots one by one. */
export type ConnectionMoveMessage =
  /** The new owner must hold what it has for them, and answer with a `holding` record. */
  | { readonly kind: 'will-move'; readonly batch: number; readonly ids: readonly number[] }
  /** It goes on when its gate opens. */
  | { readonly kind: 'connection'; readonly arriving: ArrivingConnection; readonly gate: number }
  | { readonly kind: 'wont-move'; readonly id: number }
  /** The answer to a `connection`. */
  | { readonly kind: 'took'; readonly id: number }

export interface ArrivingConnection {
  readonly frozen: FrozenConnection
  readonly handle: TcpHandle
  readonly luggage: Luggage
}

/** What a connection takes along beside what is its own. */
export interface Luggage {
  readonly subscriptions: readonly FrozenSubscription[]
  readonly sessions: readonly AttachedSession[]
}

export type ShardMessage = SlotMoveMessage | ConnectionMoveMessage | GateMessage
