// Finds where an HTTP head ends, and a chunked body: behind an empty line. Node's parser has the last word on what the
// bytes mean; this is only where they may be cut, so that what follows can wait. A state machine of one number.

const CR = 0x0d
const LF = 0x0a

export class HeadEnd {
  /** How much of CR LF CR LF the last bytes were. */
  #matched = 0

  /** The offset behind the next empty line in `bytes[start, end)`, which may have begun in earlier bytes; else `end`. */
  find(bytes: Uint8Array, start: number, end: number): number {
    let matched = this.#matched
    let at = start
    while (at < end) {
      if (matched === 0) {
        const next = bytes.indexOf(CR, at)
        if (next === -1 || next >= end) break
        at = next + 1
        matched = 1
        continue
      }
      const byte = bytes[at++]
      if (byte === (matched === 2 ? CR : LF)) matched++
      else matched = byte === CR ? 1 : 0
      if (matched === 4) {
        this.#matched = 0
        return at
      }
    }
    this.#matched = matched
    return end
  }

  /** The next bytes begin something new. */
  reset(): void {
    this.#matched = 0
  }
}
