// Whether a text that comes in parts is UTF-8, however it is cut. Pure; keeps at most the three bytes of a character
// whose end has not come.
import { isUtf8 } from 'node:buffer'

const NOTHING = Buffer.alloc(0)
/** Bytes of a character that may be without its last one. */
const TAIL_BYTES_MAX = 3

export class Utf8Check {
  #tail: Buffer = NOTHING
  #valid: boolean

  constructor(frozen?: { readonly tail: Uint8Array; readonly valid: boolean }) {
    this.#tail = frozen === undefined ? NOTHING : Buffer.from(frozen.tail)
    this.#valid = frozen?.valid ?? true
  }

  freeze(): { readonly tail: Uint8Array; readonly valid: boolean } {
    return { tail: new Uint8Array(this.#tail), valid: this.#valid }
  }

  push(chunk: Buffer): void {
    if (!this.#valid) return
    let from = 0
    if (this.#tail.length > 0) {
      // What completes the character, which is all of a very short chunk.
      const missingBytes = Math.min(chunk.length, lengthOf(this.#tail[0] as number) - this.#tail.length)
      this.#tail = Buffer.concat([this.#tail, chunk.subarray(0, missingBytes)])
      from = missingBytes
      if (this.#tail.length < lengthOf(this.#tail[0] as number)) return
      this.#valid = isUtf8(this.#tail)
      this.#tail = NOTHING
    }
    const end = beginOfTail(chunk, from)
    if (!isUtf8(chunk.subarray(from, end))) this.#valid = false
    this.#tail = Buffer.from(chunk.subarray(end))
  }

  /** Of everything there was. */
  get valid(): boolean {
    return this.#valid && this.#tail.length === 0
  }
}

/** Where a character begins whose end is missing; the end of the chunk if none is. */
function beginOfTail(chunk: Buffer, from: number): number {
  for (let at = chunk.length - 1; at >= from && at >= chunk.length - TAIL_BYTES_MAX; at--) {
    const byte = chunk[at] as number
    if (byte < 0x80) break
    if (byte >= 0xc0) return chunk.length - at < lengthOf(byte) ? at : chunk.length
  }
  return chunk.length
}

/** Bytes of a character, by its first. */
function lengthOf(first: number): number {
  if (first < 0xe0) return 2
  return first < 0xf0 ? 3 : 4
}
