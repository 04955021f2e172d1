// What a client reads: the frames of a server, taken apart again.
import assert from 'node:assert/strict'
import { constants, inflateRawSync } from 'node:zlib'

export interface ServerFrame {
  readonly opcode: number
  readonly isFinal: boolean
  readonly isCompressed: boolean
  readonly payload: Buffer
}

/** All frames of `bytes`, which must end with a whole one. */
export function decodeServerFrames(bytes: Buffer): ServerFrame[] {
  const frames: ServerFrame[] = []
  let offset = 0
  while (offset < bytes.length) {
    const first = bytes.readUInt8(offset)
    const second = bytes.readUInt8(offset + 1)
    assert.equal(second & 0x80, 0, 'a server frame is not masked')
    assert.equal(first & 0x30, 0, 'RSV2 and RSV3 are clear')
    offset += 2
    let length = second
    if (second === 126) {
      length = bytes.readUInt16BE(offset)
      offset += 2
    } else if (second === 127) {
      length = Number(bytes.readBigUInt64BE(offset))
      offset += 8
    }
    assert.ok(offset + length <= bytes.length, 'the last frame is whole')
    const payload = bytes.subarray(offset, offset + length)
    frames.push({ opcode: first & 0x0f, isFinal: first >= 0x80, isCompressed: (first & 0x40) !== 0, payload })
    offset += length
  }
  return frames
}

/** The payload of a message frame, inflated without any history. */
export function inflateFrame(frame: ServerFrame, windowBits = 15): Buffer {
  if (!frame.isCompressed) return frame.payload
  const whole = Buffer.concat([frame.payload, Buffer.of(0, 0, 0xff, 0xff)])
  return inflateRawSync(whole, { windowBits, finishFlush: constants.Z_SYNC_FLUSH })
}
