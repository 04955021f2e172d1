// What a service writes: the callbacks of its connections and datagrams. Knows no socket, no thread and no ring.

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { CloseReason } from '../observe/family.ts'
import type { Connection } from './connection.ts'
import type { RemoteAddress } from './identity.ts'

/** Handlers may be async; what they reject with is treated like what they throw: logged, counted, closed with 1011. */
export type HandlerResult = void | Promise<void>

/** Callbacks every kind of connection has. All are optional but `open`'s result becomes `connection.state`. */
interface CommonHandler<State> {
  /**
   * The connection is ready; what this returns becomes `connection.state`. `value` is what `upgrade` accepted a WebSocket
   * with.
   */
  open?(connection: Connection<State>, value?: unknown): State
  /**
   * What `thaw` needs to go on in another thread, where the connection moves now: structured-cloneable. Nothing is
   * queued for it any more; what is sent from here on travels after it. Neither `open` nor `close` is part of a move.
   */
  freeze?(connection: Connection<State>): unknown
  /**
   * The connection has moved here; called instead of `open`, with what `freeze` answered in the other thread. May send.
   * Whether it is paused, its timeout and unhandled bytes have come along; whoever is to resume it has not. Without
   * `thaw` a connection cannot move.
   */
  thaw?(connection: Connection<State>, frozen: unknown): State
  /**
   * False: it has to stay for now, because answers are on their way to it. Asked while it is about to move, again whenever
   * its output has been sent. Default: it may move.
   */
  settled?(connection: Connection<State>): boolean
  /**
   * What topics and other shards send to many (`sendShared`): true takes the bytes over, to be sent later with
   * `connection.sendShared(bytes, messages, true)`. They never change. Must not call back into topics. Default: sent at once.
   */
  shared?(connection: Connection<State>, bytes: Uint8Array, messages: number): boolean
  /** It is about to be closed for a reason of ours; what this sends leaves before the good-bye of its protocol. */
  closing?(connection: Connection<State>, reason: CloseReason): void
  /** Unsent output fell to a quarter of `net.sendBuffer.high` after `send` had answered false. */
  writable?(connection: Connection<State>): HandlerResult
  /** No byte went either way for the time given to `connection.setTimeout`. Default: close with 1001 `idle timeout`. */
  timeout?(connection: Connection<State>): HandlerResult
}

/** Callbacks of a byte stream (TCP, with or without TLS). */
export interface TcpHandler<State = unknown> extends CommonHandler<State> {
  /**
   * Bytes arrived. `bytes` is a view of the shard's receive buffer, valid only during the call. A number returned says
   * how many of them were taken: the rest is kept (up to `net.receiveBuffer`) and comes again in front of the next
   * bytes, or after `resume()` if the handler paused.
   */
  data(connection: Connection<State>, bytes: Buffer): number | HandlerResult
  /** The peer half-closed. Default: everything queued is sent, then the connection closes. */
  end?(connection: Connection<State>): HandlerResult
  /** The connection is gone; nothing can be sent any more. */
  close?(connection: Connection<State>, reason: CloseReason): HandlerResult
}

/** A handshake that is well-formed; its answer is up to the service. */
export interface UpgradeRequest {
  /** The request target as it was sent: path and query. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly remote: RemoteAddress
  /** The session key it was placed by. */
  readonly session: string
  /** Aborted when the client is gone or the shard ends: nobody needs the answer any more. */
  readonly signal: AbortSignal
}

export type UpgradeAnswer =
  /** `value` is what `open` gets. `protocol`: the subprotocol selected. */
  | { readonly accept: true; readonly value?: unknown; readonly protocol?: string }
  /** `body` is text/plain. */
  | {
      readonly accept: false
      readonly status: number
      readonly body: string
      readonly headers?: Readonly<Record<string, string>>
    }

/** Callbacks of a WebSocket. */
export interface WebSocketHandler<State = unknown> extends CommonHandler<State> {
  /**
   * Accepts or refuses a handshake; what it throws is a 500. It must answer some time, also when the signal says that
   * nobody waits: until then the handshake counts as waiting (UPGRADES_WAITING_MAX of a shard; beyond it 503). Default: all
   * are accepted.
   */
  upgrade?(request: UpgradeRequest): UpgradeAnswer | Promise<UpgradeAnswer>
  /** The handshake was accepted with `value`, but the client was gone before `open`. */
  abandoned?(value: unknown): void
  /** One whole message. `payload` is a view, valid only during the call; text has been checked to be UTF-8. */
  message(connection: Connection<State>, payload: Buffer, isBinary: boolean): HandlerResult
  /** A pong arrived (pings are answered by the runtime). */
  pong?(connection: Connection<State>, payload: Buffer): HandlerResult
  /** The connection is gone. `code` is the peer's close code, 1005 when it sent none, 1006 when it just vanished. */
  close?(connection: Connection<State>, reason: CloseReason, code: number): HandlerResult
}

/**
 * Answers one request: what Node's `http.Server` calls for 'request'. The connection behind it is the runtime's: it is
 * counted, kept alive, limited, and closed when its shard ends.
 */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void

/** Where a datagram came from, and the way back. Valid only during the call. */
export interface DatagramPeer {
  readonly address: string
  readonly port: number
  /** The session key the datagram was placed by. */
  readonly session: string
  /** Sends one datagram back from the socket it arrived on; false: dropped and counted, the way back is full. */
  send(payload: Uint8Array): boolean
}

/** Callback of a UDP listener. */
export interface UdpHandler {
  /** `payload` is a view, valid only during the call. */
  datagram(peer: DatagramPeer, payload: Buffer): HandlerResult
}
