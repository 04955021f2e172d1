// The framing of a WebSocket connection: joins the codec's protocol (websocket/protocol.ts) to a connection's input
// and output and to a service's handler.

import { copyBytes } from '../lib/bytes.ts'
import type { CloseReason } from '../observe/family.ts'
import type { Connection } from './connection.ts'
import type { Framing, Wire } from './framing.ts'
import type { FrozenConnection, FrozenFraming } from './frozen-connection.ts'
import type { WebSocketHandler } from './handler.ts'
import { COALESCE_BYTES_MAX } from './outbox.ts'
import { decodeFrames } from './websocket/deflate.ts'
import {
  CONTROL_PAYLOAD_BYTES_MAX,
  encodeFrameHeader,
  FRAME_HEADER_BYTES_MAX,
  frameHeaderBytes,
  type OPCODE,
} from './websocket/frame.ts'
import {
  type WebSocketHandler as FrameHandler,
  type FrozenProtocol,
  type WebSocketOutput,
  WebSocketProtocol,
} from './websocket/protocol.ts'
import type { ReceiverLimits } from './websocket/receiver.ts'

const ABNORMAL = 1006
const EMPTY = Buffer.alloc(0)

export class WebSocketFraming implements Framing, WebSocketOutput, FrameHandler {
  readonly #connection: Connection
  readonly #handler: WebSocketHandler
  readonly #protocol: WebSocketProtocol
  #closeCode = ABNORMAL

  /** `frozen`: where the same connection stopped in another loop. */
  constructor(connection: Connection, handler: WebSocketHandler, limits: ReceiverLimits, frozen?: FrozenProtocol) {
    this.#connection = connection
    this.#handler = handler
    this.#protocol = new WebSocketProtocol(limits, this, this, frozen)
  }

  // ---- Framing: called by the connection --------------------------------------------------------------------------

  opened(value: unknown): unknown {
    this.#connection.state = this.#handler.open?.(this.#connection, value)
    return this.#connection.state
  }

  thawed(frozen: FrozenConnection): unknown {
    this.#protocol.drained()
    this.#connection.state = this.#handler.thaw?.(this.#connection, frozen.state)
    return this.#connection.state
  }

  get wire(): Wire {
    return this.#protocol.deflate ? 'deflated' : 'frame'
  }

  get movable(): boolean {
    return this.#handler.thaw !== undefined
  }

  get settled(): boolean {
    return this.#handler.settled === undefined || this.#handler.settled(this.#connection)
  }

  freeze(): FrozenFraming {
    const state = this.#handler.freeze?.(this.#connection)
    const { deflate } = this.#protocol
    return { transport: 'ws', state, webSocket: { deflate, protocol: this.#protocol.freeze() } }
  }

  push(bytes: Buffer, start: number, end: number): number {
    return this.#protocol.push(bytes, start, end)
  }

  ended(): void {
    // A FIN without a close frame: the peer hears nothing any more that would be worth saying [RFC 6455 7.1.4].
    this.#connection.finish('client')
  }

  send(payload: Uint8Array | string, isBinary: boolean): void {
    this.#protocol.send(payload, isBinary)
  }

  sendPing(payload: Uint8Array = EMPTY): void {
    if (payload.byteLength > CONTROL_PAYLOAD_BYTES_MAX) {
      throw new RangeError(`${payload.byteLength} bytes are too many for a ping`)
    }
    this.#protocol.sendPing(payload)
  }

  shared(bytes: Uint8Array, messages: number): boolean {
    return this.#handler.shared?.(this.#connection, bytes, messages) === true
  }

  unframe(frame: Uint8Array, message: (payload: Uint8Array, isBinary: boolean) => void): void {
    decodeFrames(frame, message)
  }

  closing(reason: CloseReason): void {
    this.#handler.closing?.(this.#connection, reason)
  }

  close(code: number, text: string): void {
    this.#protocol.sendClose(code, text)
  }

  writable(): unknown {
    if (!this.#connection.open) return undefined
    this.#protocol.drained()
    return this.#handler.writable?.(this.#connection)
  }

  timedOut(): unknown {
    if (this.#handler.timeout !== undefined) return this.#handler.timeout(this.#connection)
    this.#connection.closeIdle()
    return undefined
  }

  closeIdle(): void {
    // The peer is silent: there is nobody to wait for.
    this.#connection.blame('idle_timeout')
    this.#protocol.drop(1001, 'idle timeout')
    this.#connection.destroySoon()
  }

  /** The socket is gone. */
  lost(reason: CloseReason): void {
    this.#protocol.lost()
    this.#connection.watch(this.#handler.close?.(this.#connection, reason, this.#closeCode))
  }

  // ---- FrameHandler: called by the protocol -----------------------------------------------------------------------

  message(payload: Buffer, isBinary: boolean): void {
    this.#connection.loop.countMessage(this.#connection.service, 0)
    this.#connection.watch(this.#handler.message(this.#connection, payload, isBinary))
  }

  ping(): void {
    // Answered by the protocol.
  }

  pong(payload: Buffer): void {
    this.#connection.watch(this.#handler.pong?.(this.#connection, payload))
  }

  tooLarge(): void {
    this.#connection.sayLastWords('too_large')
  }

  closed(code: number): void {
    this.#closeCode = code
  }

  // ---- WebSocketOutput: called by the protocol --------------------------------------------------------------------

  writeFrame(opcode: typeof OPCODE.text | typeof OPCODE.binary, payload: Uint8Array, rsv1: boolean): void {
    const connection = this.#connection
    const bytes = payload.byteLength
    if (bytes + FRAME_HEADER_BYTES_MAX > COALESCE_BYTES_MAX) {
      const frame = Buffer.allocUnsafeSlow(frameHeaderBytes(bytes) + bytes)
      const headerBytes = encodeFrameHeader(frame, 0, opcode, bytes, rsv1)
      frame.set(payload, headerBytes)
      connection.writeShared(frame)
    } else {
      const at = connection.reserve(frameHeaderBytes(bytes) + bytes)
      const { arena } = connection.loop.outbox
      const headerBytes = encodeFrameHeader(arena, at, opcode, bytes, rsv1)
      copyBytes(payload, 0, bytes, arena, at + headerBytes)
    }
    connection.loop.countMessage(connection.service, 1)
  }

  writeEncoded(frame: Uint8Array): void {
    this.#connection.writeShared(frame)
    this.#connection.loop.countMessage(this.#connection.service, 1)
  }

  writeControl(frame: Uint8Array): void {
    // In order, behind what was sent before: a close frame must not overtake the messages it follows.
    this.#connection.write(frame)
  }

  congested(): boolean {
    return this.#connection.congested
  }

  paused(): boolean {
    return this.#connection.paused
  }

  awaitClose(): void {
    this.#connection.expectClose()
  }

  finish(code: number, byPeer: boolean): void {
    this.#connection.finish(byPeer ? 'client' : code === 1009 ? 'too_large' : 'protocol_error')
  }
}
