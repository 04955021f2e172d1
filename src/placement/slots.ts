// Key → slot → seat of a shard. The first step is fixed for ever; the second is a table in shared memory that main writes and
// every thread reads. Each entry is one aligned Uint16: a reader sees the old shard or the new one, and both are right,
// because who is no longer the owner passes on (actor/router.ts).
import { assert } from '../lib/assert.ts'
import { SEATS_MAX, SHARDS_MAX } from '../lib/thread.ts'
import { hashString } from './hash.ts'

/** Slots of the hash space. The same in every version and on every host: clusters place actors by it. */
export const SLOTS = 16_384

/** xxHash32 of the key's UTF-8, seed 0, modulo 16,384 [PROTOCOLS 1.8]. */
export function slotOf(key: string): number {
  return hashString(key) % SLOTS
}

/** Slots that change hands. */
export interface SlotTransfer {
  readonly from: number
  readonly to: number
  readonly slots: Uint16Array
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
   * How to share the slots out anew between `seats`, equal to within one slot, moving no more than must be: what lies on
   * seats that cease to be, and what is above a seat's share. Changes nothing; answers who gives which slots to whom.
   */
  plan(seats: readonly number[]): SlotTransfer[] {
    assertShards(seats.length)
    const owned = this.slotsPerSeat()
    const shareOf = shareBySeat(seats, owned)
    const slotsOf = new Map<string, { from: number; to: number; slots: number[] }>()
    let taker = 0
    for (let slot = 0; slot < SLOTS; slot++) {
      const from = this.shardOf(slot)
      const share = shareOf.get(from)
      if (share !== undefined && (owned[from] ?? 0) <= share) continue
      while ((owned[seats[taker] as number] ?? 0) >= (shareOf.get(seats[taker] as number) ?? 0)) taker++
      const to = seats[taker] as number
      owned[from] = (owned[from] ?? 0) - 1
      owned[to] = (owned[to] ?? 0) + 1
      const transfer = slotsOf.get(`${from} ${to}`)
      if (transfer === undefined) slotsOf.set(`${from} ${to}`, { from, to, slots: [slot] })
      else transfer.slots.push(slot)
    }
    return [...slotsOf.values()].map(({ from, to, slots }) => ({ from, to, slots: Uint16Array.from(slots) }))
  }

  /** All slots of a seat. */
  slotsOf(seat: number): Uint16Array {
    const slots: number[] = []
    for (let slot = 0; slot < SLOTS; slot++) if (this.shardOf(slot) === seat) slots.push(slot)
    return Uint16Array.from(slots)
  }

  /** How many slots each possible seat owns. */
  slotsPerSeat(): number[] {
    const counts = new Array<number>(SEATS_MAX).fill(0)
    for (let slot = 0; slot < SLOTS; slot++) {
      const shard = this.shardOf(slot)
      counts[shard] = (counts[shard] ?? 0) + 1
    }
    return counts
  }
}

/** Shares that differ by one at most. The larger ones go to the seats that own most: less has to move. */
function shareBySeat(seats: readonly number[], owned: readonly number[]): Map<number, number> {
  const share = Math.floor(SLOTS / seats.length)
  const larger = SLOTS % seats.length
  const byOwned = [...seats].sort((a, b) => (owned[b] ?? 0) - (owned[a] ?? 0) || a - b)
  return new Map(byOwned.map((seat, index) => [seat, index < larger ? share + 1 : share]))
}

function assertShards(shards: number): void {
  assert(Number.isInteger(shards) && shards >= 1 && shards <= SHARDS_MAX, 'there are 1 to 64 shards')
}
