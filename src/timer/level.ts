// One level of the timing wheel: a ring of slots and the cursor that has passed some of them. It knows arithmetic and
// the occupancy bits, no timers.
//
// A tick is 2^22 ns. Ticks are int32 and wrap after 208 days, so they are compared by the sign of their difference.

/** Milliseconds to ticks: 10^6 / 2^22, which a double holds exactly. */
export const TICKS_PER_MS = 15_625 / 65_536

/** 2^shift ticks a slot, 2^bits slots, which start at slot `base` of the wheel. */
export interface LevelShape {
  readonly shift: number
  readonly bits: number
  readonly base: number
}

/** 4.19 ms × 256 = 1.07 s, 134 ms × 256 = 34.4 s, 2.15 s × 1024 = 36.65 min. */
export const LEVEL_SHAPES = [
  { shift: 0, bits: 8, base: 0 },
  { shift: 5, bits: 8, base: 256 },
  { shift: 9, bits: 10, base: 512 },
] as const satisfies readonly LevelShape[]

export const SLOTS_TOTAL = 1536

export class Level {
  /** Every slot up to and including this tick was emptied; always a multiple of the granularity. */
  doneTick = 0
  readonly granularityTicks: number
  readonly #shift: number
  readonly #base: number
  readonly #slotMask: number
  readonly #spanTicks: number

  constructor(shape: LevelShape) {
    this.granularityTicks = 1 << shape.shift
    this.#shift = shape.shift
    this.#base = shape.base
    this.#slotMask = (1 << shape.bits) - 1
    this.#spanTicks = 1 << (shape.shift + shape.bits)
  }

  /** The slot for a deadline, rounded up to the granularity; -1 when it lies beyond the level. */
  slotFor(deadlineTick: number): number {
    const step = this.granularityTicks
    const tick = (deadlineTick + step - 1) & -step
    const aheadTicks = (tick - this.doneTick) | 0
    if (aheadTicks > this.#spanTicks) return -1
    // A deadline that has come already waits for the next slot: the one of doneTick is a whole turn away.
    return this.slotAt(aheadTicks <= 0 ? this.doneTick + step : tick)
  }

  /** The slot that the cursor reaches last. */
  farthestSlot(): number {
    return this.slotAt(this.doneTick)
  }

  slotAt(tick: number): number {
    return this.#base + ((tick >>> this.#shift) & this.#slotMask)
  }

  /** Ticks from the cursor to the next occupied slot; 0 when the level is empty. */
  aheadTicks(occupied: Int32Array): number {
    const wordMask = this.#slotMask >>> 5
    const firstWord = this.#base >>> 5
    const start = ((this.doneTick >>> this.#shift) + 1) & this.#slotMask
    let word = start >>> 5
    let bits = (occupied[firstWord + word] as number) & (-1 << (start & 31))
    // One word more than there are: the first is looked at again, for its bits below `start`.
    for (let looked = 0; looked <= wordMask + 1; looked++) {
      if (bits !== 0) {
        const slot = (word << 5) + 31 - Math.clz32(bits & -bits)
        return (((slot - start) & this.#slotMask) + 1) << this.#shift
      }
      word = (word + 1) & wordMask
      bits = occupied[firstWord + word] as number
    }
    return 0
  }

  /** Sets the cursor of an empty level. */
  reset(nowTick: number): void {
    this.doneTick = nowTick & -this.granularityTicks
  }

  /** Moves the cursor towards `nowTick` as far as no occupied slot is passed; answers whether one is due. */
  seek(nowTick: number, occupied: Int32Array): boolean {
    const limitTick = nowTick & -this.granularityTicks
    const behindTicks = (limitTick - this.doneTick) | 0
    if (behindTicks <= 0) return false
    const aheadTicks = this.aheadTicks(occupied)
    if (aheadTicks === 0 || aheadTicks > behindTicks) {
      this.doneTick = limitTick
      return false
    }
    this.doneTick = (this.doneTick + aheadTicks - this.granularityTicks) | 0
    return true
  }
}
