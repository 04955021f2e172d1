// Puts the chunks of one ring back together. The ring is first-in first-out and has one writer, so at most one message
// is under way; a chunk that does not continue it belongs to a writer or a reader that died.
import { FLAG, TOTAL_BYTES } from './record.ts'

/** A buffer up to this size is kept for the next message; a larger one is given back to the collector. */
const KEPT_BYTES_MAX = 1024 * 1024

const NOTHING = Buffer.allocUnsafeSlow(0)

export class Assembly {
  /** The assembled message, from 0 to `length`, once `add` answered true; valid until the next `add`. */
  bytes: Buffer = NOTHING
  view: DataView = new DataView(NOTHING.buffer)
  length = 0
  readonly #messageBytesMax: number
  readonly #onDiscard: (chunks: number) => void
  #arrivedBytes = 0
  #chunks = 0
  #generation = 0

  constructor(messageBytesMax: number, onDiscard: (chunks: number) => void) {
    this.#messageBytesMax = messageBytesMax
    this.#onDiscard = onDiscard
  }

  /** True while a message has begun and not ended. */
  get open(): boolean {
    return this.#chunks > 0
  }

  /** Adds one chunk; true when it was the last and the message is whole. */
  add(flag: number, generation: number, source: Buffer, offset: number, length: number): boolean {
    if (flag === FLAG.first) {
      this.discard()
      if (length < TOTAL_BYTES) return this.#refuse()
      const total = source.readUInt32LE(offset)
      if (total > this.#messageBytesMax) return this.#refuse()
      if (this.bytes.length < total || this.bytes.length > KEPT_BYTES_MAX) {
        this.bytes = Buffer.allocUnsafeSlow(total)
        this.view = new DataView(this.bytes.buffer)
      }
      this.length = total
      this.#generation = generation
      offset += TOTAL_BYTES
      length -= TOTAL_BYTES
    } else if (this.#chunks === 0) {
      return this.#refuse()
    } else if (generation !== this.#generation) {
      this.discard()
      return this.#refuse()
    }
    this.#chunks++
    const arrived = this.#arrivedBytes + length
    const last = flag === FLAG.last
    if (arrived > this.length || (last && arrived !== this.length)) {
      this.discard()
      return false
    }
    source.copy(this.bytes, this.#arrivedBytes, offset, offset + length)
    this.#arrivedBytes = arrived
    if (!last) return false
    this.#chunks = 0
    this.#arrivedBytes = 0
    return true
  }

  /** Forgets a message whose rest will not come: its writer died, or began another one. */
  discard(): void {
    const chunks = this.#chunks
    this.#chunks = 0
    this.#arrivedBytes = 0
    if (chunks > 0) this.#onDiscard(chunks)
  }

  #refuse(): false {
    this.#onDiscard(1)
    return false
  }
}
