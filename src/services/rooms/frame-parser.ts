// Takes frames of a room out of a byte stream, however it is cut: descriptor, header in one piece, content as it comes.
// Never allocates by what a descriptor announces: it keeps the beginning of a descriptor or header, grown as bytes
// arrive, and nothing of a content. Pure; both ends of a connection use it.
//
//                       begin: take
//     ┌────────────┐ ────────────────▶ ┌────────┐  header   ┌─────────┐
//     │ descriptor │                   │ header │ ────────▶ │ content │ content, content …
//     └────────────┘ ◀──────── end ─── └────────┘           └─────────┘
//       ▲  │  │ begin: stop                                      │
//       │  │  └───────▶ stopped                                  │
//       │  ▼ begin: skip, or the header is too long              │
//     skipping ─── end ───▶ descriptor ◀──────────────── end ────┘
import { appended } from '../../lib/bytes.ts'
import { DESCRIPTOR_BYTES } from './descriptor.ts'

/**
 * What becomes of a frame. `take`: its header and content are given to the sink. `skip`: they are read and dropped, then
 * `end` is called. `stop`: nothing of this connection is looked at any more.
 */
export type FrameCourse = 'take' | 'skip' | 'stop'

export interface FrameSink {
  /** A descriptor. A header over `limits.headerBytesMax` is never given: then `take` is `skip`. */
  begin(type: number, headerBytes: number, contentBytes: bigint): FrameCourse
  /** The whole header, also an empty one. A view that is valid only during the call. */
  header(bytes: Buffer): void
  /** The next part of the content, not empty. A view that is valid only during the call. */
  content(chunk: Buffer): void
  /** The frame is complete. */
  end(): void
}

export interface FrameLimits {
  readonly headerBytesMax: number
}

/** What a parser needs to go on elsewhere; structured-cloneable. */
export interface FrozenFrameParser {
  readonly phase: Phase
  /** The beginning of a descriptor or of a header. */
  readonly part: Uint8Array
  readonly headerBytes: number
  readonly contentBytes: number
  /** What is left of a content, or of all that is skipped. */
  readonly leftBytes: number
}

type Phase = 'descriptor' | 'header' | 'content' | 'skipping' | 'stopped'

const NOTHING = Buffer.alloc(0)

export class FrameParser {
  readonly #sink: FrameSink
  readonly #headerBytesMax: number
  #phase: Phase = 'descriptor'
  #held = false
  // The beginning of a descriptor or header; allocated for as long as there is one.
  #part: Buffer | undefined
  #partBytes = 0
  #headerBytes = 0
  // A number: what is beyond 2^53 is counted inexactly, and its end is more than a lifetime away.
  #contentBytes = 0
  #leftBytes = 0

  constructor(sink: FrameSink, limits: FrameLimits, frozen?: FrozenFrameParser) {
    this.#sink = sink
    this.#headerBytesMax = limits.headerBytesMax
    if (frozen === undefined) return
    this.#phase = frozen.phase
    this.#headerBytes = frozen.headerBytes
    this.#contentBytes = frozen.contentBytes
    this.#leftBytes = frozen.leftBytes
    if (frozen.part.length > 0) this.#keep(Buffer.from(frozen.part), 0, frozen.part.length)
  }

  /** A frame has begun, if only with a byte, and not ended. */
  get inFrame(): boolean {
    return this.#phase !== 'stopped' && (this.#phase !== 'descriptor' || this.#partBytes > 0)
  }

  freeze(): FrozenFrameParser {
    return {
      phase: this.#phase,
      part: new Uint8Array(this.#part?.subarray(0, this.#partBytes) ?? NOTHING),
      headerBytes: this.#headerBytes,
      contentBytes: this.#contentBytes,
      leftBytes: this.#leftBytes,
    }
  }

  /** Called by the sink: `push` answers behind what it has given to the sink so far, and goes on with the next call. */
  hold(): void {
    this.#held = true
  }

  /** Nothing is looked at any more. */
  stop(): void {
    this.#phase = 'stopped'
    this.#forget()
  }

  /** Takes `bytes[start, end)`; answers how many of them, fewer than all only when the sink holds. */
  push(bytes: Buffer, start = 0, end = bytes.length): number {
    let at = start
    this.#held = false
    while (at < end && !this.#held) {
      switch (this.#phase) {
        case 'descriptor':
          at = this.#descriptor(bytes, at, end)
          break
        case 'header':
          at = this.#header(bytes, at, end)
          break
        case 'content': {
          const to = at + Math.min(end - at, this.#leftBytes)
          this.#leftBytes -= to - at
          this.#sink.content(bytes.subarray(at, to))
          at = to
          if (this.#leftBytes === 0) this.#end()
          break
        }
        case 'skipping': {
          const to = at + Math.min(end - at, this.#leftBytes)
          this.#leftBytes -= to - at
          at = to
          if (this.#leftBytes === 0) this.#end()
          break
        }
        case 'stopped':
          return end - start
      }
    }
    return at - start
  }

  #descriptor(bytes: Buffer, start: number, end: number): number {
    const to = Math.min(end, start + DESCRIPTOR_BYTES - this.#partBytes)
    if (this.#partBytes === 0 && to - start === DESCRIPTOR_BYTES) {
      this.#begin(bytes, start)
      return to
    }
    this.#keep(bytes, start, to)
    const part = this.#part
    if (part !== undefined && this.#partBytes === DESCRIPTOR_BYTES) {
      this.#forget()
      this.#begin(part, 0)
    }
    return to
  }

  #begin(bytes: Buffer, at: number): void {
    const headerBytes = bytes.readUInt16LE(at + 2)
    const contentBytes = bytes.readBigUInt64LE(at + 8)
    const course = this.#sink.begin(bytes.readUInt16LE(at), headerBytes, contentBytes)
    if (this.#phase === 'stopped') return
    if (course === 'stop') {
      this.stop()
      return
    }
    this.#headerBytes = headerBytes
    this.#contentBytes = Number(contentBytes)
    if (course === 'skip' || headerBytes > this.#headerBytesMax) {
      this.#leftBytes = headerBytes + this.#contentBytes
      this.#phase = 'skipping'
      if (this.#leftBytes === 0) this.#end()
    } else if (headerBytes === 0) this.#give(NOTHING)
    else this.#phase = 'header'
  }

  #header(bytes: Buffer, start: number, end: number): number {
    const to = Math.min(end, start + this.#headerBytes - this.#partBytes)
    if (this.#partBytes === 0 && to - start === this.#headerBytes) {
      this.#give(bytes.subarray(start, to))
      return to
    }
    this.#keep(bytes, start, to)
    const part = this.#part
    if (part !== undefined && this.#partBytes === this.#headerBytes) {
      this.#forget()
      this.#give(part.subarray(0, this.#headerBytes))
    }
    return to
  }

  #give(header: Buffer): void {
    this.#leftBytes = this.#contentBytes
    this.#phase = 'content'
    this.#sink.header(header)
    if (this.#leftBytes === 0 && this.#phase === 'content') this.#end()
  }

  #end(): void {
    if (this.#phase === 'stopped') return
    this.#phase = 'descriptor'
    this.#sink.end()
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    this.#part = appended(this.#part, this.#partBytes, bytes, start, end)
    this.#partBytes += end - start
  }

  #forget(): void {
    this.#part = undefined
    this.#partBytes = 0
  }
}
