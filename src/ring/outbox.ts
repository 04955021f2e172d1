// One lane to one peer: the ring, and behind it the bounded queue of messages that did not fit, in order. Cuts large
// messages into chunks. Does not know who reads, or when the tail is published.
import { FLAG, TOTAL_BYTES } from './record.ts'
import type { RingWriter } from './ring.ts'

/** Charged for each waiting message beside its bytes, so that empty ones have a bound too: about what V8 needs for it. */
export const WAITING_MESSAGE_BYTES = 128

interface Waiting {
  readonly kind: number
  readonly bytes: Uint8Array
  /** How much of it is in the ring already, in chunks. */
  sentBytes: number
}

const NO_HEAD = new Uint8Array(0)

/** What became of a message. */
export type Sent = 'ring' | 'waiting' | 'refused'

export class Outbox {
  readonly #generation: number
  readonly #waitingBytesMax: number
  readonly #total = Buffer.alloc(TOTAL_BYTES)
  #writer: RingWriter | undefined
  // A queue with a moving start: shift() would move the rest each time.
  #queue: Waiting[] = []
  #queueStart = 0
  #waitingBytes = 0

  constructor(generation: number, waitingBytesMax: number) {
    this.#generation = generation
    this.#waitingBytesMax = waitingBytesMax
  }

  /** The ring, once there is one; a new writer of the same memory after the peer was replaced. Publish before making it. */
  connect(writer: RingWriter): void {
    this.#writer = writer
  }

  /** Takes a message, copying it, or refuses it when the queue is full. Nothing overtakes a waiting message. */
  send(
    kind: number,
    head: Uint8Array,
    headBytes: number,
    body: Uint8Array | undefined,
    bodyStart: number,
    bodyBytes: number,
  ): Sent {
    const writer = this.#writer
    if (
      writer !== undefined &&
      this.#waitingBytes === 0 &&
      headBytes + bodyBytes <= writer.payloadBytesMax &&
      writer.tryPush(kind, this.#generation, head, headBytes, body, bodyStart, bodyBytes)
    ) {
      return 'ring'
    }
    const length = headBytes + bodyBytes
    // An empty queue takes any message, else one larger than the bound could never be sent.
    if (this.#waitingBytes > 0 && this.#waitingBytes + length + WAITING_MESSAGE_BYTES > this.#waitingBytesMax) {
      return 'refused'
    }
    const bytes = Buffer.allocUnsafeSlow(length)
    bytes.set(headBytes === head.length ? head : head.subarray(0, headBytes))
    if (body !== undefined) bytes.set(body.subarray(bodyStart, bodyStart + bodyBytes), headBytes)
    this.#queue.push({ kind, bytes, sentBytes: 0 })
    this.#waitingBytes += length + WAITING_MESSAGE_BYTES
    if (this.#queue.length - this.#queueStart === 1) this.flush()
    return this.#waitingBytes === 0 ? 'ring' : 'waiting'
  }

  /** Moves waiting messages into the ring, as far as there is room; asks the consumer to ring when there was not enough. */
  flush(): void {
    const writer = this.#writer
    if (writer === undefined) return
    for (;;) {
      const first = this.#queue[this.#queueStart]
      if (first === undefined) break
      if (!this.#push(writer, first)) {
        writer.requestRoom()
        // Once more: the consumer may have made room before it could see the request.
        if (!this.#push(writer, first)) return
      }
      if (first.sentBytes < first.bytes.length) continue
      this.#waitingBytes -= first.bytes.length + WAITING_MESSAGE_BYTES
      this.#queueStart++
      if (this.#queueStart > 1024 || this.#queueStart === this.#queue.length) {
        this.#queue = this.#queue.slice(this.#queueStart)
        this.#queueStart = 0
      }
    }
  }

  /** Makes what was pushed readable; true if there was any. */
  publish(): boolean {
    return this.#writer?.publish() ?? false
  }

  get unpublishedBytes(): number {
    return this.#writer?.unpublishedBytes ?? 0
  }

  get usedBytes(): number {
    return this.#writer?.usedBytes ?? 0
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get waitingMessages(): number {
    return this.#queue.length - this.#queueStart
  }

  /** The next piece of a message: all of it, or one chunk. */
  #push(writer: RingWriter, message: Waiting): boolean {
    const { kind, bytes, sentBytes } = message
    const rest = bytes.length - sentBytes
    const max = writer.payloadBytesMax
    let taken: number
    let pushed: boolean
    if (sentBytes > 0) {
      taken = Math.min(rest, max)
      const flag = taken === rest ? FLAG.last : FLAG.middle
      pushed = writer.tryPush(kind, this.#generation, NO_HEAD, 0, bytes, sentBytes, taken, flag)
    } else if (rest <= max) {
      taken = rest
      pushed = writer.tryPush(kind, this.#generation, bytes, rest)
    } else {
      taken = max - TOTAL_BYTES
      this.#total.writeUInt32LE(rest)
      pushed = writer.tryPush(kind, this.#generation, this.#total, TOTAL_BYTES, bytes, 0, taken, FLAG.first)
    }
    if (pushed) message.sentBytes += taken
    return pushed
  }
}
