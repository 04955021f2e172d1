// The p99 of the turns of an event loop over a short while, at a few nanoseconds per turn. The histogram of
// /metrics counts the same turns for ever and in coarser buckets; this is for people who watch.

/** Steps per doubling: an answer is at most an eighth too large. */
const STEP_BITS = 3
const STEPS = 1 << STEP_BITS
/** Cells for what fits 31 bits; the first `STEPS` ones are exact. */
const CELLS = (32 - STEP_BITS) * STEPS
/** Resolution: turns take microseconds. 2^31 of these are more than three minutes. */
const UNITS_PER_SECOND = 1e7
const UNITS_MAX = 0x7fffffff
const QUANTILE = 0.99

export class TurnGauge {
  readonly #cells = new Uint32Array(CELLS)

  /** A turn took so long. */
  observe(seconds: number): void {
    const scaled = seconds * UNITS_PER_SECOND
    // Two branches and no logarithm: the position of the highest bit is the doubling, the bits below it are the step.
    const units = scaled < UNITS_MAX ? scaled | 0 : UNITS_MAX
    const shift = 31 - STEP_BITS - Math.clz32(units)
    const cell = shift <= 0 ? units : (shift << STEP_BITS) + (units >>> shift)
    this.#cells[cell] = (this.#cells[cell] as number) + 1
  }

  /** The p99 of the turns since the last call, rounded up to the next step; 0 without turns. */
  takeP99Seconds(): number {
    const cells = this.#cells
    const count = cells.reduce((sum, value) => sum + value, 0)
    let above = count - Math.ceil(count * QUANTILE)
    let cell = CELLS - 1
    while (cell >= 0 && (cells[cell] as number) <= above) above -= cells[cell--] as number
    cells.fill(0)
    return count === 0 ? 0 : boundOf(cell) / UNITS_PER_SECOND
  }
}

/** The smallest value that is too large for the cell. */
function boundOf(cell: number): number {
  const shift = (cell >> STEP_BITS) - 1
  return shift <= 0 ? cell + 1 : ((cell & (STEPS - 1)) + STEPS + 1) * 2 ** shift
}
