// Main's book of shards and where they sit: each has two seats, of which a reload uses the other one.
import { assert } from '../lib/assert.ts'
import { otherSeat, SHARDS_MAX } from '../lib/thread.ts'

export class SeatBook {
  /** Seat by shard. */
  readonly #seats: number[] = []
  /** Seats of threads that are on their way out. */
  readonly #retiring = new Set<number>()

  constructor(shards: number) {
    for (let shard = 0; shard < shards; shard++) this.#seats.push(shard)
  }

  get count(): number {
    return this.#seats.length
  }

  /** Of the shards in use, in order. */
  get seats(): readonly number[] {
    return this.#seats
  }

  get retiring(): readonly number[] {
    return [...this.#retiring]
  }

  seatOf(shard: number): number | undefined {
    return this.#seats[shard]
  }

  isRetiring(seat: number): boolean {
    return this.#retiring.has(seat)
  }

  /** The seat for a successor of the shard, or for the shard if it is new; undefined: its last predecessor is still there. */
  freeSeat(shard: number): number | undefined {
    const current = this.#seats[shard]
    const candidates = current === undefined ? [shard, otherSeat(shard)] : [otherSeat(current)]
    return candidates.find((seat) => !this.#retiring.has(seat))
  }

  /** From now on the shard sits there; where it sat retires. */
  take(shard: number, seat: number): void {
    assert(seat % SHARDS_MAX === shard, 'a shard has two seats')
    const before = this.#seats[shard]
    if (before !== undefined) this.#retiring.add(before)
    this.#seats[shard] = seat
  }

  /** The last shards are no more. */
  shrink(shards: number): void {
    for (const seat of this.#seats.splice(shards)) this.#retiring.add(seat)
  }

  gone(seat: number): void {
    this.#retiring.delete(seat)
  }
}
