// permessage-deflate without context takeover [RFC 7692]: each message is compressed by itself, so a compressed frame
// can be shared by all subscribers and a connection keeps no zlib state. Synchronous: a hop through libuv's pool costs
// more than a small message. Knows nothing of connections.
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { CLOSE_CODE } from './close-code.ts'
import { decodeFrameHeader, encodeFrame, OPCODE, type Opcode } from './frame.ts'

/** Shorter payloads stay as they are: the header of a deflate block eats the gain. The value of `ws`. */
export const DEFLATE_BYTES_MIN = 1024

// What a sync flush ends with; the sender drops it and the receiver puts it back [RFC 7692 7.2.1, 7.2.2].
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff])
// What we compressed ourselves was no longer than V8 allows.
const MESSAGE_BYTES_MAX = 2 ** 30
const EMPTY = Buffer.alloc(0)

/** The compressed payload, or undefined if the message is short or does not shrink: then send it as it is. */
export function deflateMessage(payload: Uint8Array): Buffer | undefined {
  if (payload.length < DEFLATE_BYTES_MIN) return undefined
  const deflated = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH })
  const bytes = deflated.length - TAIL.length
  return bytes < payload.length ? deflated.subarray(0, bytes) : undefined
}

/** A whole message as one frame for clients that negotiated compression: encoded once, written to many. */
export function encodeDeflatedFrame(payload: Uint8Array, opcode: Opcode): Buffer {
  const deflated = deflateMessage(payload)
  return deflated === undefined ? encodeFrame(payload, opcode) : encodeFrame(deflated, opcode, true)
}

/** The message, or the close code: 1009 above `bytesMax` (inflating stops there), 1007 for what is not deflate. */
export function inflateMessage(
  payload: Uint8Array,
  bytesMax: number,
): Buffer | typeof CLOSE_CODE.messageTooLarge | typeof CLOSE_CODE.invalidPayload {
  if (payload.length === 0) return EMPTY
  try {
    return inflateRawSync(Buffer.concat([payload, TAIL]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: bytesMax,
    })
  } catch (error) {
    // zlib knows no other way to say it. Whatever is not "too large" is bad input.
    const tooLarge = error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
    return tooLarge ? CLOSE_CODE.messageTooLarge : CLOSE_CODE.invalidPayload
  }
}

/** The messages of whole server frames, each of which is one message; control frames are passed over. */
export function decodeFrames(frames: Uint8Array, message: (payload: Uint8Array, isBinary: boolean) => void): void {
  for (let offset = 0; offset < frames.byteLength; ) {
    const { opcode, rsv1, start, end } = decodeFrameHeader(frames, offset)
    offset = end
    if (opcode !== OPCODE.text && opcode !== OPCODE.binary) continue
    const payload = frames.subarray(start, end)
    const inflated = rsv1 ? inflateMessage(payload, MESSAGE_BYTES_MAX) : payload
    if (typeof inflated !== 'number') message(inflated, opcode === OPCODE.binary)
  }
}
