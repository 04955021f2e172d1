// Two event loops in one thread between which connections move as they do between threads: frozen, posted through a
// MessageChannel with their native handle, thawed. Real loopback sockets, a manual clock.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { MessageChannel } from 'node:worker_threads'
import type { Connection } from '../../src/net/connection.ts'
import { DEFAULT_LIMITS, EventLoop, type FramingFactory, type NetLimits } from '../../src/net/event-loop.ts'
import type { FrozenConnection } from '../../src/net/frozen-connection.ts'
import type { HttpHandler, TcpHandler, WebSocketHandler } from '../../src/net/handler.ts'
import { type TcpHandle, takeHandles } from '../../src/net/handoff.ts'
import { createHttpServer, type HttpServer } from '../../src/net/http-server.ts'
import { StreamFraming } from '../../src/net/tcp.ts'
import type { UpgradeBook } from '../../src/net/upgrade.ts'
import { WebSocketFraming } from '../../src/net/web-socket.ts'
import { FIGURE, FigureTable, figureOf } from '../../src/observe/figure.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'
import { turn, until } from './loop-fixture.ts'

/** What is spoken on the connections of a test, in both loops. */
export type Speaks =
  | { readonly tcp: TcpHandler; readonly ws?: never; readonly http?: never }
  | { readonly ws: WebSocketHandler; readonly tcp?: never; readonly http?: never; readonly messageBytesMax?: number }
  /** Requests, and with `upgrade` WebSockets on the same listener. */
  | { readonly http: HttpHandler; readonly upgrade?: WebSocketHandler; readonly tcp?: never; readonly ws?: never }

interface Posted {
  readonly frozen: FrozenConnection
  readonly handle: TcpHandle
}

export const DRAIN_MS = 1000

export class MoveFixture implements AsyncDisposable {
  readonly timers = new ManualTimers()
  readonly table = FigureTable.allocate()
  readonly loops: readonly [EventLoop, EventLoop]
  readonly failures: unknown[] = []
  /** What was sent to connections after they had moved. */
  readonly forwarded: string[] = []
  /** Ids of connections that ended. */
  readonly removed: number[] = []
  readonly #speaks: readonly [Speaks, Speaks]
  readonly #deflate: boolean
  readonly #servers: HttpServer[] = []
  /** Statuses of answers that the handler did not make. */
  readonly refused: number[] = []
  readonly upgradeBook: UpgradeBook = { waiting: 0 }
  readonly #server = createServer()
  readonly #accepted: TcpHandle[] = []
  readonly #clients: Socket[] = []
  readonly #channel = new MessageChannel()
  #arrived: Posted | undefined
  #count = 0

  /** `there`: what the second loop speaks, if it is not the same. */
  constructor(speaks: Speaks, options: { limits?: Partial<NetLimits>; deflate?: boolean; there?: Speaks } = {}) {
    this.#speaks = [speaks, options.there ?? speaks]
    this.#deflate = options.deflate ?? false
    this.loops = [this.#loop(8, options.limits), this.#loop(9, options.limits)]
    this.#channel.port2.on('message', (posted: Posted) => {
      this.#arrived = posted
    })
  }

  /** A client socket and the handle at its other end. */
  async accept(): Promise<{ client: Socket; handle: TcpHandle }> {
    if (!this.#server.listening) {
      this.#server.listen(0, '127.0.0.1')
      await once(this.#server, 'listening')
      takeHandles(
        this.#server,
        (handle) => this.#accepted.push(handle),
        (status) => this.failures.push(status),
      )
    }
    const client = connect({
      port: (this.#server.address() as AddressInfo).port,
      host: '127.0.0.1',
      allowHalfOpen: true,
    })
    client.setNoDelay(true)
    this.#clients.push(client)
    await once(client, 'connect')
    await until('accepted', () => this.#accepted.length > 0)
    return { client, handle: this.#accepted.shift() as TcpHandle }
  }

  /** A client socket and the connection at its other end, in the first loop. */
  async pair<State>(options: { session?: string } = {}): Promise<{ client: Socket; connection: Connection<State> }> {
    const { client, handle } = await this.accept()
    const id = ++this.#count
    const remote = { address: '127.0.0.1', port: client.localPort ?? 0 }
    const identity = { id, serial: id, remote, session: options.session ?? 'test', service: 0 }
    const socket = this.loops[0].adopt(handle)
    const connection = this.loops[0].add(socket, identity, this.framing())
    return { client, connection: connection as Connection<State> }
  }

  framing(frozen?: FrozenConnection, side: 0 | 1 = 0): FramingFactory {
    const speaks = this.#speaks[side]
    if (speaks.http !== undefined) {
      const { http, upgrade } = speaks
      const limits = { messageBytesMax: 1024, deflate: false }
      if (frozen?.webSocket !== undefined && upgrade !== undefined) {
        const { protocol } = frozen.webSocket
        return (connection) => new WebSocketFraming(connection, upgrade, limits, protocol)
      }
      this.#servers[side] ??= createHttpServer({
        listener: upgrade === undefined ? 'http' : 'ws',
        handler: http,
        refused: (status) => this.refused.push(status),
        upgrades: upgrade && {
          handler: upgrade,
          framing: () => (connection) => new WebSocketFraming(connection, upgrade, limits),
          book: this.upgradeBook,
        },
        permessageDeflate: false,
      })
      return this.#servers[side].framing(this.loops[side].limits.headTimeoutMs, frozen?.http)
    }
    if (speaks.tcp !== undefined) return (connection) => new StreamFraming(connection, speaks.tcp)
    const limits = {
      messageBytesMax: speaks.messageBytesMax ?? 1024 * 1024,
      deflate: frozen?.webSocket?.deflate ?? this.#deflate,
    }
    return (connection) => new WebSocketFraming(connection, speaks.ws, limits, frozen?.webSocket?.protocol)
  }

  /** Where a connection is. */
  at(id: number): Connection | undefined {
    return this.loops[0].get(id) ?? this.loops[1].get(id)
  }

  /** Moves a connection to the other loop; undefined if it could not. */
  async move(connection: Connection<never>): Promise<Connection | undefined> {
    const posted = await this.send(connection)
    if (posted === undefined) return undefined
    return this.thaw(posted, connection.loop)
  }

  thaw({ frozen, handle }: Posted, from: EventLoop): Connection {
    const side = from === this.loops[0] ? 1 : 0
    return this.loops[side].thaw(frozen, handle, this.framing(frozen, side))
  }

  /** The first half of a move: what arrives at the other side. */
  async send(connection: Connection<never>): Promise<Posted | undefined> {
    let over = false
    connection.drain(DRAIN_MS, (drained) => {
      const leaving = drained ? connection.freeze() : undefined
      if (leaving === undefined) over = true
      else this.#channel.port1.postMessage(leaving, [leaving.handle as unknown as MessagePort])
    })
    await until('the connection has arrived', () => over || this.#arrived !== undefined)
    const posted = this.#arrived
    this.#arrived = undefined
    return posted
  }

  get bytesIn(): number {
    return this.loops.reduce((sum, { figures }) => sum + figureOf(figures, FIGURE.bytesIn), 0)
  }

  get size(): number {
    return this.loops[0].size + this.loops[1].size
  }

  #loop(thread: number, limits: Partial<NetLimits> = {}): EventLoop {
    const loop: EventLoop = new EventLoop({
      clock: this.timers.clock,
      wheel: this.timers.wheel,
      limits: { ...DEFAULT_LIMITS, ...limits },
      figures: this.table.row(thread),
      unsentBytesOfProcess: () => loop.unsentBytes,
      onTurn: () => {},
      onHandlerError: (_connection, error) => this.failures.push(error),
      onRemoved: (connection) => this.removed.push(connection.id),
      onMoved: {
        send: (connection, payload, isBinary) =>
          this.forwarded.push(`${connection.id} ${isBinary ? 'binary' : 'text'} ${Buffer.from(payload as string)}`),
        close: (connection, code, reason) => this.forwarded.push(`${connection.id} close ${code} ${reason}`),
      },
    })
    return loop
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy()
    for (const loop of this.loops) for (const connection of loop.connections()) connection.destroy('shutdown')
    this.#server.close()
    this.#channel.port1.close()
    await turn()
  }
}

/** Moves it, which has to work. */
export async function moved(fixture: MoveFixture, connection: Connection<never>): Promise<Connection> {
  const there = await fixture.move(connection)
  assert.ok(there !== undefined, 'it moves')
  return there
}
