// The incremental parser of client frames [RFC 6455 5]: bytes in, messages and control frames out, no I/O. It holds
// nothing between frames, and can stop in the middle of anything and go on in another thread.
//
//            byte 0          byte 1            len7 126, 127           4 bytes
//   start ───────────▶ flags ───────▶ length ───────────▶ mask ───────────────────▶ payload ──▶ start
//                        └────────── len7 ≤ 125 ───────────┘
//   a violation, a message over the limit, or a close frame: ended, and the rest of the stream is swallowed
import { isUtf8 } from 'node:buffer'
import { assert } from '../../lib/assert.ts'
import { CLOSE_CODE, isWireCloseCode } from './close-code.ts'
import { inflateMessage } from './deflate.ts'
import { CONTROL_PAYLOAD_BYTES_MAX, FIN, OPCODE, RSV1 } from './frame.ts'
import { rotateMask, unmask, viewOf } from './unmask.ts'

export type FailureCode =
  | typeof CLOSE_CODE.protocolError
  | typeof CLOSE_CODE.invalidPayload
  | typeof CLOSE_CODE.messageTooLarge

/** Where frames go. Payloads are views that are valid only during the call. */
export interface FrameSink {
  message(payload: Buffer, isBinary: boolean): void
  ping(payload: Buffer): void
  pong(payload: Buffer): void
  /** The peer's close frame; 1005 if it was empty. Nothing follows. */
  close(code: number, reason: Buffer): void
  /** The peer broke a rule. Nothing follows. */
  fail(closeCode: FailureCode, error: string): void
  /** Asked after each message: true makes `push` return, so that the rest can wait. */
  stopped(): boolean
}

/** Shared by all connections of a listener. */
export interface ReceiverLimits {
  /** Longest message, as sent and after inflating; 1 to MESSAGE_BYTES_LIMIT. */
  readonly messageBytesMax: number
  /** Whether permessage-deflate was negotiated. */
  readonly deflate: boolean
}

/** Everything a receiver knows: plain data, structured-cloneable. */
export interface ReceiverState {
  readonly state: number
  readonly flags: number
  readonly frameBytes: number
  readonly missingBytes: number
  readonly mask: number
  readonly messageFlags: number
  readonly messageBytes: number
  /** Received but undelivered payload; absent between messages. */
  readonly kept?: Uint8Array
}

const STATE = { start: 0, flags: 1, length: 2, mask: 3, payload: 4, ended: 5 } as const

const MASKED = 0x80
const FIN_TEXT = FIN | OPCODE.text
const FIN_BINARY = FIN | OPCODE.binary
// A length saturates here while its bytes come in, so that every field stays a small integer (V8 boxes larger ones).
const HUGE = 2 ** 30 - 1
/** Upper bound of `messageBytesMax`. */
export const MESSAGE_BYTES_LIMIT = HUGE - 1
const EMPTY = Buffer.alloc(0)
/** Error texts of a message that did not inflate. */
export const INFLATE_ERROR = { corrupt: 'not deflate data', tooLarge: 'the message inflates beyond the limit' } as const

export class WebSocketReceiver {
  readonly #limits: ReceiverLimits
  #state: number = STATE.start
  /** First byte of the current frame. */
  #flags = 0
  /** Declared payload length of the current frame. */
  #frameBytes = 0
  /** What the current state still waits for. */
  #missingBytes = 0
  /** Rotated so that its lowest byte meets the next payload byte. */
  #mask = 0
  /** First byte of the first frame of a message that goes on; 0 outside of one. */
  #messageFlags = 0
  /** Declared payload bytes of the current message. */
  #messageBytes = 0
  // Payload of a split message, then of a split control frame. Grows with what was received, never with what was
  // declared; gone as soon as it is delivered.
  #kept: Buffer | undefined = undefined
  #keptBytes = 0

  constructor(limits: ReceiverLimits) {
    assert(limits.messageBytesMax > 0 && limits.messageBytesMax <= MESSAGE_BYTES_LIMIT, 'messageBytesMax is in range')
    this.#limits = limits
  }

  /**
   * Parses bytes [start, end), which it unmasks in place, and returns how many it consumed: all, or fewer if the sink
   * stopped it behind a message. The caller keeps the rest, untouched, and pushes it later.
   */
  push(bytes: Buffer, start: number, end: number, sink: FrameSink): number {
    const view = viewOf(bytes)
    let offset = start
    while (offset < end) {
      switch (this.#state) {
        case STATE.start: {
          const flags = view.getUint8(offset)
          // The common case in one step: a short message in one frame that is all here.
          if ((flags === FIN_TEXT || flags === FIN_BINARY) && offset + 6 <= end && this.#messageFlags === 0) {
            const frameBytes = view.getUint8(offset + 1) ^ MASKED // over 125 if unmasked or of extended length
            const from = offset + 6
            const to = from + frameBytes
            if (frameBytes <= CONTROL_PAYLOAD_BYTES_MAX && to <= end && frameBytes <= this.#limits.messageBytesMax) {
              const other = unmask(view, from, to, view.getInt32(offset + 2, true))
              const payload = bytes.subarray(from, to)
              offset = to
              if (flags === FIN_TEXT && other !== 0 && !isUtf8(payload)) {
                this.#failText(sink)
                break
              }
              sink.message(payload, flags === FIN_BINARY)
              if (sink.stopped()) return offset - start
              break
            }
          }
          this.#flags = flags
          this.#state = STATE.flags
          offset++
          break
        }
        case STATE.flags:
          this.#second(view.getUint8(offset++), sink)
          break
        case STATE.length: {
          const high = this.#frameBytes
          this.#frameBytes = high > HUGE >>> 8 ? HUGE : (high << 8) | view.getUint8(offset)
          offset++
          if (--this.#missingBytes === 0) this.#lengthKnown(sink)
          break
        }
        case STATE.mask:
          this.#mask |= view.getUint8(offset++) << ((4 - this.#missingBytes) << 3)
          if (--this.#missingBytes > 0) break
          this.#state = STATE.payload
          this.#missingBytes = this.#frameBytes
          // An empty frame has no further byte to wait for.
          if (this.#frameBytes === 0 && this.#payload(bytes, view, offset, offset, sink)) return offset - start
          break
        case STATE.payload: {
          const from = offset
          offset = Math.min(end, offset + this.#missingBytes)
          if (this.#payload(bytes, view, from, offset, sink)) return offset - start
          break
        }
        default:
          return end - start // ended
      }
    }
    return offset - start
  }

  /** What another thread needs to go on: `thaw` it there, and drop this receiver. */
  freeze(): ReceiverState {
    const state = {
      state: this.#state,
      flags: this.#flags,
      frameBytes: this.#frameBytes,
      missingBytes: this.#missingBytes,
      mask: this.#mask,
      messageFlags: this.#messageFlags,
      messageBytes: this.#messageBytes,
    }
    return this.#kept === undefined
      ? state
      : { ...state, kept: new Uint8Array(this.#kept.subarray(0, this.#keptBytes)) }
  }

  static thaw(limits: ReceiverLimits, state: ReceiverState): WebSocketReceiver {
    const receiver = new WebSocketReceiver(limits)
    receiver.#state = state.state
    receiver.#flags = state.flags
    receiver.#frameBytes = state.frameBytes
    receiver.#missingBytes = state.missingBytes
    receiver.#mask = state.mask
    receiver.#messageFlags = state.messageFlags
    receiver.#messageBytes = state.messageBytes
    if (state.kept !== undefined) {
      receiver.#kept = Buffer.from(state.kept.buffer, state.kept.byteOffset, state.kept.length)
      receiver.#keptBytes = state.kept.length
    }
    return receiver
  }

  /** Both header bytes are here: everything they can break is checked now, before any payload is waited for. */
  #second(byte: number, sink: FrameSink): void {
    const error = this.#headerError(byte)
    if (error !== undefined) {
      this.#end()
      sink.fail(CLOSE_CODE.protocolError, error)
      return
    }
    const length = byte & 0x7f
    if (length <= CONTROL_PAYLOAD_BYTES_MAX) {
      this.#frameBytes = length
      this.#lengthKnown(sink)
    } else {
      this.#frameBytes = 0
      this.#missingBytes = length === 126 ? 2 : 8
      this.#state = STATE.length
    }
  }

  #headerError(second: number): string | undefined {
    const flags = this.#flags
    const opcode = flags & 0x0f
    const fragmented = this.#messageFlags !== 0
    if ((flags & 0x30) !== 0) return 'RSV2 and RSV3 must be clear'
    if ((flags & RSV1) !== 0 && !this.#limits.deflate) return 'RSV1 must be clear without an extension'
    if (opcode >= OPCODE.close && opcode <= OPCODE.pong) {
      if ((flags & FIN) === 0) return 'a control frame must not be fragmented'
      if ((second & 0x7f) > CONTROL_PAYLOAD_BYTES_MAX) return 'a control frame must not be longer than 125 bytes'
      if (opcode === OPCODE.close && (second & 0x7f) === 1) return 'a close frame must not have one byte'
      if ((flags & RSV1) !== 0) return 'a control frame must not be compressed'
    } else if (opcode === OPCODE.continuation) {
      if (!fragmented) return 'there is no message to continue'
      if ((flags & RSV1) !== 0) return 'RSV1 belongs to the first frame of a message'
    } else if (opcode > OPCODE.binary) {
      return 'unknown opcode'
    } else if (fragmented) {
      return 'a message must be finished before the next'
    }
    return (second & MASKED) === 0 ? 'a client frame must be masked' : undefined
  }

  #lengthKnown(sink: FrameSink): void {
    if ((this.#flags & 0x0f) <= OPCODE.binary) {
      this.#messageBytes += this.#frameBytes
      if (this.#messageBytes > this.#limits.messageBytesMax) {
        this.#end()
        sink.fail(CLOSE_CODE.messageTooLarge, 'the message is longer than allowed')
        return
      }
    }
    this.#mask = 0
    this.#missingBytes = 4
    this.#state = STATE.mask
  }

  /** Takes bytes [from, to) of the current frame's payload; true if the sink wants to stop behind a message. */
  #payload(bytes: Buffer, view: DataView, from: number, to: number, sink: FrameSink): boolean {
    const taken = to - from
    const other = unmask(view, from, to, this.#mask)
    const flags = this.#flags
    const isControl = (flags & 0x0f) > OPCODE.binary
    const isFinal = (flags & FIN) !== 0
    if (taken === this.#frameBytes && (isControl || (isFinal && this.#messageFlags === 0))) {
      this.#state = STATE.start
      const payload = taken === 0 ? EMPTY : bytes.subarray(from, to)
      if (isControl) return this.#control(payload, sink)
      this.#messageBytes = 0
      return this.#message(payload, flags, other === 0, sink)
    }
    this.#keep(bytes, from, to)
    this.#missingBytes -= taken
    if (this.#missingBytes > 0) {
      this.#mask = rotateMask(this.#mask, taken)
      return false
    }
    this.#state = STATE.start
    if (isControl) return this.#control(this.#releaseFrame(), sink)
    if (this.#messageFlags === 0) this.#messageFlags = flags
    if (!isFinal) return false
    const messageFlags = this.#messageFlags
    const payload = this.#kept?.subarray(0, this.#keptBytes) ?? EMPTY
    this.#messageFlags = 0
    this.#messageBytes = 0
    this.#release()
    return this.#message(payload, messageFlags, false, sink)
  }

  #message(payload: Buffer, flags: number, isAscii: boolean, sink: FrameSink): boolean {
    const isBinary = (flags & 0x0f) === OPCODE.binary
    let message = payload
    let isChecked = isAscii
    if ((flags & RSV1) !== 0) {
      const inflated = inflateMessage(payload, this.#limits.messageBytesMax)
      if (typeof inflated === 'number') {
        this.#end()
        sink.fail(inflated, inflated === CLOSE_CODE.invalidPayload ? INFLATE_ERROR.corrupt : INFLATE_ERROR.tooLarge)
        return false
      }
      message = inflated
      isChecked = false
    }
    if (!isBinary && !isChecked && !isUtf8(message)) {
      this.#failText(sink)
      return false
    }
    sink.message(message, isBinary)
    return sink.stopped()
  }

  #control(payload: Buffer, sink: FrameSink): false {
    const opcode = this.#flags & 0x0f
    if (opcode === OPCODE.ping) sink.ping(payload)
    else if (opcode === OPCODE.pong) sink.pong(payload)
    else this.#close(payload, sink)
    return false
  }

  #close(payload: Buffer, sink: FrameSink): void {
    this.#end()
    if (payload.length === 0) {
      sink.close(CLOSE_CODE.noStatus, EMPTY)
      return
    }
    const code = payload.readUInt16BE(0)
    const reason = payload.subarray(2)
    if (!isWireCloseCode(code)) sink.fail(CLOSE_CODE.protocolError, 'the close code is not allowed')
    else if (!isUtf8(reason)) sink.fail(CLOSE_CODE.invalidPayload, 'the close reason is not UTF-8')
    else sink.close(code, reason)
  }

  #failText(sink: FrameSink): void {
    this.#end()
    sink.fail(CLOSE_CODE.invalidPayload, 'text is not UTF-8')
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    if (from === to) return
    const neededBytes = this.#keptBytes + to - from
    if (this.#kept === undefined || this.#kept.length < neededBytes) {
      // Doubling keeps copying linear, whatever a peer sends in small fragments with split pings between them. Only the
      // last frame of a message says how much is enough. Not from the pool: a slice of it would pin all of it for a
      // peer that sends slowly.
      const isLast = (this.#flags & FIN) !== 0 && (this.#flags & 0x0f) <= OPCODE.binary
      const enoughBytes = isLast ? this.#messageBytes : this.#limits.messageBytesMax + CONTROL_PAYLOAD_BYTES_MAX
      const roomBytes = Math.max(neededBytes, Math.min(2 * (this.#kept?.length ?? 0), enoughBytes))
      const grown = Buffer.allocUnsafeSlow(roomBytes)
      this.#kept?.copy(grown, 0, 0, this.#keptBytes)
      this.#kept = grown
    }
    this.#kept.set(bytes.subarray(from, to), this.#keptBytes)
    this.#keptBytes = neededBytes
  }

  /** The control frame at the end of what was kept, which is then forgotten. */
  #releaseFrame(): Buffer {
    const startBytes = this.#keptBytes - this.#frameBytes
    const payload = this.#kept?.subarray(startBytes, this.#keptBytes) ?? EMPTY
    if (startBytes === 0) this.#release()
    else this.#keptBytes = startBytes
    return payload
  }

  #release(): void {
    this.#kept = undefined
    this.#keptBytes = 0
  }

  #end(): void {
    this.#state = STATE.ended
    this.#release()
  }
}
