// Seeded random numbers for tests that make thousands of inputs: the same seed, the same input, on any machine.

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 32 random bits (mulberry32). */
  bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** An integer of 0 to limit − 1. */
  below(limit: number): number {
    return Math.floor((this.bits() / 0x1_0000_0000) * limit)
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.allocUnsafe(count)
    for (let i = 0; i < count; i++) bytes[i] = this.bits()
    return bytes
  }

  /** Sizes of the pieces in which `total` bytes arrive, each at most `pieceMax`. */
  pieces(total: number, pieceMax: number): number[] {
    const sizes: number[] = []
    for (let left = total; left > 0; ) {
      const size = Math.min(left, 1 + this.below(pieceMax))
      sizes.push(size)
      left -= size
    }
    return sizes
  }
}
