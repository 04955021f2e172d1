// Numbers in ascending order, for lists in pieces while numbers come and go: new ones are merged in when somebody asks,
// because sorting 100,000 of them takes 30 ms, and merging a few into them less than one.

/** New numbers that wait to be merged; beyond it all are sorted anew. */
const ADDED_MAX = 10_000

interface Present {
  keys(): Iterable<number>
}

export class IdOrder {
  #sorted = new Float64Array(0)
  #added: number[] = []
  /** Numbers that may be in `#sorted` though they are gone. */
  #goneMax = 0
  /** What is there has to be asked for. */
  #isLost = false

  add(id: number): void {
    if (this.#isLost) return
    this.#added.push(id)
    if (this.#added.length > ADDED_MAX) this.#lose()
  }

  /** It stays in the order until many are gone. */
  remove(): void {
    this.#goneMax++
  }

  /** All numbers that were added, some that are gone included; `present` are those that are there. */
  ascending(present: Present): Float64Array {
    if (this.#isLost || this.#goneMax > this.#sorted.length / 2) {
      this.#sorted = Float64Array.from(present.keys()).sort()
      this.#goneMax = 0
      this.#isLost = false
    } else if (this.#added.length > 0) this.#sorted = merged(this.#sorted, Float64Array.from(this.#added).sort())
    this.#added = []
    return this.#sorted
  }

  #lose(): void {
    this.#added = []
    this.#isLost = true
  }
}

/** Both are ascending; what comes twice is kept once. */
function merged(some: Float64Array, others: Float64Array): Float64Array<ArrayBuffer> {
  const all = new Float64Array(some.length + others.length)
  let count = 0
  let from = 0
  for (const other of others) {
    while (from < some.length && (some[from] as number) < other) all[count++] = some[from++] as number
    // Gone and come again.
    if (some[from] === other) from++
    if (count === 0 || all[count - 1] !== other) all[count++] = other
  }
  all.set(some.subarray(from), count)
  return all.subarray(0, count + some.length - from)
}
