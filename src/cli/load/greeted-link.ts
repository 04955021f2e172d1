// A TCP connection to the chat service that says something before it counts as open: who it is, what it wants to hear.
//
//   connecting ──► greeting ──each answered with success──► open ──► closed
import { errorOf } from './chat-answer.ts'
import { LineSplitter } from './line.ts'
import type { Link, LinkAddress, LinkListener } from './link.ts'
import { TcpLink } from './tcp-link.ts'

/** Acknowledgements have 60 bytes; a pushed message has its content of at most 4000 bytes and some 200 around it. */
const LINE_BYTES_MAX = 8 * 1024

/** Told of lines once the connection is open. */
export type LineListener = Pick<LinkListener, 'opened' | 'received' | 'garbled' | 'closed'>

export class GreetedLink implements Link {
  readonly #tcp: TcpLink
  readonly #greetings: readonly string[]
  readonly #timeoutMs: number
  readonly #listener: LineListener
  /** Greetings that were answered. */
  #answered = 0
  #state: 'connecting' | 'greeting' | 'open' | 'closed' = 'connecting'
  #timer: NodeJS.Timeout | undefined

  constructor(where: LinkAddress, timeoutMs: number, greetings: readonly string[], listener: LineListener) {
    this.#greetings = greetings
    this.#timeoutMs = timeoutMs
    this.#listener = listener
    const lines = new LineSplitter(LINE_BYTES_MAX, false, {
      received: (bytes, start, end) => this.#onLine(bytes, start, end),
      garbled: () => {
        if (this.#state === 'open') listener.garbled()
      },
    })
    this.#tcp = new TcpLink(where, timeoutMs, {
      opened: () => this.#greet(),
      arrived: (bytes, end) => lines.push(bytes, end),
      closed: (kind, detail) =>
        this.#finish(kind === 'closed' && this.#state !== 'open' ? 'connect-failed' : kind, detail),
    })
  }

  get bufferedBytes(): number {
    return this.#tcp.bufferedBytes
  }

  begin(): void {
    this.#tcp.begin()
  }

  send(message: Buffer): void {
    this.#tcp.send(message)
  }

  end(): void {
    this.#tcp.end()
  }

  close(): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.#tcp.close()
  }

  #greet(): void {
    const greeting = this.#greetings[this.#answered]
    if (greeting === undefined) {
      this.#state = 'open'
      clearTimeout(this.#timer)
      this.#listener.opened()
      return
    }
    this.#state = 'greeting'
    this.#timer ??= setTimeout(() => this.#finish('connect-timeout', ''), this.#timeoutMs)
    this.#tcp.write(greeting)
  }

  #onLine(bytes: Buffer, start: number, end: number): void {
    if (this.#state === 'open') this.#listener.received(bytes, start, end)
    if (this.#state !== 'greeting') return
    const error = errorOf(bytes, start, end)
    if (error !== undefined) this.#finish('rejected', error)
    else {
      this.#answered++
      this.#greet()
    }
  }

  #finish(...end: Parameters<LinkListener['closed']>): void {
    if (this.#state === 'closed') return
    this.close()
    this.#listener.closed(...end)
  }
}
