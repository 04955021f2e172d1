// What one connection is still to be told, in order: answers to its requests, and pushes that came while requests were
// open. A push has its place behind them, so that a subscriber gets its ACK before its own message. Pure but for the
// output it is given.

/** A place in the queue. */
export interface Reply {
  /** An answer is text, a push is bytes. Undefined: it is not known yet. */
  content: string | Uint8Array | undefined
  /** Messages in it, if it is a push. */
  readonly messages: number
  /** When the last byte of its request was read, if that is to be measured; else 0. */
  readonly readMs: number
}

export interface ReplyOutput {
  answer(line: string, readMs: number): void
  push(bytes: Uint8Array, messages: number): void
}

/** Places that are done with are cleared away when they are so many, and half of all. */
const DONE_MAX = 256

export class ReplyQueue {
  /** Requests whose answer has not left. */
  requests = 0
  /** Of the pushes that wait. */
  heldBytes = 0
  readonly #output: ReplyOutput
  #places: Reply[] = []
  #done = 0

  constructor(output: ReplyOutput) {
    this.#output = output
  }

  get empty(): boolean {
    return this.#done === this.#places.length
  }

  /** The place of a request that is answered later, by `settle`. */
  open(readMs: number): Reply {
    const reply: Reply = { content: undefined, messages: 0, readMs }
    this.#places.push(reply)
    this.requests++
    return reply
  }

  /** An answer that is known at once. */
  answer(line: string): void {
    if (this.empty) this.#output.answer(line, 0)
    else {
      this.#places.push({ content: line, messages: 0, readMs: 0 })
      this.requests++
    }
  }

  /** Bytes that never change. */
  push(bytes: Uint8Array, messages: number): void {
    this.#places.push({ content: bytes, messages, readMs: 0 })
    this.heldBytes += bytes.byteLength
    this.#drain()
  }

  settle(reply: Reply, line: string): void {
    reply.content = line
    this.#drain()
  }

  #drain(): void {
    const places = this.#places
    for (; this.#done < places.length; this.#done++) {
      const { content, messages, readMs } = places[this.#done] as Reply
      if (content === undefined) break
      if (typeof content === 'string') {
        this.requests--
        this.#output.answer(content, readMs)
      } else {
        this.heldBytes -= content.length
        this.#output.push(content, messages)
      }
    }
    if (this.#done === places.length) {
      places.length = 0
      this.#done = 0
    } else if (this.#done > DONE_MAX && this.#done * 2 > places.length) {
      places.splice(0, this.#done)
      this.#done = 0
    }
  }
}
