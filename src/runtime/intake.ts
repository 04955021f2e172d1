// What a shard does with a connection that was handed to it: rebuilds the socket, puts TLS or HTTP in front where the
// listener says so, and adds it to the loop with its service's handler. One that was open in another shard goes on.
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { Connection } from '../net/connection.ts'
import type { EventLoop, FramingFactory } from '../net/event-loop.ts'
import type { FrozenConnection } from '../net/frozen-connection.ts'
import type { WebSocketHandler } from '../net/handler.ts'
import type { TcpHandle } from '../net/handoff.ts'
import type { Handover } from '../net/handover.ts'
import { createHttpServer, type HttpServer } from '../net/http-server.ts'
import type { ConnectionIdentity } from '../net/identity.ts'
import type { ListenerSpec } from '../net/listener-spec.ts'
import { StreamFraming } from '../net/tcp.ts'
import type { UpgradeBook } from '../net/upgrade.ts'
import { WebSocketFraming } from '../net/web-socket.ts'
import type { FrozenProtocol } from '../net/websocket/protocol.ts'
import type { ReceiverLimits } from '../net/websocket/receiver.ts'
import type { CloseReason } from '../observe/family.ts'
import { countArrived, countOpened } from '../observe/figure.ts'
import type { LimitedLogger, Logger } from '../observe/logger.ts'
import type { ServiceHandlers } from '../services/service.ts'

/** Lines per second about slow clients, and about one kind of bad input. */
const SLOW_LOGGED_PER_SECOND = 2
const BAD_INPUT_LOGGED_PER_SECOND = 5
const WS_MESSAGE_BYTES_MAX = 1024 * 1024

export interface IntakeOptions {
  readonly loop: EventLoop
  readonly listeners: readonly ListenerSpec[]
  /** By service index; filled when the services have started. */
  readonly handlers: readonly ServiceHandlers[]
  readonly log: Logger
}

export class Intake {
  readonly #options: IntakeOptions
  readonly #secure: (SecureContext | undefined)[]
  /** By listener, made for its first connection: the handlers are there by then. */
  readonly #servers: HttpServer[] = []
  readonly #upgradeBook: UpgradeBook = { waiting: 0 }
  readonly #badRequests: LimitedLogger
  readonly #badTls: LimitedLogger
  readonly #badThaws: LimitedLogger
  /** By service index, without and with deflate: one object for all connections, because it is part of each of them. */
  readonly #limits: [plain: ReceiverLimits, deflate: ReceiverLimits][] = []
  /** TLS handshakes under way, each with the function that ends it. */
  readonly #handshakes = new Map<TLSSocket, (reason: CloseReason) => void>()

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#badRequests = options.log.limited('net.request_refused', BAD_INPUT_LOGGED_PER_SECOND)
    this.#badTls = options.log.limited('net.tls_failed', BAD_INPUT_LOGGED_PER_SECOND)
    this.#badThaws = options.log.limited('net.thaw_failed', BAD_INPUT_LOGGED_PER_SECOND)
    const slow = options.log.limited('net.client_slow', SLOW_LOGGED_PER_SECOND)
    options.loop.onSlow = (serviceIndex, connection, bytes) =>
      slow.warn({ service: this.#serviceOf(serviceIndex), connection, bytes })
    this.#secure = options.listeners.map(({ tls }) =>
      tls === undefined
        ? undefined
        : createSecureContext({ cert: readFileSync(tls.cert), key: readFileSync(tls.key), minVersion: 'TLSv1.2' }),
    )
  }

  /** Sockets that are not connections yet. */
  get size(): number {
    return this.#handshakes.size
  }

  close(): void {
    for (const end of this.#handshakes.values()) end('shutdown')
  }

  take(handover: Handover): void {
    const listener = this.#options.listeners[handover.listener]
    if (listener === undefined) return
    const { loop } = this.#options
    countOpened(loop.figures, listener.serviceIndex)
    const socket = handover.handle === undefined ? (handover.socket as Socket) : loop.adopt(handover.handle)
    const identity: ConnectionIdentity = {
      id: handover.id,
      serial: handover.serial,
      remote: { address: handover.address, port: handover.port },
      session: handover.session,
      service: listener.serviceIndex,
    }
    const secureContext = this.#secure[handover.listener]
    if (secureContext === undefined) this.#admit(listener, socket, identity, handover.head, handover.acceptedMs)
    else this.#secureFirst(listener, socket, identity, handover, secureContext)
  }

  /**
   * Goes on with a connection of another shard. Undefined, and it is closed: its service does not run here, or cannot
   * take a connection over.
   */
  thaw(
    frozen: FrozenConnection,
    handle: TcpHandle,
    unpack: (connection: Connection) => void = () => {},
  ): Connection | undefined {
    const { loop } = this.#options
    const framing = this.#framingOf(frozen)
    if (framing !== undefined) return loop.thaw(frozen, handle, framing, unpack)
    handle.close()
    if (frozen.service >= 0) countArrived(loop.figures, frozen.service)
    loop.ended(frozen.service, frozen.id, 'error')
    this.#badThaws.warn({
      service: this.#serviceOf(frozen.service),
      transport: frozen.transport,
      connection: frozen.id,
    })
    return undefined
  }

  #serviceOf(index: number): string | undefined {
    return this.#options.listeners.find(({ serviceIndex }) => serviceIndex === index)?.service
  }

  #framingOf({ service, transport, webSocket, http }: FrozenConnection): FramingFactory | undefined {
    const { handlers: all, listeners, loop } = this.#options
    const handlers = all[service]
    if (http !== undefined) {
      const listener = listeners.find((one) => one.serviceIndex === service && one.transport === http.listener)
      return listener && this.#serverOf(listener)?.framing(loop.limits.headTimeoutMs, http)
    }
    if (transport === 'tcp') {
      const handler = handlers?.tcp
      return handler?.thaw === undefined ? undefined : (connection) => new StreamFraming(connection, handler)
    }
    const handler = handlers?.ws
    if (handler?.thaw === undefined || webSocket === undefined) return undefined
    const { deflate, protocol } = webSocket
    return (connection) => this.#webSocket(connection, handler, deflate, protocol)
  }

  #webSocket(
    connection: Connection,
    handler: WebSocketHandler,
    deflate: boolean,
    frozen?: FrozenProtocol,
  ): WebSocketFraming {
    const { service } = connection
    const messageBytesMax = this.#options.handlers[service]?.messageBytesMax ?? WS_MESSAGE_BYTES_MAX
    this.#limits[service] ??= [
      { messageBytesMax, deflate: false },
      { messageBytesMax, deflate: true },
    ]
    return new WebSocketFraming(connection, handler, this.#limits[service][deflate ? 1 : 0], frozen)
  }

  #admit(
    listener: ListenerSpec,
    socket: Socket,
    identity: ConnectionIdentity,
    head: Uint8Array | undefined,
    acceptedMs: number,
  ): void {
    const { loop, handlers } = this.#options
    const handler = handlers[listener.serviceIndex]?.tcp
    if (listener.transport === 'tcp' && handler !== undefined) {
      loop.add(socket, identity, (connection) => new StreamFraming(connection, handler), head)
      return
    }
    const leftMs = Math.max(1, acceptedMs + loop.limits.headTimeoutMs - loop.clock.nowMs())
    const server = this.#serverOf(listener)
    if (server !== undefined) {
      loop.add(socket, identity, server.framing(leftMs), head)
      return
    }
    socket.destroy()
    loop.ended(listener.serviceIndex, identity.id, 'error')
  }

  /** What answers requests; undefined: the service takes none here. */
  #serverOf(listener: ListenerSpec): HttpServer | undefined {
    const { transport } = listener
    if (transport !== 'ws' && transport !== 'http') return undefined
    const { http, ws } = this.#options.handlers[listener.serviceIndex] ?? {}
    const upgrading = transport === 'ws' ? ws : undefined
    if (http === undefined && upgrading === undefined) return undefined
    this.#servers[listener.index] ??= createHttpServer({
      listener: transport,
      handler: http,
      permessageDeflate: listener.permessageDeflate,
      refused: (status) => this.#badRequests.info({ service: listener.service, status }),
      upgrades: upgrading && {
        handler: upgrading,
        framing: (deflate) => (connection) => this.#webSocket(connection, upgrading, deflate),
        book: this.#upgradeBook,
      },
    })
    return this.#servers[listener.index]
  }

  #secureFirst(
    listener: ListenerSpec,
    socket: Socket,
    identity: ConnectionIdentity,
    handover: Handover,
    secureContext: SecureContext,
  ): void {
    const { loop } = this.#options
    if (handover.head !== undefined) socket.unshift(handover.head)
    const secure = new TLSSocket(socket, { isServer: true, secureContext })
    const end = (reason: CloseReason): void => {
      cancel()
      if (!this.#handshakes.delete(secure)) return
      loop.ended(identity.service, identity.id, reason)
      secure.destroy()
    }
    this.#handshakes.set(secure, end)
    const cancel = loop.after(loop.limits.headTimeoutMs, () => end('head_timeout'))
    const failed = (error?: Error): void => {
      if (!this.#handshakes.has(secure)) return
      this.#badTls.info({ service: listener.service, error: error?.message })
      end('protocol_error')
    }
    const closed = (): void => failed()
    secure.on('error', failed)
    secure.once('close', closed)
    secure.once('secure', () => {
      cancel()
      this.#handshakes.delete(secure)
      secure.off('error', failed)
      secure.off('close', closed)
      this.#admit(listener, secure, identity, undefined, loop.clock.nowMs())
    })
  }
}
