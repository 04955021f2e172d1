// Splits what a TCP server sends into lines, and takes the echo service's `[Conn N] ` off. Pure: bytes in, lines out.

const NEWLINE = 10
const PREFIX = Buffer.from('[Conn ', 'latin1')
const PREFIX_BYTES_MAX = 32

/** The part of a link's listener that lines go to. */
export interface LineListener {
  received(bytes: Buffer, start: number, end: number): void
  garbled(): void
}

export class LineSplitter {
  readonly #listener: LineListener
  readonly #prefixed: boolean
  readonly #lineBytesMax: number
  /** The start of a line whose end has not arrived. */
  #rest: Buffer | undefined
  #restBytes = 0
  /** The rest of the current line is thrown away: it was reported as garbled when it got too long. */
  #skipping = false
  /** The N of the prefix, which must not change; −1 before the first line. */
  #number = -1

  constructor(sizeBytes: number, prefixed: boolean, listener: LineListener) {
    this.#listener = listener
    this.#prefixed = prefixed
    this.#lineBytesMax = sizeBytes + PREFIX_BYTES_MAX
  }

  push(bytes: Buffer, end: number): void {
    let start = 0
    while (start < end) {
      const found = bytes.indexOf(NEWLINE, start)
      // The buffer may hold older bytes behind `end`.
      const newline = found === -1 || found >= end ? -1 : found
      if (newline === -1) {
        this.#keep(bytes, start, end)
        return
      }
      if (this.#skipping) this.#skipping = false
      else if (this.#restBytes === 0) this.#line(bytes, start, newline)
      else {
        this.#keep(bytes, start, newline)
        const length = this.#restBytes
        this.#restBytes = 0
        if (this.#skipping) this.#skipping = false
        else if (this.#rest !== undefined) this.#line(this.#rest, 0, length)
      }
      start = newline + 1
    }
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (this.#skipping) return
    if (this.#restBytes + end - start > this.#lineBytesMax) {
      this.#skipping = true
      this.#restBytes = 0
      this.#listener.garbled()
      return
    }
    this.#rest ??= Buffer.allocUnsafe(this.#lineBytesMax)
    bytes.copy(this.#rest, this.#restBytes, start, end)
    this.#restBytes += end - start
  }

  #line(bytes: Buffer, start: number, end: number): void {
    const content = this.#prefixed ? this.#afterPrefix(bytes, start, end) : start
    if (content < 0) this.#listener.garbled()
    else this.#listener.received(bytes, content, end)
  }

  /** Where the line's content starts, or −1 when the prefix is missing or names another connection. */
  #afterPrefix(bytes: Buffer, start: number, end: number): number {
    let at = start
    for (let index = 0; index < PREFIX.length; index++) if (bytes[at++] !== PREFIX[index]) return -1
    let number = 0
    for (; at < end; at++) {
      const digit = (bytes[at] ?? 0) - 48
      if (digit < 0 || digit > 9) break
      number = number * 10 + digit
    }
    if (at + 2 > end || bytes[at] !== 93 || bytes[at + 1] !== 32) return -1 // "] "
    if (this.#number === -1) this.#number = number
    return number === this.#number ? at + 2 : -1
  }
}
