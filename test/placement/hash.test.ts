import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hashBytes, hashString } from '../../src/placement/hash.ts'

const MASK = 0xffff_ffffn
const PRIMES = [2654435761n, 2246822519n, 3266489917n, 668265263n, 374761393n] as const

/** The specification, word by word, in slow and obvious arithmetic. */
function specified(bytes: Uint8Array, seed: number): number {
  const [p1, p2, p3, p4, p5] = PRIMES
  const rotl = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (32n - bits))) & MASK
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = BigInt(seed)
  let rest = 0
  let hash = (start + p5) & MASK
  if (bytes.length >= 16) {
    const lanes = [start + p1 + p2, start + p2, start, start - p1 + (1n << 32n)].map((lane) => lane & MASK)
    for (; bytes.length - rest >= 16; rest += 16) {
      for (const [lane, value] of lanes.entries()) {
        lanes[lane] = (rotl((value + BigInt(view.getUint32(rest + lane * 4, true)) * p2) & MASK, 13n) * p1) & MASK
      }
    }
    hash =
      lanes.map((lane, index) => rotl(lane, [1n, 7n, 12n, 18n][index] ?? 0n)).reduce((sum, lane) => sum + lane) & MASK
  }
  hash = (hash + BigInt(bytes.length)) & MASK
  for (; bytes.length - rest >= 4; rest += 4) {
    hash = (rotl((hash + BigInt(view.getUint32(rest, true)) * p3) & MASK, 17n) * p4) & MASK
  }
  for (; rest < bytes.length; rest++) hash = (rotl((hash + BigInt(bytes[rest] ?? 0) * p5) & MASK, 11n) * p1) & MASK
  hash = ((hash ^ (hash >> 15n)) * p2) & MASK
  hash = ((hash ^ (hash >> 13n)) * p3) & MASK
  return Number(hash ^ (hash >> 16n))
}

/** The buffer that the reference implementation checks itself with (cli/xsum_sanity_check.c). */
function sanityBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let generator = PRIMES[0] as bigint
  for (let index = 0; index < length; index++) {
    bytes[index] = Number(generator >> 56n)
    generator = BigInt.asUintN(64, generator * 11400714785074694797n)
  }
  return bytes
}

test('hash: vectors published for strings', () => {
  const vectors: readonly (readonly [string, number])[] = [
    ['', 0x02cc5d05],
    ['a', 0x550d7456],
    ['abc', 0x32d153ff],
    ['abcd', 0xa3643705],
    ['Nobody inspects the spammish repetition', 0xe2293b2f],
    ['The quick brown fox jumps over the lazy dog', 0xe85ea4de],
  ]
  for (const [text, hash] of vectors) assert.equal(hashString(text), hash, text)
})

test('hash: vectors of the reference implementation', () => {
  // length, hash with seed 0, hash with seed 2654435761
  const vectors: readonly (readonly [number, number, number])[] = [
    [0, 0x02cc5d05, 0x36b78ae7],
    [1, 0xcf65b03e, 0xb4545aa4],
    [14, 0x1208e7e2, 0x6af1d1fe],
    [222, 0x5bd11dbd, 0x58803c5f],
  ]
  for (const [length, zero, prime] of vectors) {
    assert.equal(hashBytes(sanityBytes(length)), zero, `${length} bytes`)
    assert.equal(hashBytes(sanityBytes(length), 0, length, 2654435761), prime, `${length} bytes, with a seed`)
  }
})

test('hash: any bytes, any window, any seed give what the specification says', () => {
  const seed = fc.integer({ min: 0, max: 0xffff_ffff })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(20), fc.nat(20), seed, (bytes, before, after, seed) => {
      const padded = new Uint8Array(before + bytes.length + after).fill(0xa5)
      padded.set(bytes, before)
      assert.equal(hashBytes(padded, before, before + bytes.length, seed), specified(bytes, seed))
    }),
    { numRuns: 2000 },
  )
})

test('hash: any string is hashed as its UTF-8, lone surrogates too', () => {
  const unit = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('\ud800', '\udc00', 'é', 'x'),
  )
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 30 }), (units) => {
      const text = units.join('')
      assert.equal(hashString(text), hashBytes(new TextEncoder().encode(text)))
    }),
    { numRuns: 2000 },
  )
  for (const length of [1023, 1024, 1025, 5000]) {
    for (const unit of ['k', '€', '😀']) {
      const text = unit.repeat(Math.ceil(length / unit.length)).slice(0, length)
      assert.equal(hashString(text), specified(new TextEncoder().encode(text), 0), `${length} × ${unit}`)
    }
  }
})
