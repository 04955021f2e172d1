// Decides when a shard's heap is too full to go on. Pure.

/** Garbage that was not collected yet counts as used: one reading over the limit says little. */
const READINGS = 2
/** A shard that is full again so soon after a fresh thread took over is full of what it took over. */
const MOVES_APART_MS = 60_000

export class HeapGuard {
  readonly #replaceAt: number
  readonly #over = new Map<number, number>()
  readonly #movedMs = new Map<number, number>()

  /** `replaceAt`: share of the heap limit; 1 turns the guard off. */
  constructor(replaceAt: number) {
    this.#replaceAt = replaceAt
  }

  /** True once, when the share was over the limit in consecutive readings. */
  isOver(shard: number, share: number): boolean {
    if (this.#replaceAt >= 1 || !(share >= this.#replaceAt)) {
      this.#over.delete(shard)
      return false
    }
    const readings = (this.#over.get(shard) ?? 0) + 1
    this.#over.set(shard, readings)
    return readings === READINGS
  }

  /** Whether it makes sense that a fresh thread takes over; if so it counts as done. */
  mayMove(shard: number, nowMs: number): boolean {
    const lastMs = this.#movedMs.get(shard)
    if (lastMs !== undefined && nowMs - lastMs < MOVES_APART_MS) return false
    this.#movedMs.set(shard, nowMs)
    return true
  }
}
