// A TCP client that talks in lines; also one that reads raw bytes, or nothing at all.
import { once } from 'node:events'
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'
import { within } from './wait.ts'

export interface ConnectOptions {
  readonly port: number
  readonly host?: string
  /** The address to come from, such as 127.0.0.2. */
  readonly localAddress?: string
}

/** A connected socket with allowHalfOpen, whose errors show as its end. */
export async function openSocket(options: ConnectOptions): Promise<Socket> {
  const target: TcpNetConnectOpts = { host: '127.0.0.1', allowHalfOpen: true, noDelay: true, ...options }
  const socket = connect(target)
  await within('a connection', once(socket, 'connect'))
  socket.on('error', () => {}) // 'close' follows
  return socket
}

/** Everything the peer sends until its end (or a reset). */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('end', resolve)
  socket.once('close', () => resolve())
  await within('the end of the stream', promise)
  return Buffer.concat(chunks)
}

export class LineClient implements Disposable {
  readonly socket: Socket
  /** Settles when the peer ended its side: true after a FIN, false after a reset. */
  readonly ended: Promise<boolean>
  readonly #lines: string[] = []
  #waiter: ((line: string | undefined) => void) | undefined
  #rest = ''
  #over = false

  constructor(socket: Socket) {
    this.socket = socket
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.ended = promise
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#onText(text))
    socket.once('end', () => resolve(true))
    socket.once('close', () => resolve(false))
    void promise.then(() => {
      this.#over = true
      this.#wake()
    })
  }

  static async open(options: ConnectOptions): Promise<LineClient> {
    return new LineClient(await openSocket(options))
  }

  get isOver(): boolean {
    return this.#over
  }

  /** Writes lines, each with its newline. */
  say(...lines: readonly string[]): void {
    this.socket.write(lines.map((line) => `${line}\n`).join(''))
  }

  /** The next line without its newline; undefined at the end. One reader at a time. */
  next(deadlineMs?: number): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    this.#waiter = resolve
    this.#wake()
    return within('a line', promise, deadlineMs)
  }

  ask(line: string, deadlineMs?: number): Promise<string | undefined> {
    this.say(line)
    return this.next(deadlineMs)
  }

  /** FIN: nothing more will be written. */
  end(): void {
    this.socket.end()
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }

  #onText(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    this.#lines.push(...lines)
    this.#wake()
  }

  #wake(): void {
    const waiter = this.#waiter
    if (waiter === undefined || (this.#lines.length === 0 && !this.#over)) return
    this.#waiter = undefined
    waiter(this.#lines.shift())
  }
}
