// A shard that listens to a topic itself: a service that keeps what it hears, and serves its connections from that. To
// the relay it is one more connection, which is never slow and never leaves.
//
//   one message, as the encoder makes it:   u32 payload bytes | f64 offset | u8 text | payload      little-endian
import type { SubscribeOptions, TopicConnection, TopicEvent, TopicWire } from './topic-connection.ts'
import type { TopicEncoder } from './topic-message.ts'

/** Name of the encoder. */
export const TAP_ENCODER = 'tap'
const HEAD_BYTES = 13

export interface TopicListener {
  /** `payload` never changes and may be kept. */
  message(payload: Buffer, offset: number, isText: boolean): void
  /** Behind messages that came together. */
  batchEnd(): void
  /**
   * `subscribed` begins it: messages behind `offset` follow, and all that is kept is among them. What is up to `head` was
   * there before.
   */
  event(event: TopicEvent, head: number): void
}

/** The relay, as a tap uses it. */
export interface TappedRelay {
  subscribe(connection: TopicConnection, topic: string, options?: SubscribeOptions): unknown
  unsubscribe(connection: TopicConnection, topic: string): boolean
}

/** Ids that no connection has. */
let lastId = -(2 ** 40)

export class TopicTap implements TopicConnection {
  readonly id = --lastId
  readonly open = true
  readonly bufferedBytes = 0
  readonly wire: TopicWire = 'stream'
  readonly #relay: TappedRelay
  readonly #topic: string
  readonly #listener: TopicListener
  /** Where the topic stood when it was first heard of: what is before that is its past. */
  #head: number | undefined

  constructor(relay: TappedRelay, topic: string, listener: TopicListener) {
    this.#relay = relay
    this.#topic = topic
    this.#listener = listener
    this.#subscribe()
  }

  /** The relay's. */
  sendShared(bytes: Uint8Array): void {
    const packed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at < packed.length; ) {
      const start = at + HEAD_BYTES
      const end = start + packed.readUInt32LE(at)
      this.#listener.message(packed.subarray(start, end), packed.readDoubleLE(at + 4), packed[at + 12] === 1)
      at = end
    }
    this.#listener.batchEnd()
  }

  /** The relay's: what happens to the subscription. */
  hear(event: TopicEvent): void {
    if (event.type !== 'subscribed' || this.#head !== undefined) {
      this.#listener.event(event, this.#head ?? 0)
      return
    }
    this.#head = event.offset
    // Only now is it known by which epoch the past is asked for. Not in the middle of what the relay is doing.
    if (event.offset === 0) this.#listener.event(event, 0)
    else queueMicrotask(() => this.#subscribe({ epoch: event.epoch, offset: 0 }))
  }

  /** Again, for one that was refused. */
  retry(): void {
    this.#head = undefined
    this.#subscribe()
  }

  #subscribe(since?: SubscribeOptions['since']): void {
    this.#relay.unsubscribe(this, this.#topic)
    this.#relay.subscribe(this, this.#topic, { deliver: TAP_ENCODER, ...(since === undefined ? {} : { since }) })
  }
}

export const encodeForTap: TopicEncoder = (payload, { offset }, isText) => {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length)
  bytes.writeUInt32LE(payload.length, 0)
  bytes.writeDoubleLE(offset, 4)
  bytes[12] = isText ? 1 : 0
  bytes.set(payload, HEAD_BYTES)
  return bytes
}
