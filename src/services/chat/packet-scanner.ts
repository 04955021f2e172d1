// Finds packets in a byte stream: whole JSON objects, however the stream is cut, with nothing or white space between
// them. Counts braces outside of strings and knows nothing else of JSON. Pure; keeps only the object whose end has not
// come.
//
//               white space                     any byte but the last }
//                ┌──────┐                            ┌──────┐
//                ▼      │   {                        ▼      │
//            ┌─────────────┐ ─────────────────────▶ ┌──────────┐
//            │   between   │                        │  object  │ ─── over bytesMax ──▶ too_large
//            └─────────────┘ ◀───────── packet ──── └──────────┘
//           \n ▲        │ other byte: garbage
//              │        ▼
//            ┌─────────────┐
//            │  discarding │ ─── over bytesMax ──▶ too_large
//            └─────────────┘
import { appended } from '../../lib/bytes.ts'

export type Scanned =
  /** Everything was looked at; more bytes are needed. */
  | 'more'
  /** `bytes[start, end)` is one object. */
  | 'packet'
  /** A byte that begins no object: it and what follows is discarded, to the end of its line. */
  | 'garbage'
  /** Nothing can be found behind it any more. */
  | 'too_large'

/** What a scanner needs to go on elsewhere. */
export interface FrozenScanner {
  /** The beginning of an object. */
  readonly part: Uint8Array
  /** Bytes of garbage discarded since it began; 0: none is being discarded. */
  readonly discardedBytes: number
}

const TAB = 0x09
const NEWLINE = 0x0a
const RETURN = 0x0d
const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x7b
const CLOSE = 0x7d
const NOTHING = Buffer.alloc(0)

export class PacketScanner {
  /** Where the next `scan` goes on: all before it is done with. */
  position = 0
  /** The packet found: valid until the next `scan`, and as long as the bytes that were scanned. */
  bytes: Buffer = NOTHING
  start = 0
  end = 0
  /** Objects and runs of garbage that have begun so far. */
  begun = 0
  readonly #bytesMax: number
  // Braces that are open; 0 between objects.
  #depth = 0
  #inString = false
  #escaped = false
  #discardedBytes = 0
  // The beginning of an object whose end has not come; allocated for as long as there is one.
  #part: Buffer | undefined
  #partBytes = 0

  constructor(bytesMax: number, frozen?: FrozenScanner) {
    this.#bytesMax = bytesMax
    if (frozen === undefined) return
    this.#discardedBytes = frozen.discardedBytes
    if (this.#discardedBytes > 0) this.begun++
    const part = Buffer.from(frozen.part)
    if (part.length > 0) this.scan(part, 0)
  }

  /** An object has begun and not ended. */
  get inObject(): boolean {
    return this.#depth > 0
  }

  /** An object, or garbage, has begun and not ended: its time is limited. */
  get unfinished(): boolean {
    return this.#depth > 0 || this.#discardedBytes > 0
  }

  freeze(): FrozenScanner {
    const part = new Uint8Array(this.#part?.subarray(0, this.#partBytes) ?? NOTHING)
    return { part, discardedBytes: this.#discardedBytes }
  }

  /** Looks at `bytes` from `from` on, up to the next thing there is to say; `position` tells how far that was. */
  scan(bytes: Buffer, from: number): Scanned {
    let at = from
    if (at === bytes.length) return this.#found('more', at)
    if (this.#depth === 0) {
      if (this.#discardedBytes > 0) {
        at = this.#discard(bytes, at)
        if (this.#discardedBytes > this.#bytesMax) return this.#found('too_large', bytes.length)
        if (this.#discardedBytes > 0) return this.#found('more', at)
      }
      while (at < bytes.length && isSpace(bytes[at] as number)) at++
      if (at === bytes.length) return this.#found('more', at)
      this.begun++
      if (bytes[at] !== OPEN) {
        // The byte itself is looked at by the next call: it may be the last of what is discarded, but is no newline.
        this.#discardedBytes = 1
        return this.#found('garbage', at + 1)
      }
    }
    return this.#object(bytes, at)
  }

  #object(bytes: Buffer, from: number): Scanned {
    const room = from + this.#bytesMax - this.#partBytes
    const limit = Math.min(bytes.length, room)
    let depth = this.#depth
    let inString = this.#inString
    let escaped = this.#escaped
    let at = from
    while (at < limit) {
      const byte = bytes[at++] as number
      if (!inString) {
        if (byte === QUOTE) inString = true
        else if (byte === OPEN) depth++
        else if (byte === CLOSE && --depth === 0) return this.#packet(bytes, from, at)
      } else if (escaped) escaped = false
      else if (byte === QUOTE) inString = false
      else if (byte === BACKSLASH) escaped = true
      // Most bytes are text, which has a loop of its own.
      else while (at < limit && isText(bytes[at] as number)) at++
    }
    this.#depth = depth
    this.#inString = inString
    this.#escaped = escaped
    if (at < bytes.length) {
      // So that it stays too large, whatever comes.
      this.#partBytes = this.#bytesMax
      return this.#found('too_large', bytes.length)
    }
    this.#keep(bytes, from, at)
    return this.#found('more', at)
  }

  #packet(bytes: Buffer, from: number, at: number): Scanned {
    if (this.#part === undefined) {
      this.bytes = bytes
      this.start = from
      this.end = at
    } else {
      this.#keep(bytes, from, at)
      this.bytes = this.#part
      this.start = 0
      this.end = this.#partBytes
      this.#part = undefined
      this.#partBytes = 0
    }
    this.#depth = 0
    this.#inString = false
    this.#escaped = false
    return this.#found('packet', at)
  }

  /** Answers the place behind the newline, or the end. */
  #discard(bytes: Buffer, from: number): number {
    const found = bytes.indexOf(NEWLINE, from)
    const end = found === -1 ? bytes.length : found + 1
    this.#discardedBytes += end - from
    if (found !== -1 && this.#discardedBytes <= this.#bytesMax) this.#discardedBytes = 0
    return end
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    this.#part = appended(this.#part, this.#partBytes, bytes, start, end)
    this.#partBytes += end - start
  }

  #found(what: Scanned, position: number): Scanned {
    this.position = position
    return what
  }
}

function isText(byte: number): boolean {
  return byte !== QUOTE && byte !== BACKSLASH
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === NEWLINE || byte === RETURN || byte === TAB
}
