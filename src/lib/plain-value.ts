// Small plain values as msgpack: objects, arrays, numbers, ASCII text, booleans and null, as most messages are. The same
// bytes as a library would read and write, in a third of the time, because nothing else is provided for: what is not
// plain, or not small, is refused, and codec.ts gives it to msgpackr.
import { Buffer } from 'node:buffer'

/** Bytes of a packed value. */
const PLAIN_BYTES_MAX = 4096
/** Properties of an object, items of an array: one byte says how many. */
const ITEMS_MAX = 15
const TEXT_BYTES_MAX = 255
const DEPTH_MAX = 8
/** Names of properties, kept as strings: the cells of a table by length and some bytes, each with the last one seen. */
const NAMES = 512
const NAME_BYTES_MAX = 31
/** Up to so many bytes characters joined one by one are cheaper than a call of the decoder. */
const JOINED_BYTES_MAX = 10

const FIX = { map: 0x80, array: 0x90, text: 0xa0, negative: 0xe0 } as const
const CODE = { null: 0xc0, false: 0xc2, true: 0xc3, float64: 0xcb, int32: 0xd2, text8: 0xd9 } as const
const REFUSED = -1
const UNKNOWN = Symbol('not plain')

const packed = Buffer.allocUnsafeSlow(PLAIN_BYTES_MAX)
const packedView = new DataView(packed.buffer)
const names: string[] = new Array(NAMES).fill('')
const numbers = new DataView(new ArrayBuffer(8))

/** Where `packPlain` puts its bytes; they are valid until its next call. */
export const plainBytes: Uint8Array = packed

/** The length of the packed value, or -1: it is not plain, or too large. */
export function packPlain(value: unknown): number {
  return put(value, 0, 0)
}

function put(value: unknown, at: number, depth: number): number {
  if (at > PLAIN_BYTES_MAX - 16) return REFUSED
  switch (typeof value) {
    case 'string':
      return putText(value, at)
    case 'number':
      return putNumber(value, at)
    case 'boolean':
      packed[at] = value ? CODE.true : CODE.false
      return at + 1
    case 'object':
      break
    default:
      return REFUSED
  }
  if (value === null) {
    packed[at] = CODE.null
    return at + 1
  }
  if (depth >= DEPTH_MAX) return REFUSED
  if (Array.isArray(value)) return putArray(value, at, depth)
  return Object.getPrototypeOf(value) === Object.prototype ? putObject(value, at, depth) : REFUSED
}

function putNumber(value: number, at: number): number {
  const whole = value | 0
  if (whole !== value) {
    packed[at] = CODE.float64
    packedView.setFloat64(at + 1, value)
    return at + 9
  }
  if (whole >= -32 && whole < 128) {
    packed[at] = whole
    return at + 1
  }
  packed[at] = CODE.int32
  packedView.setInt32(at + 1, whole)
  return at + 5
}

function putText(text: string, at: number): number {
  const { length } = text
  if (length > TEXT_BYTES_MAX || at + length > PLAIN_BYTES_MAX - 16) return REFUSED
  if (length <= NAME_BYTES_MAX) packed[at++] = FIX.text | length
  else {
    packed[at++] = CODE.text8
    packed[at++] = length
  }
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index)
    if (unit > 127) return REFUSED
    packed[at + index] = unit
  }
  return at + length
}

function putArray(value: readonly unknown[], at: number, depth: number): number {
  if (value.length > ITEMS_MAX) return REFUSED
  packed[at++] = FIX.array | value.length
  for (let index = 0; index < value.length && at >= 0; index++) at = put(value[index], at, depth + 1)
  return at
}

function putObject(value: object, start: number, depth: number): number {
  let count = 0
  let at = start + 1
  for (const name in value) {
    // An inherited one is not the value's. A name of that kind is a trap for whoever reads it.
    if (!Object.hasOwn(value, name) || name === '__proto__') return REFUSED
    if (++count > ITEMS_MAX || name.length > NAME_BYTES_MAX) return REFUSED
    at = putText(name, at)
    if (at >= 0) at = put((value as Record<string, unknown>)[name], at, depth + 1)
    if (at < 0) return REFUSED
  }
  packed[start] = FIX.map | count
  return at
}

let cursor = 0

/** The value of `bytes[start, end)`; undefined, which is no plain value: another reader must try. */
export function unpackPlain(bytes: Buffer, start: number, end: number): unknown {
  cursor = start
  const value = take(bytes, end, 0)
  return value === UNKNOWN || cursor !== end ? undefined : value
}

function take(bytes: Buffer, end: number, depth: number): unknown {
  if (cursor >= end || depth > DEPTH_MAX) return UNKNOWN
  const code = bytes[cursor++] as number
  if (code < FIX.map) return code
  if (code >= FIX.negative) return code - 256
  if (code < FIX.array) return takeObject(bytes, end, depth, code - FIX.map)
  if (code < FIX.text) return takeArray(bytes, end, depth, code - FIX.array)
  if (code < CODE.null) return takeText(bytes, end, code - FIX.text)
  switch (code) {
    case CODE.null:
      return null
    case CODE.false:
      return false
    case CODE.true:
      return true
    case CODE.float64:
      return takeNumber(bytes, end, 8) ? numbers.getFloat64(0) : UNKNOWN
    case CODE.int32:
      return takeNumber(bytes, end, 4) ? numbers.getInt32(0) : UNKNOWN
    case CODE.text8:
      return cursor < end ? takeText(bytes, end, bytes[cursor++] as number) : UNKNOWN
    default:
      return UNKNOWN
  }
}

function takeNumber(bytes: Buffer, end: number, length: number): boolean {
  if (cursor + length > end) return false
  for (let index = 0; index < length; index++) numbers.setUint8(index, bytes[cursor + index] as number)
  cursor += length
  return true
}

function takeText(bytes: Buffer, end: number, length: number): unknown {
  const start = cursor
  if (start + length > end) return UNKNOWN
  for (let at = start; at < start + length; at++) if ((bytes[at] as number) > 127) return UNKNOWN
  cursor += length
  if (length > JOINED_BYTES_MAX) return bytes.toString('latin1', start, cursor)
  let text = ''
  for (let at = start; at < cursor; at++) text += String.fromCharCode(bytes[at] as number)
  return text
}

function takeArray(bytes: Buffer, end: number, depth: number, length: number): unknown {
  const value: unknown[] = []
  for (let index = 0; index < length; index++) {
    const item = take(bytes, end, depth + 1)
    if (item === UNKNOWN) return UNKNOWN
    value.push(item)
  }
  return value
}

function takeObject(bytes: Buffer, end: number, depth: number, count: number): unknown {
  const value: Record<string, unknown> = {}
  for (let index = 0; index < count; index++) {
    const name = takeName(bytes, end)
    if (name === undefined) return UNKNOWN
    const item = take(bytes, end, depth + 1)
    if (item === UNKNOWN) return UNKNOWN
    value[name] = item
  }
  return value
}

/** Undefined: it is none that this reader knows. */
function takeName(bytes: Buffer, end: number): string | undefined {
  if (cursor >= end) return undefined
  const length = (bytes[cursor] as number) ^ FIX.text
  const start = cursor + 1
  if (length === 0 || length > NAME_BYTES_MAX || start + length > end) return undefined
  const last = bytes[start + length - 1] as number
  const cell = (Math.imul(bytes[start] as number, 31) ^ (last << 3) ^ Math.imul(length, 0x9e5)) & (NAMES - 1)
  const known = names[cell] as string
  if (known.length === length && isEqual(known, bytes, start)) {
    cursor = start + length
    return known
  }
  cursor++
  const name = takeText(bytes, end, length)
  if (typeof name !== 'string' || name === '__proto__') return undefined
  names[cell] = name
  return name
}

function isEqual(text: string, bytes: Buffer, start: number): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) !== bytes[start + index]) return false
  return true
}
