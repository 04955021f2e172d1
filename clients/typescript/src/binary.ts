// Binary messages, version 1, big-endian; what follows the payload is ignored.
//
//   0        1      2          4          8            8 + M
//   | version | type | M: u16   | P: u32   | metadata   | payload (P bytes) |
import { type Algorithm, type Bytes, compress, decodeJson, decompress, encodeJson, isAlgorithm } from './compression.ts'
import { isObject } from './frame.ts'
import { HubError } from './hub-error.ts'

export const BinaryType = { IMAGE: 1, AUDIO: 2, VIDEO: 3, BINARY_DATA: 4, COMPRESSED_JSON: 5 } as const
export type BinaryTypeName = keyof typeof BinaryType

export type Metadata = Readonly<Record<string, unknown>>

export interface BinaryMessage {
  readonly type: BinaryTypeName
  /** A view of the bytes that were parsed. */
  readonly payload: Bytes
  readonly metadata: Metadata
  /** What COMPRESSED_JSON carries; in messages that handlers of `binary` get. */
  readonly jsonData?: unknown
}

export interface ImageOptions {
  /** Default `jpeg`. */
  readonly format?: string
  readonly width?: number | null
  readonly height?: number | null
  /** For the hub: who gets it. */
  readonly channel?: string
  readonly [member: string]: unknown
}

export interface AudioOptions {
  /** Default `wav`. */
  readonly format?: string
  readonly sample_rate?: number | null
  readonly channels?: number | null
  readonly channel?: string
  readonly [member: string]: unknown
}

export interface VideoOptions {
  /** Default `mp4`. */
  readonly format?: string
  readonly width?: number | null
  readonly height?: number | null
  readonly fps?: number | null
  readonly channel?: string
  readonly [member: string]: unknown
}

const VERSION = 1
const HEAD_BYTES = 8
const METADATA_BYTES_MAX = 0xffff
const PAYLOAD_BYTES_MAX = 0xffff_ffff
const NAMES = new Map<number, BinaryTypeName>()
for (const name of Object.keys(BinaryType) as BinaryTypeName[]) NAMES.set(BinaryType[name], name)

/** Makes and reads binary messages. Throws BINARY_INVALID. */
export const binaryHandler = {
  createImageMessage(data: Uint8Array | ArrayBuffer, options: ImageOptions = {}): Bytes {
    const { format = 'jpeg', width = null, height = null, ...rest } = options
    return pack('IMAGE', { format, width, height, ...rest }, bytesOf(data))
  },

  createAudioMessage(data: Uint8Array | ArrayBuffer, options: AudioOptions = {}): Bytes {
    const { format = 'wav', sample_rate = null, channels = null, ...rest } = options
    return pack('AUDIO', { format, sample_rate, channels, ...rest }, bytesOf(data))
  },

  createVideoMessage(data: Uint8Array | ArrayBuffer, options: VideoOptions = {}): Bytes {
    const { format = 'mp4', width = null, height = null, fps = null, ...rest } = options
    return pack('VIDEO', { format, width, height, fps, ...rest }, bytesOf(data))
  },

  createBinaryDataMessage(data: Uint8Array | ArrayBuffer, metadata: Metadata = {}): Bytes {
    return pack('BINARY_DATA', metadata, bytesOf(data))
  },

  /** `compression` in `metadata` chooses the algorithm; the hub knows `gzip` only, the default. */
  async createCompressedJsonMessage(value: unknown, metadata: Metadata = {}): Promise<Bytes> {
    const compression = algorithmOf(metadata)
    const plain = encodeJson(value)
    const payload = await compress(plain, compression)
    const sizes = { original_size: plain.length, compressed_size: payload.length }
    return pack('COMPRESSED_JSON', { compression, ...sizes, ...metadata }, payload)
  },

  parseMessage: unpack,

  /** What a COMPRESSED_JSON message carries. Apart from `parseMessage`, because browsers inflate asynchronously only. */
  async readJson({ metadata, payload }: BinaryMessage): Promise<unknown> {
    try {
      return decodeJson(await decompress(payload, algorithmOf(metadata)))
    } catch (error) {
      throw new HubError('BINARY_INVALID', `Invalid compressed JSON: ${textOf(error)}`, { cause: error })
    }
  },
}

/** Throws BINARY_INVALID when a part is too long for its length field. */
export function pack(type: BinaryTypeName, metadata: Metadata, payload: Uint8Array): Bytes {
  const head = encodeJson(metadata)
  if (head.length > METADATA_BYTES_MAX)
    throw new HubError('BINARY_INVALID', `Binary metadata too large: ${head.length} bytes`)
  if (payload.length > PAYLOAD_BYTES_MAX)
    throw new HubError('BINARY_INVALID', `Binary payload too large: ${payload.length} bytes`)
  const bytes = new Uint8Array(HEAD_BYTES + head.length + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, VERSION)
  view.setUint8(1, BinaryType[type])
  view.setUint16(2, head.length)
  view.setUint32(4, payload.length)
  bytes.set(head, HEAD_BYTES)
  bytes.set(payload, HEAD_BYTES + head.length)
  return bytes
}

function unpack(data: Uint8Array | ArrayBuffer): BinaryMessage {
  const bytes = bytesOf(data)
  if (bytes.length < HEAD_BYTES) throw new HubError('BINARY_INVALID', 'Binary message too short')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint8(0)
  if (version !== VERSION) throw new HubError('BINARY_INVALID', `Unsupported binary message version: ${version}`)
  const type = NAMES.get(view.getUint8(1))
  if (type === undefined) throw new HubError('BINARY_INVALID', `Invalid binary message type: ${view.getUint8(1)}`)
  const payloadStart = HEAD_BYTES + view.getUint16(2)
  const payloadEnd = payloadStart + view.getUint32(4)
  if (bytes.length < payloadStart) throw new HubError('BINARY_INVALID', 'Binary message truncated (metadata)')
  if (bytes.length < payloadEnd) throw new HubError('BINARY_INVALID', 'Binary message truncated (payload)')
  const metadata = metadataOf(bytes.subarray(HEAD_BYTES, payloadStart))
  return { type, payload: bytes.subarray(payloadStart, payloadEnd), metadata }
}

function metadataOf(bytes: Uint8Array): Metadata {
  let value: unknown
  try {
    value = decodeJson(bytes)
  } catch (error) {
    throw new HubError('BINARY_INVALID', `Invalid metadata JSON: ${textOf(error)}`, { cause: error })
  }
  if (!isObject(value)) throw new HubError('BINARY_INVALID', 'Invalid metadata JSON: expected an object')
  return value
}

function algorithmOf({ compression = 'gzip' }: Metadata): Algorithm {
  if (isAlgorithm(compression)) return compression
  throw new HubError('BINARY_INVALID', `Unsupported compression: ${String(compression)}`)
}

function bytesOf(data: Uint8Array | ArrayBuffer): Bytes {
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  // Memory that threads share is refused by the platform's streams and sockets.
  return data.buffer instanceof ArrayBuffer ? (data as Bytes) : new Uint8Array(data)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
