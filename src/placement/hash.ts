// xxHash32 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) of bytes and of strings. Placement, and so
// every host of a cluster, depends on its values: they never change.

const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1

/** Strings up to this length are encoded into one buffer that all calls share; a longer one gets its own. */
const SCRATCH_CHARACTERS = 1024
// One UTF-16 unit takes at most three bytes of UTF-8.
const scratch = new Uint8Array(SCRATCH_CHARACTERS * 3)
const encoder = new TextEncoder()

/** The hash of `bytes[start, end)` as an unsigned 32-bit number. */
export function hashBytes(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  let at = start
  let hash: number
  if (end - start >= 16) {
    let lane1 = (seed + PRIME_1 + PRIME_2) | 0
    let lane2 = (seed + PRIME_2) | 0
    let lane3 = seed | 0
    let lane4 = (seed - PRIME_1) | 0
    do {
      lane1 = round(lane1, wordAt(bytes, at))
      lane2 = round(lane2, wordAt(bytes, at + 4))
      lane3 = round(lane3, wordAt(bytes, at + 8))
      lane4 = round(lane4, wordAt(bytes, at + 12))
      at += 16
    } while (at + 16 <= end)
    hash = (rotate(lane1, 1) + rotate(lane2, 7) + rotate(lane3, 12) + rotate(lane4, 18)) | 0
  } else {
    hash = (seed + PRIME_5) | 0
  }
  hash = (hash + (end - start)) | 0
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(wordAt(bytes, at), PRIME_3)) | 0, 17), PRIME_4)
  }
  for (; at < end; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at] as number, PRIME_5)) | 0, 11), PRIME_1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The hash of the string's UTF-8, where a lone surrogate counts as U+FFFD, as in TextEncoder. */
export function hashString(text: string, seed = 0): number {
  if (text.length > SCRATCH_CHARACTERS) return hashBytes(encoder.encode(text), 0, undefined, seed)
  // Keys are short and ASCII: a loop beats the call into TextEncoder, which takes over at the first other character.
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit > 0x7f) return hashBytes(scratch, 0, encoder.encodeInto(text, scratch).written, seed)
    scratch[index] = unit
  }
  return hashBytes(scratch, 0, text.length, seed)
}

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, PRIME_2)) | 0, 13), PRIME_1)
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  )
}
