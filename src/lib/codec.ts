// Values as bytes: what crosses from actor to actor. msgpack for objects (docs/decisions/0008), bytes and strings as
// they are. Errors travel as data and arrive as PolyloopError.
// The global of this name is an accessor: it would be called for each value.
import { Buffer } from 'node:buffer'
import { type Options, Packr, Unpackr } from 'msgpackr'
import { ERRORS, type ErrorCode, PolyloopError } from './errors.ts'
import { packPlain, plainBytes, unpackPlain } from './plain-value.ts'

/** How the bytes behind it are to be read; one byte on the wire. `mapped`: packed, with Maps in it. */
export const TAG = { nothing: 0, bytes: 1, text: 2, packed: 3, mapped: 4 } as const
export type Tag = (typeof TAG)[keyof typeof TAG]

/** One encoded value, `bytes[start, end)`: valid until the next `encodeValue` in this thread. */
export interface Encoded {
  tag: Tag
  bytes: Uint8Array
  start: number
  end: number
}

const NOTHING = new Uint8Array(0)
/** msgpackr's option: encode into the buffer of the call before, and answer where in it. */
const REUSE_BUFFER = 512
/** Packed values up to this size are read in a buffer of which msgpackr has its DataView already. */
const SCRATCH_BYTES = 4096
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
/** Nesting of a value; a cycle is deeper than any limit. */
const DEPTH_MAX = 100

// Objects as plain msgpack maps are three times as fast as msgpackr's records, but a Map then comes back as an object:
// only values with a Map in them are packed the slower way.
const OPTIONS: Options = { useRecords: false, moreTypes: true, copyBuffers: true, int64AsType: 'bigint' }
const RECORD_OPTIONS: Options = { ...OPTIONS, useRecords: true }
const packers = [new Packr(OPTIONS), new Packr(RECORD_OPTIONS)] as unknown as readonly Reusing[]
const unpackers = [new Unpackr(OPTIONS), new Unpackr(RECORD_OPTIONS)] as const
const encoded: Encoded = { tag: TAG.nothing, bytes: NOTHING, start: 0, end: 0 }

interface Reusing {
  pack(value: unknown, options: number): Uint8Array & { readonly start: number; readonly end: number }
}

/** Throws VALUE_INVALID on what no other thread could get: functions, symbols, cycles. The result is reused. */
export function encodeValue(value: unknown): Readonly<Encoded> {
  if (value === undefined) return setEncoded(TAG.nothing, NOTHING)
  if (typeof value === 'string') return setEncoded(TAG.text, Buffer.from(value))
  if (value instanceof Uint8Array) return setEncoded(TAG.bytes, value)
  const plainEnd = packPlain(value)
  if (plainEnd >= 0) return setEncoded(TAG.packed, plainBytes, 0, plainEnd)
  const isMapped = hasMap(value, 0)
  try {
    const bytes = (packers[isMapped ? 1 : 0] as Reusing).pack(value, REUSE_BUFFER)
    return setEncoded(isMapped ? TAG.mapped : TAG.packed, bytes, bytes.start, bytes.end)
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error))
  }
}

function setEncoded(tag: Tag, bytes: Uint8Array, start = 0, end = bytes.byteLength): Encoded {
  encoded.tag = tag
  encoded.bytes = bytes
  encoded.start = start
  encoded.end = end
  return encoded
}

// msgpackr makes undefined of a function without a word: it is found here instead.
function hasMap(value: unknown, depth: number): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') throw invalid(`it has a ${typeof value} in it`)
  if (typeof value !== 'object' || value === null) return false
  if (depth > DEPTH_MAX) throw invalid(`it is nested deeper than ${DEPTH_MAX}, or a cycle`)
  if (ArrayBuffer.isView(value)) return false
  if (value instanceof Map) {
    for (const [key, item] of value) {
      hasMap(key, depth + 1)
      hasMap(item, depth + 1)
    }
    return true
  }
  let found = false
  if (Array.isArray(value) || value instanceof Set) {
    for (const item of value) if (hasMap(item, depth + 1)) found = true
  } else {
    for (const name in value) if (hasMap((value as Record<string, unknown>)[name], depth + 1)) found = true
  }
  return found
}

function invalid(problem: string): PolyloopError {
  return new PolyloopError('VALUE_INVALID', { problem })
}

/** The value of `bytes[start, end)`; it shares no memory with them. Throws VALUE_INVALID. */
export function decodeValue(tag: number, bytes: Buffer, start: number, end: number): unknown {
  switch (tag) {
    case TAG.nothing:
      return undefined
    case TAG.bytes:
      return copyOfBytes(bytes, start, end)
    case TAG.text:
      return bytes.toString('utf8', start, end)
    case TAG.packed:
      return unpackPlain(bytes, start, end) ?? unpack(unpackers[0], bytes, start, end)
    case TAG.mapped:
      return unpack(unpackers[1], bytes, start, end)
    default:
      throw invalid(`tag ${tag}`)
  }
}

// Half of Buffer.from(subarray): no view of the source is made, and bytes of shared memory are copied one by one there.
function copyOfBytes(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start)
  bytes.copy(copy, 0, start, end)
  return copy
}

// A copy is cheaper than the two views of the record that are made otherwise, ours and msgpackr's DataView.
function unpack(unpacker: Unpackr, bytes: Buffer, start: number, end: number): unknown {
  try {
    if (end - start > SCRATCH_BYTES) return unpacker.unpack(bytes.subarray(start, end))
    bytes.copy(scratch, 0, start, end)
    return unpacker.unpack(scratch, end - start)
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error))
  }
}

/** A copy, as if the value had crossed to another thread. */
export function copyOf(value: unknown): unknown {
  const { tag, bytes, start, end } = encodeValue(value)
  return decodeValue(tag, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), start, end)
}

interface ErrorData {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>
}

/** An error as a value that `errorOf` makes an error again. */
export function errorData(error: PolyloopError): ErrorData {
  return { code: error.code, details: error.details }
}

export function errorOf(data: unknown): PolyloopError {
  const { code, details } = data as Partial<ErrorData>
  if (code === undefined || !(code in ERRORS)) return new PolyloopError('ACTOR_HANDLER_FAILED', { data: String(data) })
  return new PolyloopError(code, details ?? {})
}
