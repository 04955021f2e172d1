// Key → slot → shard. The first step is fixed for ever; the second is a table in shared memory that main writes and
// every thread reads. Each entry is one aligned Uint16: a reader sees the old shard or the new one, and both are right,
// because placement decides speed and never results.
import { assert } from '../lib/assert.ts'
import { SEATS_MAX, SHARDS_MAX } from '../lib/thread.ts'
import { hashString } from './hash.ts'

/** Slots of the hash space. The same in every version and on every host: clusters place actors by it. */
export const SLOTS = 16_384

/** xxHash32 of the key's UTF-8, seed 0, modulo 16,384 [PROTOCOLS 1.8]. */
export function slotOf(key: string): number {
  return hashString(key) % SLOTS
}

export class SlotTable {
  /** What other threads need to build their own SlotTable over the same memory. */
  readonly memory: SharedArrayBuffer
  readonly #shards: Uint16Array

  constructor(memory: SharedArrayBuffer) {
    assert(memory.byteLength === SLOTS * Uint16Array.BYTES_PER_ELEMENT, 'the memory of a slot table is 32 KiB')
    this.memory = memory
    this.#shards = new Uint16Array(memory)
  }

  /** A new table; all slots belong to shard 0. */
  static allocate(): SlotTable {
    return new SlotTable(new SharedArrayBuffer(SLOTS * Uint16Array.BYTES_PER_ELEMENT))
  }

  shardOf(slot: number): number {
    return Atomics.load(this.#shards, slot)
  }

  shardOfKey(key: string): number {
    return Atomics.load(this.#shards, slotOf(key))
  }

  assign(slot: number, shard: number): void {
    assert(slot >= 0 && slot < SLOTS, 'a slot is one of 16,384')
    assert(shard >= 0 && shard < SEATS_MAX, 'a seat is one of 128')
    Atomics.store(this.#shards, slot, shard)
  }

  /** The first assignment: one contiguous range of slots for each shard, equal to within one slot. */
  spread(shards: number): void {
    assertShards(shards)
    for (let slot = 0; slot < SLOTS; slot++) this.assign(slot, Math.floor((slot * shards) / SLOTS))
  }

  /**
   * Shares the slots out anew between `shards` shards, equal to within one slot, and moves no more than it must: what
   * lies on shards that cease to be, and what is above a shard's share. Answers the slots that moved, in ascending order.
   */
  respread(shards: number): number[] {
    assertShards(shards)
    const owned = this.slotsPerShard()
    const shareOf = shareByShard(owned.slice(0, shards))
    const moved: number[] = []
    let taker = 0
    for (let slot = 0; slot < SLOTS; slot++) {
      const owner = this.shardOf(slot)
      if (owner < shards && (owned[owner] ?? 0) <= (shareOf[owner] ?? 0)) continue
      while ((owned[taker] ?? 0) >= (shareOf[taker] ?? 0)) taker++
      owned[owner] = (owned[owner] ?? 0) - 1
      owned[taker] = (owned[taker] ?? 0) + 1
      this.assign(slot, taker)
      moved.push(slot)
    }
    return moved
  }

  /** How many slots each possible shard owns. */
  slotsPerShard(): number[] {
    const counts = new Array<number>(SHARDS_MAX).fill(0)
    for (let slot = 0; slot < SLOTS; slot++) {
      const shard = this.shardOf(slot)
      counts[shard] = (counts[shard] ?? 0) + 1
    }
    return counts
  }
}

/** Shares that differ by one at most. The larger ones go to the shards that own most: less has to move. */
function shareByShard(owned: readonly number[]): number[] {
  const share = Math.floor(SLOTS / owned.length)
  const larger = SLOTS % owned.length
  const shares = new Array<number>(owned.length).fill(share)
  const byOwned = [...owned.keys()].sort((a, b) => (owned[b] ?? 0) - (owned[a] ?? 0) || a - b)
  for (const shard of byOwned.slice(0, larger)) shares[shard] = share + 1
  return shares
}

function assertShards(shards: number): void {
  assert(Number.isInteger(shards) && shards >= 1 && shards <= SHARDS_MAX, 'there are 1 to 64 shards')
}
