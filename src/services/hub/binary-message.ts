// Binary messages: a head, metadata as JSON, and a payload. Pure. [PROTOCOLS 4.9]
//
//   u8 version 1 | u8 type | u16 metadata bytes | u32 payload bytes | metadata | payload        big-endian
import { isUtf8 } from 'node:buffer'

export const BINARY_TYPES = ['IMAGE', 'AUDIO', 'VIDEO', 'BINARY_DATA', 'COMPRESSED_JSON'] as const
export type BinaryType = (typeof BINARY_TYPES)[number]

const VERSION = 1
const HEAD_BYTES = 8

export interface BinaryMessage {
  readonly type: BinaryType
  readonly metadata: Readonly<Record<string, unknown>>
  /** A view. */
  readonly payload: Buffer
}

/** Why a frame is none. */
export interface BinaryProblem {
  readonly problem: string
}

export function parseBinary(frame: Buffer): BinaryMessage | BinaryProblem {
  if (frame.length < HEAD_BYTES) return { problem: 'Binary message too short' }
  const [version, number] = [frame.readUInt8(0), frame.readUInt8(1)]
  if (version !== VERSION) return { problem: `Unsupported binary message version: ${version}` }
  const type = BINARY_TYPES[number - 1]
  if (type === undefined) return { problem: `Invalid binary message type: ${number}` }
  const payloadStart = HEAD_BYTES + frame.readUInt16BE(2)
  const end = payloadStart + frame.readUInt32BE(4)
  if (frame.length < payloadStart) return { problem: 'Binary message truncated (metadata)' }
  if (frame.length < end) return { problem: 'Binary message truncated (payload)' }
  const metadata = metadataOf(frame.subarray(HEAD_BYTES, payloadStart))
  if ('problem' in metadata) return metadata
  return { type, metadata: metadata.value, payload: frame.subarray(payloadStart, end) }
}

/** `metadata` is JSON of at most 65,535 bytes. */
export function packBinary(type: BinaryType, metadata: string, payload: Uint8Array): Buffer {
  const metadataBytes = Buffer.byteLength(metadata)
  const frame = Buffer.allocUnsafe(HEAD_BYTES + metadataBytes + payload.length)
  frame.writeUInt8(VERSION, 0)
  frame.writeUInt8(BINARY_TYPES.indexOf(type) + 1, 1)
  frame.writeUInt16BE(metadataBytes, 2)
  frame.writeUInt32BE(payload.length, 4)
  frame.write(metadata, HEAD_BYTES)
  frame.set(payload, HEAD_BYTES + metadataBytes)
  return frame
}

function metadataOf(bytes: Buffer): { readonly value: Readonly<Record<string, unknown>> } | BinaryProblem {
  if (!isUtf8(bytes)) return { problem: 'Invalid metadata JSON: not UTF-8' }
  try {
    const value: unknown = JSON.parse(bytes.toString())
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return { value: value as Readonly<Record<string, unknown>> }
    }
    return { problem: 'Invalid metadata JSON: not an object' }
  } catch (error) {
    return { problem: `Invalid metadata JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
}
