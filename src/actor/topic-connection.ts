// What topics need of a connection, and what they tell about its subscriptions. src/net/connection.ts fits it.

/** What bytes on this connection look like: a stream of them, WebSocket frames, or frames that may be compressed. */
export type TopicWire = 'stream' | 'frame' | 'deflated'

export interface TopicConnection {
  /** Unique in the process, also after the connection moved to another shard. */
  readonly id: number
  readonly open: boolean
  /** Bytes queued that the kernel has not taken. */
  readonly bufferedBytes: number
  readonly wire: TopicWire
  /**
   * Queues bytes that are framed already and hold so many messages; they are not copied, never change, and go to other
   * connections too. Must not call back.
   */
  sendShared(bytes: Uint8Array, messages: number): unknown
}

/**
 * Why a subscriber did not get messages. `slow`, `conflated`: its topic's mode; `history`: no longer kept when it could
 * have had them; `epoch`: the topic began anew, its shard had crashed; `ring_full`: its shard was overloaded; `lost`:
 * lost between shards, and no longer kept.
 */
export type GapReason = 'slow' | 'conflated' | 'history' | 'epoch' | 'ring_full' | 'lost'

export type TopicEvent =
  | {
      /**
       * First of all: messages behind `offset` follow. `recovered`: that is the offset it asked for, so nothing is
       * missing. `missed`: how many are; undefined if nobody can know, because the topic began anew since.
       */
      readonly type: 'subscribed'
      readonly topic: string
      readonly epoch: number
      readonly offset: number
      readonly recovered: boolean
      readonly missed: number | undefined
    }
  | {
      /** It did not and will not get messages `from` to `to`. Comes before the next message. `epoch` is the one from now on. */
      readonly type: 'gap'
      readonly topic: string
      readonly epoch: number
      readonly from: number
      readonly to: number
      readonly reason: GapReason
    }
  /** The subscription ended: the topic's home has no room for another topic. */
  | { readonly type: 'refused'; readonly topic: string }

/** Where a subscriber was, as the last event and the messages since then tell. */
export interface TopicSince {
  readonly epoch: number
  readonly offset: number
}

export interface SubscribeOptions {
  /** Go on from there, as far as the history reaches. Default: with the next message. */
  readonly since?: TopicSince
  /** What others are told about this subscriber, if its kind has presence: JSON of at most PRESENCE_BYTES_MAX. Default null. */
  readonly presence?: unknown
  /** Name of the encoder for this subscriber; default: the payload as it was published. */
  readonly deliver?: string
}

/** Of the JSON that describes one subscriber. */
export const PRESENCE_BYTES_MAX = 1024
