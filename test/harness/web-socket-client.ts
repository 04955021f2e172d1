// A WebSocket client on the `ws` package: messages in order, the close code, and the answer of a refused handshake.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { type ClientOptions, WebSocket } from 'ws'
import { within } from './wait.ts'

export interface Message {
  readonly data: Buffer
  readonly isBinary: boolean
}

export interface Closed {
  readonly code: number
  readonly reason: string
}

export class WebSocketClient implements Disposable {
  readonly raw: WebSocket
  readonly closed: Promise<Closed>
  readonly pongs: string[] = []
  readonly #messages: Message[] = []
  #waiter: ((message: Message | undefined) => void) | undefined
  #over = false

  constructor(raw: WebSocket) {
    this.raw = raw
    const { promise, resolve } = Promise.withResolvers<Closed>()
    this.closed = promise
    raw.on('message', (data: Buffer, isBinary: boolean) => {
      this.#messages.push({ data, isBinary })
      this.#wake()
    })
    raw.on('pong', (data: Buffer) => this.pongs.push(data.toString()))
    raw.on('error', () => {}) // 'close' follows
    raw.once('close', (code: number, reason: Buffer) => {
      this.#over = true
      this.#wake()
      resolve({ code, reason: reason.toString() })
    })
  }

  static async open(url: string, options: ClientOptions = {}): Promise<WebSocketClient> {
    const client = new WebSocketClient(new WebSocket(url, { perMessageDeflate: false, ...options }))
    await within(`a WebSocket to ${url}`, once(client.raw, 'open'))
    return client
  }

  get isOver(): boolean {
    return this.#over
  }

  send(data: string | Buffer): void {
    this.raw.send(data)
  }

  /** The next message; undefined when the connection is closed. One reader at a time. */
  next(deadlineMs?: number): Promise<Message | undefined> {
    const { promise, resolve } = Promise.withResolvers<Message | undefined>()
    this.#waiter = resolve
    this.#wake()
    return within('a message', promise, deadlineMs)
  }

  /** Sends text and answers the next message as text. */
  async ask(text: string): Promise<string | undefined> {
    this.send(text)
    return (await this.next())?.data.toString()
  }

  close(code?: number, reason?: string): void {
    this.raw.close(code, reason)
  }

  [Symbol.dispose](): void {
    this.raw.terminate()
  }

  #wake(): void {
    const waiter = this.#waiter
    if (waiter === undefined || (this.#messages.length === 0 && !this.#over)) return
    this.#waiter = undefined
    waiter(this.#messages.shift())
  }
}

/** The status of a handshake that is refused; 101 if it was not, 0 if the connection just ended. */
export async function handshakeStatus(url: string, options: ClientOptions = {}): Promise<number> {
  const socket = new WebSocket(url, { perMessageDeflate: false, ...options })
  const { promise, resolve } = Promise.withResolvers<number>()
  socket.once('open', () => resolve(101))
  socket.once('unexpected-response', (_request, response: IncomingMessage) => resolve(response.statusCode ?? 0))
  socket.once('error', () => resolve(0))
  const status = await within('the answer to a handshake', promise)
  socket.on('error', () => {}) // of the end that follows
  socket.terminate()
  return status
}
