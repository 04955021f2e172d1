// What the acceptor wants to know of the first bytes of an HTTP connection: the request target, and a value or segment
// in it. Node parses the request again in the shard and has the last word. Pure and never throwing; runs once a
// connection.
import { Buffer } from 'node:buffer'

export type RequestTarget =
  | { readonly state: 'more' }
  | { readonly state: 'none' }
  | { readonly state: 'target'; readonly target: string }

const MORE: RequestTarget = { state: 'more' }
const NONE: RequestTarget = { state: 'none' }

/** The longest registered method, UPDATEREDIRECTREF, has 17 letters [RFC 4437]. */
const METHOD_BYTES_MAX = 20

const CR = 0x0d
const LF = 0x0a
const SPACE = 0x20
const DELETE = 0x7f
const HYPHEN = 0x2d
// The digit and the line end follow.
const VERSION = Uint8Array.from(' HTTP/1.', (character) => character.charCodeAt(0))

/**
 * Finds the target in `bytes[start, end)`, whose caller limits how much it collects: `METHOD <target> HTTP/1.x`. Bytes
 * that cannot become such a line are 'none' at once. As in Node, empty lines in front are skipped, and a target has no
 * byte outside ASCII.
 */
export function requestTargetOf(bytes: Uint8Array, start: number, end: number): RequestTarget {
  let at = start
  while (at < end && (bytes[at] === CR || bytes[at] === LF)) at++
  const method = at
  while (at < end && isMethodByte(bytes[at] as number)) at++
  if (at - method > METHOD_BYTES_MAX) return NONE
  if (at === end) return MORE
  if (at === method || bytes[at] !== SPACE) return NONE
  const target = ++at
  while (at < end && (bytes[at] as number) > SPACE && (bytes[at] as number) < DELETE) at++
  if (at === end) return MORE
  if (at === target) return NONE
  const targetEnd = at
  for (let index = 0; index < VERSION.length; index++, at++) {
    if (at === end) return MORE
    if (bytes[at] !== VERSION[index]) return NONE
  }
  if (at === end) return MORE
  if (bytes[at] !== 0x30 && bytes[at] !== 0x31) return NONE
  if (at + 1 === end) return MORE
  if (bytes[at + 1] !== CR) return NONE
  if (at + 2 === end) return MORE
  if (bytes[at + 2] !== LF) return NONE
  return { state: 'target', target: asciiOf(bytes, target, targetEnd) }
}

/**
 * The first value of `name` in the target's query, decoded as URLSearchParams does: "+" is a space, and what is not
 * an escape or not UTF-8 is kept or becomes U+FFFD. Undefined when there is none.
 */
export function queryValueOf(target: string, name: string): string | undefined {
  const hash = target.indexOf('#')
  const end = hash === -1 ? target.length : hash
  const mark = target.indexOf('?')
  if (mark === -1 || mark >= end) return undefined
  let at = mark + 1
  while (at <= end) {
    const ampersand = target.indexOf('&', at)
    const pairEnd = ampersand === -1 || ampersand > end ? end : ampersand
    const equals = target.indexOf('=', at)
    const nameEnd = equals === -1 || equals > pairEnd ? pairEnd : equals
    // An empty pair is no pair, and "=" is one with an empty name.
    if (pairEnd > at && formDecoded(target.slice(at, nameEnd)) === name) {
      return formDecoded(target.slice(Math.min(nameEnd + 1, pairEnd), pairEnd))
    }
    at = pairEnd + 1
  }
  return undefined
}

/**
 * The decoded segments of the target's path: "/a/b%2Fc" gives ["a", "b/c"], "/" gives [""]. Undefined when an escape
 * is ill-formed, decodes to what is not UTF-8, or the target is no path. Dots are not resolved: Node does not either.
 */
export function pathSegmentsOf(target: string): string[] | undefined {
  if (target.charCodeAt(0) !== 0x2f) return undefined
  const end = target.search(/[?#]/)
  const path = end === -1 ? target.slice(1) : target.slice(1, end)
  const segments = path.split('/')
  if (!path.includes('%')) return segments
  try {
    return segments.map(decodeURIComponent)
  } catch {
    // The only way to ask decodeURIComponent is to let it throw. Ill-formed is an answer here.
    return undefined
  }
}

function isMethodByte(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || byte === HYPHEN
}

function asciiOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}

function formDecoded(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  // Decoded in place: an escape is longer than its byte.
  const bytes = Buffer.from(spaced, 'utf8')
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    const high = bytes[at] === 0x25 ? hexDigit(bytes[at + 1]) : -1
    const low = high < 0 ? -1 : hexDigit(bytes[at + 2])
    if (low < 0) bytes[length++] = bytes[at] as number
    else {
      bytes[length++] = high * 16 + low
      at += 2
    }
  }
  return bytes.toString('utf8', 0, length)
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1
}
