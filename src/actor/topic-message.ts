// One message of a topic on its way to the subscribers of one shard, and the forms its bytes take there: each is made
// once, when the first subscriber needs it.
import { encodeDeflatedFrame } from '../net/websocket/deflate.ts'
import {
  encodeFrame,
  encodeFrameHeader,
  FRAME_HEADER_BYTES_MAX,
  frameHeaderBytes,
  OPCODE,
} from '../net/websocket/frame.ts'
import type { TopicWire } from './topic-connection.ts'
import type { TopicPosition } from './topic-definition.ts'
import type { TopicEntry } from './topic-entry.ts'
import type { Subscriber } from './topic-subscriber.ts'

/** What a service makes of a payload for its own protocol; no bytes: nothing is sent. */
export type TopicEncoder = (payload: Uint8Array, position: TopicPosition, isText: boolean) => string | Uint8Array

/** What is sent as one buffer to every subscriber. Longer messages go by themselves, uncopied. */
const BATCH_BYTES_MAX = 64 * 1024

const NOTHING = new Uint8Array(0)

export class TopicMessage {
  readonly offset: number
  readonly text: boolean
  readonly key: string
  /** Room for the longest header, then the payload: a frame costs no second copy. */
  readonly #room: Buffer
  /** By the index of the encoding. */
  readonly #encoded: (Uint8Array | undefined)[] = []

  /** Copies the payload, `bytes[start, end)`. */
  constructor(offset: number, text: boolean, key: string, bytes: Uint8Array, start: number, end: number) {
    this.offset = offset
    this.text = text
    this.key = key
    this.#room = Buffer.allocUnsafe(FRAME_HEADER_BYTES_MAX + end - start)
    this.#room.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), FRAME_HEADER_BYTES_MAX)
  }

  static of(entry: TopicEntry, hasKey: boolean): TopicMessage {
    const { body, keyBytes } = entry
    const key = hasKey ? Buffer.from(body.buffer, body.byteOffset, keyBytes).toString() : ''
    return new TopicMessage(entry.offset, entry.text, key, body, keyBytes, body.length)
  }

  get payload(): Buffer {
    return this.#room.subarray(FRAME_HEADER_BYTES_MAX)
  }

  /** One WebSocket frame around the payload. */
  get frame(): Buffer {
    const payloadBytes = this.#room.length - FRAME_HEADER_BYTES_MAX
    const start = FRAME_HEADER_BYTES_MAX - frameHeaderBytes(payloadBytes)
    encodeFrameHeader(this.#room, start, opcodeOf(this.text), payloadBytes, false)
    return this.#room.subarray(start)
  }

  encodedBy(encoding: TopicEncoding): Uint8Array {
    const known = this.#encoded[encoding.index]
    if (known !== undefined) return known
    const bytes = encoding.encode(this)
    this.#encoded[encoding.index] = bytes
    return bytes
  }

  /** For a move: the queue it waits in goes along with its connection. */
  toEntry(): TopicEntry {
    const key = Buffer.from(this.key)
    const body = Buffer.concat([key, this.payload])
    return { offset: this.offset, atMs: 0, text: this.text, keyBytes: key.length, body }
  }
}

/** Some messages in one buffer. */
export interface Batch {
  readonly bytes: Uint8Array
  readonly messages: number
}

/** The subscribers of one topic whose bytes are the same, and how they are made. */
export class TopicEncoding {
  readonly index: number
  readonly wire: TopicWire
  readonly deliver: string | undefined
  /** Those that have everything and keep up. */
  readonly level: Subscriber[] = []
  readonly #encoder: TopicEncoder | undefined
  readonly #topic: { readonly name: string; readonly epoch: number }
  readonly #onError: (error: unknown) => void

  constructor(
    index: number,
    wire: TopicWire,
    deliver: string | undefined,
    encoder: TopicEncoder | undefined,
    topic: { readonly name: string; readonly epoch: number },
    onError: (error: unknown) => void,
  ) {
    this.index = index
    this.wire = wire
    this.deliver = deliver
    this.#encoder = encoder
    this.#topic = topic
    this.#onError = onError
  }

  encode(message: TopicMessage): Uint8Array {
    if (this.#encoder === undefined) {
      if (this.wire === 'stream') return message.payload
      return this.wire === 'frame' ? message.frame : encodeDeflatedFrame(message.payload, opcodeOf(message.text))
    }
    const made = this.#made(this.#encoder, message)
    const bytes = typeof made === 'string' ? Buffer.from(made) : made
    if (bytes.length === 0 || this.wire === 'stream') return bytes
    const opcode = opcodeOf(typeof made === 'string')
    return this.wire === 'frame' ? encodeFrame(bytes, opcode) : encodeDeflatedFrame(bytes, opcode)
  }

  /** The messages as few buffers, in order. */
  batches(messages: readonly TopicMessage[]): Batch[] {
    const batches: Batch[] = []
    let parts: Uint8Array[] = []
    let bytes = 0
    for (const message of messages) {
      const part = message.encodedBy(this)
      if (parts.length > 0 && bytes + part.length > BATCH_BYTES_MAX) {
        batches.push(joined(parts, bytes))
        parts = []
        bytes = 0
      }
      parts.push(part)
      bytes += part.length
    }
    batches.push(joined(parts, bytes))
    return batches
  }

  #made(encoder: TopicEncoder, message: TopicMessage): string | Uint8Array {
    const { name, epoch } = this.#topic
    try {
      return encoder(message.payload, { topic: name, epoch, offset: message.offset }, message.text)
    } catch (error) {
      this.#onError(error)
      return NOTHING
    }
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Batch {
  const [first = NOTHING] = parts
  return { bytes: parts.length === 1 ? first : Buffer.concat(parts, bytes), messages: parts.length }
}

function opcodeOf(text: boolean): typeof OPCODE.text | typeof OPCODE.binary {
  return text ? OPCODE.text : OPCODE.binary
}
