// Server frames: unmasked, final, encoded into a buffer of the caller or a new one. Knows nothing of connections.
//
//   byte 0            byte 1            then
//   FIN RSV1 0 0 op   0 length7         length ≤ 125: nothing; 126: 2 bytes of length; 127: 8 bytes of length
import { assert } from '../../lib/assert.ts'
import { CLOSE_CODE, isWireCloseCode } from './close-code.ts'

/** [RFC 6455 5.2] */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
export type Opcode = (typeof OPCODE)[keyof typeof OPCODE]

export const FIN = 0x80
export const RSV1 = 0x40
/** Longest header of a server frame: two bytes and a 64-bit length. */
export const FRAME_HEADER_BYTES_MAX = 10
/** Longest payload of a control frame [RFC 6455 5.5]. */
export const CONTROL_PAYLOAD_BYTES_MAX = 125
/** What a close frame has room for after its code. */
export const CLOSE_REASON_BYTES_MAX = CONTROL_PAYLOAD_BYTES_MAX - 2

const LENGTH_16 = 126
const LENGTH_64 = 127

/** How long the header before `payloadBytes` is. */
export function frameHeaderBytes(payloadBytes: number): number {
  if (payloadBytes < LENGTH_16) return 2
  return payloadBytes < 0x10000 ? 4 : FRAME_HEADER_BYTES_MAX
}

/** Writes the header of one final frame at `offset` and returns its length; `target` must have room for it. */
export function encodeFrameHeader(
  target: Uint8Array,
  offset: number,
  opcode: Opcode,
  payloadBytes: number,
  rsv1: boolean,
): number {
  target[offset] = rsv1 ? FIN | RSV1 | opcode : FIN | opcode
  if (payloadBytes < LENGTH_16) {
    target[offset + 1] = payloadBytes
    return 2
  }
  if (payloadBytes < 0x10000) {
    target[offset + 1] = LENGTH_16
    target[offset + 2] = payloadBytes >>> 8
    target[offset + 3] = payloadBytes
    return 4
  }
  target[offset + 1] = LENGTH_64
  // Bit operations see 32 bits; a payload may be longer.
  const high = Math.floor(payloadBytes / 0x1_0000_0000)
  target[offset + 2] = 0
  target[offset + 3] = 0
  target[offset + 4] = high >>> 8
  target[offset + 5] = high
  target[offset + 6] = payloadBytes >>> 24
  target[offset + 7] = payloadBytes >>> 16
  target[offset + 8] = payloadBytes >>> 8
  target[offset + 9] = payloadBytes
  return FRAME_HEADER_BYTES_MAX
}

/** One whole frame in a buffer of its own: encoded once, written to many. */
export function encodeFrame(payload: Uint8Array, opcode: Opcode, rsv1 = false): Buffer {
  const headerBytes = frameHeaderBytes(payload.length)
  const frame = Buffer.allocUnsafe(headerBytes + payload.length)
  encodeFrameHeader(frame, 0, opcode, payload.length, rsv1)
  frame.set(payload, headerBytes)
  return frame
}

/**
 * A close frame. Without a code (or with 1005, which means the same) it is empty; a reason over 123 bytes is cut at a
 * character.
 */
export function encodeCloseFrame(code: number = CLOSE_CODE.noStatus, reason = ''): Buffer {
  if (code === CLOSE_CODE.noStatus) return encodeFrame(new Uint8Array(0), OPCODE.close)
  assert(isWireCloseCode(code), `${code} may stand in a close frame`)
  const text = new Uint8Array(CLOSE_REASON_BYTES_MAX)
  // encodeInto stops before a character that does not fit.
  const textBytes = reason === '' ? 0 : new TextEncoder().encodeInto(reason, text).written
  const payload = new Uint8Array(2 + textBytes)
  payload[0] = code >>> 8
  payload[1] = code
  payload.set(text.subarray(0, textBytes), 2)
  return encodeFrame(payload, OPCODE.close)
}

/** A frame as a server sends it, taken apart; [start, end) is its payload. */
export interface FrameHeader {
  readonly opcode: number
  readonly rsv1: boolean
  readonly start: number
  readonly end: number
}

/** The frame that begins at `offset` of bytes that this module encoded. */
export function decodeFrameHeader(bytes: Uint8Array, offset: number): FrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset)
  const flags = view.getUint8(0)
  const length7 = view.getUint8(1)
  const payloadBytes =
    length7 < LENGTH_16 ? length7 : length7 === LENGTH_16 ? view.getUint16(2) : Number(view.getBigUint64(2))
  const start = offset + frameHeaderBytes(payloadBytes)
  return { opcode: flags & 0x0f, rsv1: (flags & RSV1) !== 0, start, end: start + payloadBytes }
}
