// The PROXY protocol header, versions 1 and 2, in front of a connection that a load balancer forwards
// (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt; clauses in brackets). Pure and never throwing: it is
// called again with more bytes until it says 'done' or 'invalid', and says 'invalid' at the first byte that cannot be.
import { ipv6TextOf, SCAN_INVALID, SCAN_MORE, scanIpv4, scanIpv6 } from './ip-address.ts'

/** Longest version 1 line with its CRLF [2.1]. */
export const PROXY_V1_BYTES_MAX = 107

/** Longest version 2 header with its TLVs that is waited for. Load balancers send some hundred bytes at most. */
export const PROXY_V2_BYTES_MAX = 4096

export interface ProxySource {
  readonly address: string
  readonly port: number
  readonly family: 'IPv4' | 'IPv6'
}

export type ProxyHeader =
  | { readonly state: 'more' }
  | { readonly state: 'invalid'; readonly reason: string }
  /** `bytes`: length of the header. No `source`: the balancer speaks for itself, or for what has no IP address. */
  | { readonly state: 'done'; readonly bytes: number; readonly source?: ProxySource }

const MORE: ProxyHeader = { state: 'more' }

// "\r\n\r\n\0\r\nQUIT\n" [2.2]
const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
const V2_FIXED_BYTES = 16
/** Address family and transport → bytes of the address block. What is not here is reserved [2.2]. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = {
  0: 0, // unspecified
  17: 12, // 0x11, 0x12: IPv4, stream and datagram
  18: 12,
  33: 36, // 0x21, 0x22: IPv6
  34: 36,
  49: 216, // 0x31, 0x32: Unix sockets
  50: 216,
}

const PREFIX = bytesOf('PROXY ')
const TCP4 = bytesOf('TCP4 ')
const TCP6 = bytesOf('TCP6 ')
const UNKNOWN = bytesOf('UNKNOWN')
const CR = 0x0d
const LF = 0x0a
const SPACE = 0x20

const groups = new Uint16Array(8)

/** Reads the header that `bytes[start, end)` begin with. */
export function parseProxyHeader(bytes: Uint8Array, start: number, end: number): ProxyHeader {
  if (start >= end) return MORE
  return bytes[start] === SIGNATURE[0] ? parseBinary(bytes, start, end) : parseLine(bytes, start, end)
}

function parseLine(bytes: Uint8Array, start: number, end: number): ProxyHeader {
  const limit = Math.min(end, start + PROXY_V1_BYTES_MAX)
  const header = lineWithin(bytes, start, limit)
  return header.state === 'more' && limit === start + PROXY_V1_BYTES_MAX ? invalid('line too long') : header
}

function lineWithin(bytes: Uint8Array, start: number, end: number): ProxyHeader {
  const matched = match(bytes, start, end, PREFIX)
  if (matched < 0) return refuse(matched, 'no PROXY header')
  if (matched === end) return MORE
  if (bytes[matched] === UNKNOWN[0]) return unknownLine(bytes, start, matched, end)
  const four = match(bytes, matched, end, TCP4)
  const six = match(bytes, matched, end, TCP6)
  if (four === SCAN_MORE || six === SCAN_MORE) return MORE
  if (four < 0 && six < 0) return invalid('unknown transport')
  const address = four >= 0 ? four : six
  const addressEnd = scanAddress(bytes, address, end, four >= 0)
  if (addressEnd < 0) return refuse(addressEnd, 'bad source address')
  const text = four >= 0 ? asciiOf(bytes, address, addressEnd) : ipv6TextOf(groups)
  const destinationEnd = scanAddress(bytes, addressEnd + 1, end, four >= 0)
  if (destinationEnd < 0) return refuse(destinationEnd, 'bad destination address')
  const portEnd = scanPort(bytes, destinationEnd + 1, end, SPACE)
  if (portEnd < 0) return refuse(portEnd, 'bad source port')
  const lineEnd = scanPort(bytes, portEnd + 1, end, CR)
  if (lineEnd < 0) return refuse(lineEnd, 'bad destination port')
  if (lineEnd + 1 === end) return MORE
  if (bytes[lineEnd + 1] !== LF) return invalid('CR without LF')
  const port = Number(asciiOf(bytes, destinationEnd + 1, portEnd))
  const source: ProxySource = { address: text, port, family: four >= 0 ? 'IPv4' : 'IPv6' }
  return { state: 'done', bytes: lineEnd + 2 - start, source }
}

/** "UNKNOWN", and whatever stands before the CRLF is ignored [2.1]. */
function unknownLine(bytes: Uint8Array, start: number, word: number, end: number): ProxyHeader {
  const after = match(bytes, word, end, UNKNOWN)
  if (after < 0) return refuse(after, 'unknown transport')
  if (after === end) return MORE
  if (bytes[after] !== SPACE && bytes[after] !== CR) return invalid('unknown transport')
  const carriage = bytes.indexOf(CR, after)
  if (carriage === -1 || carriage + 1 >= end) return MORE
  return bytes[carriage + 1] === LF ? { state: 'done', bytes: carriage + 2 - start } : invalid('CR without LF')
}

function parseBinary(bytes: Uint8Array, start: number, end: number): ProxyHeader {
  const matched = match(bytes, start, end, SIGNATURE)
  if (matched < 0) return refuse(matched, 'no PROXY header')
  if (start + 13 > end) return MORE
  const command = bytes[start + 12] as number
  if (command !== 0x20 && command !== 0x21) return invalid('unknown version or command')
  if (start + 14 > end) return MORE
  const local = command === 0x20
  const family = bytes[start + 13] as number
  // LOCAL: the whole block is discarded, its family too [2.2].
  const addressBytes = local ? 0 : ADDRESS_BYTES[family]
  if (addressBytes === undefined) return invalid('unknown address family or transport')
  if (start + 15 > end) return MORE
  const high = bytes[start + 14] as number
  if (high * 256 + V2_FIXED_BYTES > PROXY_V2_BYTES_MAX) return invalid('header too long')
  if (start + V2_FIXED_BYTES > end) return MORE
  const length = high * 256 + (bytes[start + 15] as number)
  if (length + V2_FIXED_BYTES > PROXY_V2_BYTES_MAX) return invalid('header too long')
  if (length < addressBytes) return invalid('header shorter than its addresses')
  const headerBytes = V2_FIXED_BYTES + length
  if (start + headerBytes > end) return MORE
  const at = start + V2_FIXED_BYTES
  if (addressBytes === 12) {
    const address = `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`
    return { state: 'done', bytes: headerBytes, source: { address, port: wordAt(bytes, at + 8), family: 'IPv4' } }
  }
  if (addressBytes === 36) {
    for (let group = 0; group < 8; group++) groups[group] = wordAt(bytes, at + group * 2)
    const source: ProxySource = { address: ipv6TextOf(groups), port: wordAt(bytes, at + 32), family: 'IPv6' }
    return { state: 'done', bytes: headerBytes, source }
  }
  return { state: 'done', bytes: headerBytes }
}

/** Where `expected` ends, SCAN_MORE at a proper prefix of it, else SCAN_INVALID. */
function match(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): number {
  for (let index = 0; index < expected.length; index++) {
    if (start + index === end) return SCAN_MORE
    if (bytes[start + index] !== expected[index]) return SCAN_INVALID
  }
  return start + expected.length
}

function scanAddress(bytes: Uint8Array, start: number, end: number, four: boolean): number {
  return four ? scanIpv4(bytes, start, end) : scanIpv6(bytes, start, end, groups)
}

/** A decimal number up to 65535 without leading zeros, and the byte behind it. */
function scanPort(bytes: Uint8Array, start: number, end: number, terminator: number): number {
  let value = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    if (byte === terminator && at > start) return at
    if (byte < 0x30 || byte > 0x39 || (at > start && bytes[start] === 0x30)) return SCAN_INVALID
    value = value * 10 + byte - 0x30
    if (value > 65_535) return SCAN_INVALID
  }
  return SCAN_MORE
}

function refuse(scanned: number, reason: string): ProxyHeader {
  return scanned === SCAN_MORE ? MORE : invalid(reason)
}

function invalid(reason: string): ProxyHeader {
  return { state: 'invalid', reason }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function asciiOf(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let at = start; at < end; at++) text += String.fromCharCode(bytes[at] as number)
  return text
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}
