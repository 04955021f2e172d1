// A WebSocket connection of the load generator: the `ws` client on a socket of our own.
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { WebSocket } from 'ws'
import { codeOf, type Link, type LinkAddress, type LinkListener, openFailure } from './link.ts'
import type { LoadPlan } from './plan.ts'

type Listener = Pick<LinkListener, 'opened' | 'received' | 'garbled' | 'closed'>

/** What is asked for. */
export interface WsRequest {
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

export class WsLink implements Link {
  readonly #websocket: WebSocket
  readonly #listener: Listener
  readonly #binary: boolean
  readonly #options: { binary: boolean }
  #socket: Socket | undefined
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #timer: NodeJS.Timeout | undefined
  /** What the last error was called, for the close that follows it. */
  #error = ''

  constructor(plan: LoadPlan, where: LinkAddress, listener: Listener, request: WsRequest) {
    this.#listener = listener
    this.#binary = plan.binary
    this.#options = { binary: plan.binary }
    const scheme = plan.secure ? 'wss' : 'ws'
    const host = plan.host.includes(':') ? `[${plan.host}]` : plan.host
    this.#websocket = new WebSocket(`${scheme}://${host}:${plan.port}${request.path}`, {
      headers: request.headers,
      perMessageDeflate: false,
      // The content is compared byte by byte anyway.
      skipUTF8Validation: true,
      createConnection: () => {
        this.#socket = plan.secure ? secureSocket(plan, where) : connect(optionsOf(where))
        return this.#socket
      },
    })
    // ws's own handshake timeout does not see a socket of ours.
    this.#timer = setTimeout(() => {
      this.#finish('connect-timeout', '')
      this.#websocket.terminate()
    }, plan.timeoutMs)
    this.#listen()
  }

  get bufferedBytes(): number {
    return this.#socket?.writableLength ?? 0
  }

  begin(): void {
    this.#socket?.cork()
  }

  send(message: Buffer): void {
    // ws copies while it masks, as long as it is handed a Buffer.
    this.#websocket.send(message, this.#options)
  }

  end(): void {
    this.#socket?.uncork()
  }

  close(): void {
    if (this.#state === 'open') this.#websocket.close(1000)
    else this.#websocket.terminate()
    this.#state = 'closed'
    this.#stopTimer()
  }

  #listen(): void {
    const websocket = this.#websocket
    websocket.on('open', () => {
      if (this.#state !== 'opening') return
      this.#state = 'open'
      this.#stopTimer()
      this.#listener.opened()
    })
    websocket.on('message', (data: Buffer, binary: boolean) => {
      if (binary === this.#binary) this.#listener.received(data, 0, data.length)
      else this.#listener.garbled()
    })
    websocket.on('unexpected-response', (_request, response) => {
      this.#finish('rejected', `HTTP ${response.statusCode}`)
      websocket.terminate()
    })
    websocket.on('error', (error) => {
      this.#error = codeOf(error)
      if (this.#state !== 'opening') return
      this.#finish(...openFailure(error))
    })
    websocket.on('close', (code, reason) => {
      const kind = this.#state === 'opening' ? 'connect-failed' : 'closed'
      this.#finish(kind, [code, reason.toString('utf8'), this.#error].filter((part) => part !== '').join(' '))
    })
  }

  #finish(...end: Parameters<LinkListener['closed']>): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#stopTimer()
    this.#listener.closed(...end)
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

/** Of one connection: the plan's, with a session key of its own when that is wanted. */
export function requestOf({ path, sessionKeys }: LoadPlan, connection: number): WsRequest {
  const key = `${path.includes('?') ? '&' : '?'}session=key-${connection}`
  return { path: sessionKeys ? path + key : path, headers: {} }
}

function optionsOf(where: LinkAddress): { host: string; port: number; localAddress?: string } {
  const { address: host, port, localAddress } = where
  return localAddress === undefined ? { host, port } : { host, port, localAddress }
}

function secureSocket(plan: LoadPlan, where: LinkAddress): Socket {
  // A server name must not be an address.
  const name = /^[\d.]+$|:/.test(plan.host) ? {} : { servername: plan.host }
  return connectTls({ ...optionsOf(where), ...name, rejectUnauthorized: !plan.insecure })
}
