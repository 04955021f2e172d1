// What every bench has in common: its shape, the interleaving of a subject with its peer, and the printed result.

export interface BenchContext {
  /** Run for a moment, to prove that the bench works; the figures mean nothing. */
  readonly smoke: boolean
  /** Progress for people; goes to stderr. */
  log(line: string): void
}

export interface Ratio {
  /** "<subject> / <peer>: <what>", e.g. "ring / postMessage: messages per second" */
  readonly name: string
  readonly value: number
  /** The budget, if there is one. */
  readonly atMost?: number
  readonly atLeast?: number
}

export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
}

export interface BenchResult {
  readonly ratios: readonly Ratio[]
  readonly figures: readonly Figure[]
  /** A digest of what was computed, printed so that nothing can be optimised away. */
  readonly hash: number
}

export interface Bench {
  /** The question in one line. */
  readonly question: string
  run(context: BenchContext): Promise<BenchResult>
}

export function defineBench(bench: Bench): Bench {
  return bench
}

/** Runs each candidate `rounds` times in turn (A B C A B C …), so that drift of the machine hits all alike. */
export async function interleave<K extends string>(
  rounds: number,
  candidates: Readonly<Record<K, () => Promise<number> | number>>,
): Promise<Record<K, number[]>> {
  const keys = Object.keys(candidates) as K[]
  const samples = Object.fromEntries(keys.map((key) => [key, [] as number[]])) as Record<K, number[]>
  for (let round = 0; round < rounds; round++) {
    for (const key of keys) samples[key].push(await candidates[key]())
  }
  return samples
}

export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const high = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2
}

/** The median of the pairwise ratios a[i] / b[i]: steadier than the ratio of medians on a noisy machine. */
export function ratioOf(a: readonly number[], b: readonly number[]): number {
  return median(a.map((value, index) => value / (b[index] ?? Number.NaN)))
}
