// A hub that does what a test says, for what a real one does too rarely: cut connections, odd frames, certain orders.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'

const ANSWER_MS_MAX = 5000

export type Frame = Readonly<Record<string, unknown>>

/** Things that come, in order, and those who wait for them. */
class Arrivals<T> {
  readonly #items: T[] = []
  readonly #waiting: ((item: T) => void)[] = []

  push(item: T): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#items.push(item)
    else next(item)
  }

  async next(what: string): Promise<T> {
    const item = this.#items.shift()
    if (item !== undefined) return item
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#waiting.push(resolve)
    const timer = setTimeout(() => reject(new Error(`no ${what} in time`)), ANSWER_MS_MAX)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
    }
  }
}

export class Peer {
  readonly query: URLSearchParams
  readonly #socket: WebSocket
  readonly #frames = new Arrivals<Frame>()
  readonly #binary = new Arrivals<Buffer>()

  constructor(socket: WebSocket, url: string) {
    this.#socket = socket
    this.query = new URL(url, 'ws://hub').searchParams
    socket.on('message', (data: RawData, isBinary: boolean) => {
      if (isBinary) this.#binary.push(data as Buffer)
      else this.#frames.push(JSON.parse(String(data)) as Frame)
    })
  }

  /** `connected`, and the answer to the request for a token. */
  async welcome(frame: Frame = {}, token = 'token-1'): Promise<void> {
    this.send({ type: 'connected', client_id: 'c-1', user_id: null, reconnected: false, timestamp: 't', ...frame })
    if (this.query.has('offsets')) await this.answer('get_reconnection_token', { token, expires_in: 300 })
  }

  /** The next request, which must be of that type. */
  async request(type: string): Promise<Frame> {
    const frame = await this.#frames.next(type)
    if (frame.type !== type) throw new Error(`${type} was to come, and not ${JSON.stringify(frame)}`)
    return frame
  }

  /** Answers the next request; the reply has that name unless `type` is among its members. */
  async answer(type: keyof typeof REPLIES, members: Frame): Promise<Frame> {
    const request = await this.request(type)
    this.send({ type: REPLIES[type], ...members, id: request.id })
    return request
  }

  nextBinary(): Promise<Buffer> {
    return this.#binary.next('binary frame')
  }

  /** All in one segment, so that they arrive together. */
  send(...frames: readonly (Frame | Uint8Array)[]): void {
    const transport = (this.#socket as unknown as { readonly _socket: { cork(): void; uncork(): void } })._socket
    transport.cork()
    for (const frame of frames) this.#socket.send(frame instanceof Uint8Array ? frame : JSON.stringify(frame))
    transport.uncork()
  }

  sendText(text: string): void {
    this.#socket.send(text)
  }

  close(code: number, reason = ''): void {
    this.#socket.close(code, reason)
  }

  /** Without a close frame. */
  cut(): void {
    this.#socket.terminate()
  }
}

const REPLIES = {
  ping: 'pong',
  subscribe: 'subscribed',
  unsubscribe: 'unsubscribed',
  get_subscriptions: 'subscriptions',
  get_reconnection_token: 'reconnection_token',
  broadcast: 'broadcast_ack',
  recover: 'recovered',
} as const

export class ScriptedHub implements AsyncDisposable {
  /** The status of handshakes that come; 101 accepts them. */
  status = 101
  readonly #server: Server
  readonly #sockets: WebSocketServer
  readonly #peers = new Arrivals<Peer>()

  constructor(server: Server) {
    this.#server = server
    this.#sockets = new WebSocketServer({ noServer: true })
    server.on('upgrade', (request, socket, head) => {
      if (this.status !== 101) {
        socket.end(`HTTP/1.1 ${this.status} No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno`)
        return
      }
      this.#sockets.handleUpgrade(request, socket, head, (client) =>
        this.#peers.push(new Peer(client, request.url ?? '')),
      )
    })
  }

  static async start(): Promise<ScriptedHub> {
    const server = createServer((_request, response) => response.writeHead(426).end())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new ScriptedHub(server)
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws`
  }

  /** The next connection. */
  next(): Promise<Peer> {
    return this.#peers.next('connection')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate()
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
