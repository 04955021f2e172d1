// What the server does with frames: answers pings, shakes hands at the end, fails connections. Between the parser, a
// handler and an output; knows no socket and no timer.
//
//        sendClose(): close frame, awaitClose()              peer's close frame, or a violation: finish()
//   open ───────────────────────────────────────▶ closing ────────────────────────────────────────────▶ closed
//    └──── peer's close frame: the same back, finish() ─ a violation or drop(): close frame, finish() ─────▲
//   lost() leads to closed from anywhere. Each connection reports `closed` to its handler exactly once.
import { CLOSE_CODE } from './close-code.ts'
import { deflateMessage } from './deflate.ts'
import { encodeCloseFrame, encodeFrame, OPCODE } from './frame.ts'
import {
  type FailureCode,
  type FrameSink,
  type ReceiverLimits,
  type ReceiverState,
  WebSocketReceiver,
} from './receiver.ts'

/** How long after `awaitClose()` the connection is dropped (`lost()`) if the peer's close frame does not come. */
export const CLOSE_WAIT_MS = 5000
/** Reason text of close code 1009; the other failures have none. */
export const TOO_LARGE_REASON = 'message too large'

/** Where the bytes go. Nothing here may call back into the protocol before it returns. */
export interface WebSocketOutput {
  /** Queues one data frame: header (`encodeFrameHeader`) and payload, which is valid only during the call. */
  writeFrame(opcode: typeof OPCODE.text | typeof OPCODE.binary, payload: Uint8Array, rsv1: boolean): void
  /** Queues a whole encoded frame as it is. The buffer does not change afterwards. */
  writeEncoded(frame: Uint8Array): void
  /** Queues a pong or close frame, ahead of data frames that wait behind a slow peer where possible. */
  writeControl(frame: Uint8Array): void
  /** True while a slow peer has output waiting: then only the latest ping is remembered, until `drained()`. */
  congested(): boolean
  /** True if the handler wants no further message now. */
  paused(): boolean
  /** We sent the first close frame: after CLOSE_WAIT_MS without an answer the connection is lost. */
  awaitClose(): void
  /**
   * Nothing more will be written or read: flush, end, and swallow what still comes. `code` is what ended it: the peer's
   * close code, or ours after a violation or a drop.
   */
  finish(code: number, byPeer: boolean): void
}

export interface WebSocketHandler {
  /** The payload is a view that is valid only during the call; text is well-formed UTF-8. */
  message(payload: Buffer, isBinary: boolean): void
  /** Already answered. */
  ping(payload: Buffer): void
  pong(payload: Buffer): void
  /** A message was too long. What is sent now leaves before the close frame. */
  tooLarge?(): void
  /** The end: the peer's code, ours if we failed or dropped it, 1005 without a code, 1006 without a close frame. */
  closed(code: number, reason: string): void
}

export type ProtocolState = 'open' | 'closing' | 'closed'

/** A connection on its way to another thread; structured-cloneable. */
export interface FrozenProtocol {
  readonly state: ProtocolState
  readonly receiver: ReceiverState
  /** A ping that is still unanswered. */
  readonly ping?: Uint8Array
}

export class WebSocketProtocol implements FrameSink {
  readonly #limits: ReceiverLimits
  readonly #receiver: WebSocketReceiver
  readonly #output: WebSocketOutput
  readonly #handler: WebSocketHandler
  #state: ProtocolState
  /** The latest ping that could not be answered because output was backed up. */
  #ping: Uint8Array | undefined

  constructor(limits: ReceiverLimits, output: WebSocketOutput, handler: WebSocketHandler, frozen?: FrozenProtocol) {
    this.#limits = limits
    this.#receiver =
      frozen === undefined ? new WebSocketReceiver(limits) : WebSocketReceiver.thaw(limits, frozen.receiver)
    this.#output = output
    this.#handler = handler
    this.#state = frozen?.state ?? 'open'
    this.#ping = frozen?.ping
  }

  get state(): ProtocolState {
    return this.#state
  }

  /** Whether permessage-deflate was negotiated. */
  get deflate(): boolean {
    return this.#limits.deflate
  }

  /** Bytes from the peer, unmasked in place; returns how many were consumed (fewer than all if paused meanwhile). */
  push(bytes: Buffer, start: number, end: number): number {
    return this.#state === 'closed' ? end - start : this.#receiver.push(bytes, start, end, this)
  }

  /** Sends one message, compressed if that was negotiated and pays. False, and nothing sent, unless open. */
  send(payload: Uint8Array | string, isBinary = false): boolean {
    if (this.#state !== 'open') return false
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    const deflated = this.#limits.deflate ? deflateMessage(bytes) : undefined
    this.#output.writeFrame(isBinary ? OPCODE.binary : OPCODE.text, deflated ?? bytes, deflated !== undefined)
    return true
  }

  /** Sends a frame that was encoded once for many; compressed frames only where compression was negotiated. */
  sendEncoded(frame: Uint8Array): boolean {
    if (this.#state !== 'open') return false
    this.#output.writeEncoded(frame)
    return true
  }

  /** Sends a ping of at most 125 bytes. */
  sendPing(payload: Uint8Array): boolean {
    if (this.#state !== 'open') return false
    this.#output.writeControl(encodeFrame(payload, OPCODE.ping))
    return true
  }

  /** Starts the closing handshake. What the peer still sends before its close frame is read and not delivered. */
  sendClose(code?: number, reason?: string): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#output.writeControl(encodeCloseFrame(code, reason))
    this.#output.awaitClose()
  }

  /** Sends a close frame and ends without waiting for the peer's: it is gone, or too slow, or not trusted. */
  drop(code: number, reason = ''): void {
    if (this.#state === 'closed') return
    // After our close frame nothing else may be sent, not even a second one.
    if (this.#state === 'open') this.#output.writeControl(encodeCloseFrame(code, reason))
    this.#end(code, reason, false)
  }

  /** The transport ended: without the peer's close frame that is 1006. */
  lost(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#handler.closed(CLOSE_CODE.abnormal, '')
  }

  /** Output is no longer congested: the latest unanswered ping gets its pong. */
  drained(): void {
    const ping = this.#ping
    if (ping === undefined) return
    this.#ping = undefined
    if (this.#state === 'open') this.#output.writeControl(encodeFrame(ping, OPCODE.pong))
  }

  /** What the constructor in another thread needs to go on. */
  freeze(): FrozenProtocol {
    const frozen = { state: this.#state, receiver: this.#receiver.freeze() }
    return this.#ping === undefined ? frozen : { ...frozen, ping: this.#ping }
  }

  // FrameSink: called by the receiver only.

  message(payload: Buffer, isBinary: boolean): void {
    if (this.#state === 'open') this.#handler.message(payload, isBinary)
  }

  ping(payload: Buffer): void {
    if (this.#state !== 'open') return
    // A peer that floods us with pings and does not read must not fill memory with pongs: the latest one is enough
    // [RFC 6455 5.5.3].
    if (this.#output.congested()) this.#ping = Uint8Array.from(payload)
    else {
      this.#ping = undefined
      this.#output.writeControl(encodeFrame(payload, OPCODE.pong))
    }
    this.#handler.ping(payload)
  }

  pong(payload: Buffer): void {
    if (this.#state === 'open') this.#handler.pong(payload)
  }

  /** The peer's close frame; `sendClose` is ours. */
  close(code: number, reason: Buffer): void {
    if (this.#state === 'closed') return
    if (this.#state === 'open') this.#output.writeControl(encodeCloseFrame(code))
    this.#end(code, reason.toString(), true)
  }

  fail(closeCode: FailureCode): void {
    const isTooLarge = closeCode === CLOSE_CODE.messageTooLarge
    // Behind our close frame there is nothing more to say.
    if (isTooLarge && this.#state === 'open') this.#handler.tooLarge?.()
    this.drop(closeCode, isTooLarge ? TOO_LARGE_REASON : '')
  }

  stopped(): boolean {
    return this.#state !== 'closed' && this.#output.paused()
  }

  #end(code: number, reason: string, byPeer: boolean): void {
    this.#state = 'closed'
    this.#ping = undefined
    this.#output.finish(code, byPeer)
    this.#handler.closed(code, reason)
  }
}
