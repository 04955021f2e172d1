// IP addresses as text in a buffer: scanned byte by byte, so that a reader knows at once when a prefix can no longer
// become an address, and written in the one canonical form that Node uses too. No I/O, never throws.

/** The bytes so far may still become an address. */
export const SCAN_MORE = -1
/** No continuation makes this an address. */
export const SCAN_INVALID = -2

const DOT = 0x2e
const COLON = 0x3a
const GROUPS = 8

/**
 * Scans an IPv4 address in `bytes[start, end)` that must end before a space. Answers where it ends, SCAN_MORE or
 * SCAN_INVALID. Exactly four decimal numbers without leading zeros.
 */
export function scanIpv4(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  for (let part = 0; part < 4; part++) {
    const partStart = at
    let value = 0
    for (; at < end; at++) {
      const digit = (bytes[at] as number) - 0x30
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
      if (value > 255 || (at > partStart && bytes[partStart] === 0x30)) return SCAN_INVALID
    }
    if (at === end) return SCAN_MORE
    if (at === partStart) return SCAN_INVALID
    if (part < 3 && bytes[at++] !== DOT) return SCAN_INVALID
  }
  return bytes[at] === 0x20 ? at : SCAN_INVALID
}

/**
 * Scans an IPv6 address that must end before a space, and puts its eight 16-bit groups into `groups`. The dotted form
 * of the last four bytes is taken too, because inet_ntop writes it.
 */
export function scanIpv6(bytes: Uint8Array, start: number, end: number, groups: Uint16Array): number {
  let count = 0
  let gap = -1
  let at = start
  groups.fill(0)
  for (;;) {
    if (at === end) return SCAN_MORE
    if (bytes[at] === COLON) {
      // "::", at the start or after a group's own colon.
      if (gap !== -1 || count === GROUPS) return SCAN_INVALID
      if (count === 0 && at === start) {
        if (++at === end) return SCAN_MORE
        if (bytes[at] !== COLON) return SCAN_INVALID
      }
      gap = count
      at++
      if (at === end) return SCAN_MORE
      if (bytes[at] === 0x20) return fillGap(groups, count, gap, at)
    }
    if (count === GROUPS || (gap !== -1 && count === GROUPS - 1)) return SCAN_INVALID
    const groupStart = at
    let value = 0
    for (; at < end && at < groupStart + 4; at++) {
      const digit = hexDigit(bytes[at] as number)
      if (digit < 0) break
      value = value * 16 + digit
    }
    if (at === end) return SCAN_MORE
    if (at === groupStart) return SCAN_INVALID
    const next = bytes[at]
    if (next === DOT) return scanDottedTail(bytes, groupStart, end, groups, count, gap)
    groups[count++] = value
    if (next === 0x20) return gap === -1 && count < GROUPS ? SCAN_INVALID : fillGap(groups, count, gap, at)
    if (next !== COLON) return SCAN_INVALID
    // A colon must lead to something: another group or "::".
    if (count === GROUPS || (gap !== -1 && count === GROUPS - 1)) return SCAN_INVALID
    at++
  }
}

/** The text that Node gives for these groups: lower case, the longest run of zeros as "::", dotted where v4 is inside. */
export function ipv6TextOf(groups: Uint16Array): string {
  let runStart = -1
  let runLength = 1
  for (let start = 0; start < GROUPS; start++) {
    let length = 0
    while (start + length < GROUPS && groups[start + length] === 0) length++
    if (length > runLength) {
      runStart = start
      runLength = length
    }
  }
  const dotted = runStart === 0 && (runLength === 6 || (runLength === 5 && groups[5] === 0xffff))
  let text = ''
  for (let index = 0; index < GROUPS; index++) {
    if (index === runStart) {
      text += '::'
      index += runLength - 1
      continue
    }
    if (index > 0 && !text.endsWith(':')) text += ':'
    if (dotted && index >= 6) return text + dottedTextOf(groups)
    text += (groups[index] as number).toString(16)
  }
  return text
}

function dottedTextOf(groups: Uint16Array): string {
  const high = groups[6] as number
  const low = groups[7] as number
  return `${high >>> 8}.${high & 255}.${low >>> 8}.${low & 255}`
}

function scanDottedTail(
  bytes: Uint8Array,
  start: number,
  end: number,
  groups: Uint16Array,
  count: number,
  gap: number,
): number {
  if (gap === -1 ? count !== GROUPS - 2 : count > GROUPS - 3) return SCAN_INVALID
  const scanned = scanIpv4(bytes, start, end)
  if (scanned < 0) return scanned
  const parts = String.fromCharCode(...bytes.subarray(start, scanned))
    .split('.')
    .map(Number)
  groups[count] = ((parts[0] ?? 0) << 8) | (parts[1] ?? 0)
  groups[count + 1] = ((parts[2] ?? 0) << 8) | (parts[3] ?? 0)
  return fillGap(groups, count + 2, gap, scanned)
}

/** Moves the groups behind "::" to the end, and passes the position on. */
function fillGap(groups: Uint16Array, count: number, gap: number, at: number): number {
  if (gap === -1 || count === GROUPS) return at
  groups.copyWithin(GROUPS - (count - gap), gap, count)
  groups.fill(0, gap, GROUPS - (count - gap))
  return at
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1
}
