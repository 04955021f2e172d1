// A TCP connection of a tool: text out, whole lines in, one after another. Knows nothing of what the lines mean.
import { connect, type Socket } from 'node:net'

/** A page of 200 messages, each of 4000 bytes that JSON has to escape, stays below it. */
const LINE_CHARACTERS_MAX = 8 * 1024 * 1024

/** The next line without its newline, or why there is none any more. */
export type NextLine = { readonly line: string; readonly end?: never } | { readonly line?: never; readonly end: string }

export class LineConnection implements Disposable {
  readonly #socket: Socket
  readonly #lines: string[] = []
  readonly #decoder = new TextDecoder()
  #rest = ''
  #end: string | undefined
  #waiting: ((next: NextLine) => void) | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#push(this.#decoder.decode(bytes, { stream: true })))
    socket.on('error', (error) => this.end(`connection lost: ${error.message}`))
    socket.on('close', () => this.end('the server closed the connection'))
  }

  /** Connected, or the reason why not. `signal` ends the connection with `interrupted`. */
  static open(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<LineConnection | string> {
    const { promise, resolve } = Promise.withResolvers<LineConnection | string>()
    const socket = connect({ host, port, noDelay: true })
    const fail = (reason: string): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', interrupt)
      socket.destroy()
      resolve(reason)
    }
    const interrupt = (): void => fail('interrupted')
    const timer = setTimeout(() => fail(`cannot connect to ${host}:${port}: no answer`), timeoutMs)
    const refused = (error: Error): void => fail(`cannot connect to ${host}:${port}: ${reasonOf(error)}`)
    signal.addEventListener('abort', interrupt)
    socket.once('error', refused)
    socket.once('connect', () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', interrupt)
      socket.off('error', refused)
      const connection = new LineConnection(socket)
      signal.addEventListener('abort', () => connection.end('interrupted'), { once: true })
      resolve(connection)
    })
    if (signal.aborted) interrupt()
    return promise
  }

  send(text: string): void {
    this.#socket.write(text)
  }

  /** One at a time. Without `timeoutMs` it waits for as long as the connection lives. */
  async next(timeoutMs?: number): Promise<NextLine> {
    const line = this.#lines.shift()
    if (line !== undefined) return { line }
    if (this.#end !== undefined) return { end: this.#end }
    const { promise, resolve } = Promise.withResolvers<NextLine>()
    this.#waiting = resolve
    const late = (): void => resolve({ end: 'no answer in time' })
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting = undefined
    }
  }

  /** Lines that have arrived are still answered. */
  end(reason: string): void {
    if (this.#end !== undefined) return
    this.#end = reason
    this.#socket.destroy()
    this.#waiting?.({ end: reason })
  }

  [Symbol.dispose](): void {
    this.end('done')
  }

  #push(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (this.#waiting === undefined) this.#lines.push(line)
      else {
        this.#waiting({ line })
        this.#waiting = undefined
      }
    }
    if (this.#rest.length > LINE_CHARACTERS_MAX) this.end('an endless line')
  }
}

/** `localhost` is tried at two addresses, and what is wrong with both has no message of its own. */
function reasonOf(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as unknown) : error
  return inner instanceof Error ? inner.message : error.message
}
