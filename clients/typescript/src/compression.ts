// Compression with what the platform has: CompressionStream and DecompressionStream. No marker is added to the bytes.
import { HubError } from './hub-error.ts'

/** `deflate` is the raw form; `zlib` has a header. */
export type Algorithm = 'gzip' | 'zlib' | 'deflate' | 'none'

export interface CompressorOptions {
  /** Default `gzip`. */
  readonly algorithm?: Algorithm
  /** Bytes from which compression is tried. Default 1024. */
  readonly threshold?: number
}

export interface CompressedJson {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** False: `bytes` is plain JSON. */
  readonly compressed: boolean
}

/** Bytes as the platform's streams take them. */
export type Bytes = Uint8Array<ArrayBuffer>

/** What something may inflate to: the hub's own limit for compressed JSON. */
const INFLATED_BYTES_MAX = 16 * 1024 ** 2
const THRESHOLD_BYTES = 1024
/** Less than a tenth saved is not worth the time of the reader. */
const WORTH_RATIO = 0.9
const FORMATS = { gzip: 'gzip', zlib: 'deflate', deflate: 'deflate-raw' } as const
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

export function isAlgorithm(value: unknown): value is Algorithm {
  return value === 'none' || (typeof value === 'string' && Object.hasOwn(FORMATS, value))
}

export async function compress(bytes: Bytes, algorithm: Algorithm = 'gzip'): Promise<Bytes> {
  if (algorithm === 'none') return bytes
  return through(new CompressionStream(FORMATS[algorithm]), bytes, Number.POSITIVE_INFINITY)
}

/** Rejects when the bytes are damaged, or inflate to more than `bytesMax` (16 MiB). */
export async function decompress(
  bytes: Bytes,
  algorithm: Algorithm = 'gzip',
  bytesMax = INFLATED_BYTES_MAX,
): Promise<Bytes> {
  if (algorithm === 'none') return bytes
  return through(new DecompressionStream(FORMATS[algorithm]), bytes, bytesMax)
}

/** The level of compression is the platform's: browsers offer no choice. */
export class MessageCompressor {
  readonly algorithm: Algorithm
  readonly threshold: number

  constructor({ algorithm = 'gzip', threshold = THRESHOLD_BYTES }: CompressorOptions = {}) {
    if (!isAlgorithm(algorithm)) throw new HubError('FRAME_INVALID', `Unsupported compression: ${algorithm}`)
    this.algorithm = algorithm
    this.threshold = threshold
  }

  /** Plain JSON when it is short, or compression saves less than a tenth. */
  async compressJson(value: unknown): Promise<CompressedJson> {
    const plain = encodeJson(value)
    if (this.algorithm === 'none' || plain.length < this.threshold) return { bytes: plain, compressed: false }
    const small = await compress(plain, this.algorithm)
    const compressed = small.length <= plain.length * WORTH_RATIO
    return { bytes: compressed ? small : plain, compressed }
  }

  /** Of either form: compressed bytes are never JSON, because their first bytes are not. */
  async decompressJson(bytes: Bytes): Promise<unknown> {
    try {
      return decodeJson(bytes)
    } catch (error) {
      if (this.algorithm === 'none') throw error
      return decodeJson(await decompress(bytes, this.algorithm))
    }
  }

  compress(bytes: Bytes): Promise<Bytes> {
    return compress(bytes, this.algorithm)
  }

  decompress(bytes: Bytes): Promise<Bytes> {
    return decompress(bytes, this.algorithm)
  }
}

export const defaultCompressor = new MessageCompressor()

export function encodeJson(value: unknown): Bytes {
  const text: string | undefined = JSON.stringify(value)
  if (text === undefined) throw new HubError('FRAME_INVALID', 'this value has no JSON form')
  return encoder.encode(text)
}

export function decodeJson(bytes: Uint8Array): unknown {
  return JSON.parse(decoder.decode(bytes))
}

/** What the streams of either direction have in common, in the words of browsers and of Node.js. */
interface Transform {
  readonly readable: { getReader(): { read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> } }
  readonly writable: {
    getWriter(): { write(chunk: Bytes): Promise<void>; close(): Promise<void>; abort(): Promise<void> }
  }
}

async function through({ readable, writable }: Transform, bytes: Bytes, bytesMax: number): Promise<Bytes> {
  const writer = writable.getWriter()
  const reader = readable.getReader()
  // What the writer rejects with, the reader does too, and that is where it is handled.
  writer.write(bytes).catch(() => undefined)
  writer.close().catch(() => undefined)
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done || value === undefined) break
    chunks.push(value)
    length += value.length
    if (length > bytesMax) {
      writer.abort().catch(() => undefined)
      throw new HubError('LIMIT', `More than ${bytesMax} bytes when decompressed`)
    }
  }
  return joined(chunks, length)
}

function joined(chunks: readonly Uint8Array[], length: number): Bytes {
  const whole = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}
