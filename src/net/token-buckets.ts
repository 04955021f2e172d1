// Rate limits that all shards share: token buckets in shared memory, one 64-bit word each, found by the hash of their
// key. A bucket is the time at which it will be full again (GCRA: the theoretical arrival time of the next token), so
// taking a token is one compare-and-swap.
import type { Clock } from '../lib/clock.ts'
import { hashString } from '../placement/hash.ts'

/** Buckets are looked for in sets of so many; a set that is full of busy ones gives up the one that is full soonest. */
const WAYS = 8
const SETS = 8_192
const BUCKETS_BYTES = WAYS * SETS * 8

/** A word: the key's tag above, the time below, in units of 1/16 ms that wrap after 3 days. */
const TIME_BITS = 32n
const TIME_MASK = (1n << TIME_BITS) - 1n
const UNITS_PER_MS = 16
const WRAP = 2 ** 32
const TAG_SEED = 1
/** No bucket takes longer to fill: a time that far ahead is one that wrapped. */
const FILL_MS_MAX = 24 * 3_600_000

export class TokenBuckets {
  readonly memory: SharedArrayBuffer
  readonly #words: BigUint64Array
  readonly #clock: Clock

  constructor(memory: SharedArrayBuffer, clock: Clock) {
    this.memory = memory
    this.#words = new BigUint64Array(memory)
    this.#clock = clock
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(BUCKETS_BYTES)
  }

  /**
   * Takes a token of `key`'s bucket, which gets `rate` a second and holds `burst`. 0: taken; otherwise how many
   * milliseconds until there is one. Two keys share a bucket once in 2^45 pairs. `rate` is at most 10,000, `burst / rate` at
   * most a day.
   */
  take(key: string, rate: number, burst: number): number {
    const now = Math.floor(this.#clock.nowMs() * UNITS_PER_MS)
    const costUnits = (1_000 / rate) * UNITS_PER_MS
    const fillUnits = Math.min(costUnits * burst, FILL_MS_MAX * UNITS_PER_MS)
    const set = (hashString(key) % SETS) * WAYS
    const tag = BigInt(hashString(key, TAG_SEED)) | 1n
    for (;;) {
      const { index, word } = this.#find(set, tag, now)
      // How far ahead of now the bucket is full again; a bucket that nobody uses is full.
      const left = word >> TIME_BITS === tag ? aheadOf(word, now) : 0
      // Emptier than empty is none: its time is long past, and has wrapped.
      const ahead = left > fillUnits + 1 ? 0 : left
      const missing = ahead + costUnits - fillUnits
      if (missing > 0) return Math.max(1, missing / UNITS_PER_MS)
      const time = BigInt((now + Math.ceil(ahead + costUnits)) % WRAP)
      if (Atomics.compareExchange(this.#words, index, word, (tag << TIME_BITS) | time) === word) return 0
    }
  }

  #find(set: number, tag: bigint, now: number): { readonly index: number; readonly word: bigint } {
    let index = set
    let word = 0n
    let least = Number.POSITIVE_INFINITY
    for (let way = 0; way < WAYS; way++) {
      const candidate = Atomics.load(this.#words, set + way)
      if (candidate >> TIME_BITS === tag) return { index: set + way, word: candidate }
      const ahead = candidate === 0n ? -1 : aheadOf(candidate, now)
      if (ahead >= least) continue
      least = ahead
      index = set + way
      word = candidate
    }
    return { index, word }
  }
}

/** How far ahead of `now` the time in a word is; 0 when it is past, or so far ahead that it wrapped. */
function aheadOf(word: bigint, now: number): number {
  const ahead = (Number(word & TIME_MASK) - (now % WRAP) + WRAP) % WRAP
  return ahead > FILL_MS_MAX * UNITS_PER_MS ? 0 : ahead
}
