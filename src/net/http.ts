// The HTTP side of a WebSocket listener: Node's own server parses the heads, the codec checks the upgrade, and
// everything that is not one gets its answer here. It never listens; sockets are given to it.
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { CloseReason } from '../observe/family.ts'
import type { EventLoop } from './event-loop.ts'
import { checkUpgrade } from './websocket/handshake.ts'

/** Bytes of a request head, as in Apache and nginx. */
export const HEAD_BYTES_MAX = 16 * 1024

const NOT_UPGRADED = { status: 426, headers: { Upgrade: 'websocket' }, body: '' } as const

export interface UpgradeServerOptions {
  readonly loop: EventLoop
  readonly permessageDeflate: boolean
  /** The handshake is answered; `head` are bytes that came behind it. */
  readonly upgraded: (socket: Socket, request: IncomingMessage, head: Buffer, deflate: boolean) => void
  /** A request got another answer than 101. */
  readonly refused: (status: number) => void
}

export class UpgradeServer {
  readonly #server: Server
  readonly #loop: EventLoop
  readonly #options: UpgradeServerOptions
  readonly #refusals = new WeakMap<Socket, CloseReason>()
  /** Sockets that are neither upgraded nor gone, each with the function that takes it off the books. */
  readonly #waiting = new Map<Socket, () => void>()

  constructor(options: UpgradeServerOptions) {
    this.#loop = options.loop
    this.#options = options
    // The server does not listen, so Node's own head timeout (a sweep that starts with listening) never runs: the
    // wheel does it, for all sockets, from the moment they were accepted.
    const server = createServer({ maxHeaderSize: HEAD_BYTES_MAX })
    // One request per connection: a second head would have no timeout.
    server.maxRequestsPerSocket = 1
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head as Buffer))
    server.on('request', (request, response) => this.#answer(request, response))
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.#refuse(socket as Socket, error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400, {}, '')
    })
    this.#server = server
  }

  /** Takes a socket whose first bytes were `head`; the request head must be complete in `headMs`. `ended` if it ends without an upgrade. */
  add(socket: Socket, head: Uint8Array | undefined, headMs: number, ended: (reason: CloseReason) => void): void {
    let reason: CloseReason = 'client'
    const cancel = this.#loop.after(headMs, () => {
      reason = 'head_timeout'
      socket.destroy()
    })
    const gone = (): void => {
      cancel()
      this.#waiting.delete(socket)
      ended(this.#refusals.get(socket) ?? reason)
    }
    this.#waiting.set(socket, () => {
      cancel()
      this.#waiting.delete(socket)
      socket.off('close', gone)
    })
    socket.once('close', gone)
    if (head !== undefined && head.byteLength > 0) socket.unshift(head)
    this.#server.emit('connection', socket)
  }

  /** Sockets that are neither upgraded nor gone. */
  get size(): number {
    return this.#waiting.size
  }

  /** Drops the sockets that wait for their head. */
  close(): void {
    for (const socket of this.#waiting.keys()) {
      this.#refusals.set(socket, 'shutdown')
      socket.destroy()
    }
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const result = checkUpgrade(request, this.#options.permessageDeflate)
    if (!result.accept) {
      this.#refuse(socket, result.status, result.headers, result.body)
      return
    }
    this.#waiting.get(socket)?.()
    socket.write(result.response)
    this.#options.upgraded(socket, request, head, result.deflate)
  }

  /** A request without an upgrade, on a listener that serves nothing else. */
  #answer(request: IncomingMessage, response: ServerResponse): void {
    const result = checkUpgrade(request, false)
    const { status, headers, body } = result.accept ? NOT_UPGRADED : result
    this.#refusals.set(request.socket, 'bad_request')
    this.#options.refused(status)
    response.writeHead(status, closingHeaders(headers, body))
    response.end(request.method === 'HEAD' ? '' : body)
  }

  #refuse(socket: Socket, status: number, headers: Readonly<Record<string, string>>, body: string): void {
    this.#refusals.set(socket, 'bad_request')
    this.#options.refused(status)
    if (socket.writable) socket.end(responseOf(status, headers, body))
    else socket.destroy()
  }
}

export function responseOf(status: number, headers: Readonly<Record<string, string>>, body: string): string {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`]
  for (const [name, value] of Object.entries(closingHeaders(headers, body))) lines.push(`${name}: ${value}`)
  lines.push('', body)
  return lines.join('\r\n')
}

// `close` has to be in the Connection header that Node sees: a response of which only `maxRequestsPerSocket` says that
// it is the last one leaves its socket open for the keep-alive time.
function closingHeaders(headers: Readonly<Record<string, string>>, body: string): Record<string, string | number> {
  return {
    ...headers,
    Connection: headers.Upgrade === undefined ? 'close' : 'close, Upgrade',
    'Content-Type': 'text/plain',
    'Content-Length': Buffer.byteLength(body),
  }
}
