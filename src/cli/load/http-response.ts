// Splits what an HTTP/1.1 server sends into whole responses [RFC 9112 6]. Pure: bytes in, status codes out; the bodies
// are counted, not kept.
//
//   head ──► body ─────────────────────────────────────► head
//     └────► size ──► chunk ──► size … ──0──► trailer ──┘

const HEAD_BYTES_MAX = 16 * 1024
const SIZE_DIGITS_MAX = 8
const HEAD_END = Buffer.from('\r\n\r\n')
const NEWLINE = 10
const RETURN = 13

export interface ResponseListener {
  /** One response, head and body, has arrived. */
  responded(status: number): void
}

export class ResponseSplitter {
  readonly #listener: ResponseListener
  #state: 'head' | 'body' | 'size' | 'extension' | 'chunk' | 'trailer' = 'head'
  /** A head whose end has not arrived. */
  #head = ''
  #status = 0
  /** Bytes of the body or chunk that are missing; the line break behind a chunk counts. */
  #missing = 0
  #digits = 0
  /** Bytes of the trailer's line so far. */
  #lineBytes = 0

  constructor(listener: ResponseListener) {
    this.#listener = listener
  }

  /** Between responses: an end of the stream is no loss. */
  get idle(): boolean {
    return this.#state === 'head' && this.#head === ''
  }

  /** Undefined, or what makes the bytes no response that can be followed: the connection is of no use then. */
  push(bytes: Buffer, end: number): string | undefined {
    let at = 0
    while (at < end) {
      if (this.#state === 'head') {
        const headEnd = this.#headEnd(bytes, at, end)
        this.#head += bytes.toString('latin1', at, headEnd)
        at = headEnd
        if (this.#head.endsWith('\r\n\r\n')) {
          const problem = this.#begin()
          if (problem !== undefined) return problem
        } else if (this.#head.length > HEAD_BYTES_MAX) return 'an endless head'
      } else if (this.#state === 'body' || this.#state === 'chunk') {
        const taken = Math.min(this.#missing, end - at)
        at += taken
        this.#missing -= taken
        if (this.#missing === 0) {
          if (this.#state === 'body') this.#end()
          else this.#expectSize()
        }
      } else if (!this.#onByte(bytes[at++] ?? 0)) return 'a wrong chunk size'
    }
    return undefined
  }

  /** Behind the head, or `end`. */
  #headEnd(bytes: Buffer, start: number, end: number): number {
    // The blank line may have begun in the last read: then each byte is looked at.
    if (this.#head !== '') {
      let tail = this.#head.slice(-3)
      for (let at = start; at < end; at++) {
        tail += String.fromCharCode(bytes[at] ?? 0)
        if (tail.endsWith('\r\n\r\n')) return at + 1
        tail = tail.slice(-3)
      }
      return end
    }
    const found = bytes.indexOf(HEAD_END, start)
    return found === -1 || found + HEAD_END.length > end ? end : found + HEAD_END.length
  }

  #begin(): string | undefined {
    const head = this.#head.toLowerCase()
    this.#head = ''
    const [, status] = /^http\/1\.[01] (\d{3})[ \r]/.exec(head) ?? []
    if (status === undefined) return 'not HTTP'
    this.#status = Number(status)
    // Interim responses have no body, and the real one follows.
    if (this.#status < 200) return undefined
    if (this.#status === 204 || this.#status === 304) {
      this.#end()
      return undefined
    }
    if (/\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n/.test(head)) {
      this.#expectSize()
      return undefined
    }
    const [, length] = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n/.exec(head) ?? []
    if (length === undefined) return 'a body without a length'
    this.#missing = Number(length)
    this.#state = 'body'
    if (this.#missing === 0) this.#end()
    return undefined
  }

  #expectSize(): void {
    this.#state = 'size'
    this.#missing = 0
    this.#digits = 0
  }

  /** A byte of a chunk's size line or of the trailer; false when it cannot be there. */
  #onByte(byte: number): boolean {
    if (this.#state === 'trailer') {
      if (byte !== NEWLINE) this.#lineBytes += byte === RETURN ? 0 : 1
      else if (this.#lineBytes === 0) this.#end()
      else this.#lineBytes = 0
      return true
    }
    if (byte === NEWLINE) {
      if (this.#digits === 0) return false
      this.#lineBytes = 0
      this.#state = this.#missing === 0 ? 'trailer' : 'chunk'
      this.#missing += this.#missing === 0 ? 0 : 2
      return true
    }
    const digit = this.#state === 'size' ? hexOf(byte) : -1
    if (digit >= 0) {
      this.#missing = this.#missing * 16 + digit
      return ++this.#digits <= SIZE_DIGITS_MAX
    }
    this.#state = 'extension'
    return this.#digits > 0
  }

  #end(): void {
    this.#state = 'head'
    this.#listener.responded(this.#status)
  }
}

function hexOf(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const letter = byte | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}
