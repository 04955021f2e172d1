// The seam between a connection and what is spoken on it: a byte stream (tcp.ts), WebSocket (web-socket.ts) or
// HTTP (http-framing.ts).
import type { CloseReason } from '../observe/family.ts'
import type { FrozenConnection, FrozenFraming } from './frozen-connection.ts'

/** What bytes on a connection look like: a stream, WebSocket frames, or frames that may be compressed. */
export type Wire = 'stream' | 'frame' | 'deflated'

/** One per connection. May throw what a handler throws: the connection then closes with 1011. */
export interface Framing {
  /** What bytes given to `sendShared` have to be. */
  readonly wire: Wire
  /** Answers the handler's state, which may be a promise. `value`: what its handshake was accepted with. */
  opened(value?: unknown): unknown
  /** Instead of `opened`, where a frozen connection goes on. */
  thawed(frozen: FrozenConnection): unknown
  /** The handler can go on in another loop. */
  readonly movable: boolean
  /** Nothing that belongs to it is under way elsewhere in this loop: it may move now. */
  readonly settled: boolean
  /** The framing's part of a frozen connection. */
  freeze(): FrozenFraming
  /** Handles `bytes[start, end)`; answers how many were taken. Fewer than all only when the handler paused or waits. */
  push(bytes: Buffer, start: number, end: number): number
  /** The peer half-closed. */
  ended(): void
  send(payload: Uint8Array | string, isBinary: boolean): void
  /** Asks whether the peer is there, where the protocol has a way to. */
  sendPing?(payload: Uint8Array | undefined): void
  /** Bytes for many: true if the handler sends them later. */
  shared(bytes: Uint8Array, messages: number): boolean
  /** Takes bytes apart that are framed already: the messages they are made of. */
  unframe(frame: Uint8Array, message: (payload: Uint8Array, isBinary: boolean) => void): void
  /** Lets the handler say something before `close` or `closeIdle`. */
  closing(reason: CloseReason): void
  /** Says good-bye in the protocol's way, then finishes the connection. */
  close(code: number, text: string, reason: CloseReason): void
  /** Ends a connection that cannot move when that costs nobody anything. Without it a connection stays until its end. */
  retire?(): void
  writable(): unknown
  timedOut(): unknown
  /** Ends a connection whose peer is silent, in the protocol's way. */
  closeIdle(): void
  /** The socket is gone. */
  lost(reason: CloseReason): void
}
