// What a soak scenario is: something that runs for minutes, and either gives figures or throws.

export interface SoakContext {
  /** The same with small counts and short times, to try the scenario itself. */
  readonly quick: boolean
  /** One line of progress. */
  log(line: string): void
}

/** One line of the report. */
export interface SoakFigure {
  readonly name: string
  readonly value: string
}

export interface Scenario {
  /** What must hold, in one sentence. */
  readonly claim: string
  /** Longer is a failure. */
  readonly limitMs: number
  run(context: SoakContext): Promise<readonly SoakFigure[]>
}

export function defineScenario(scenario: Scenario): Scenario {
  return scenario
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}

/** "P50 …, max …" of milliseconds. */
export function spreadOf(samplesMs: readonly number[]): string {
  const sorted = [...samplesMs].sort((a, b) => a - b)
  const middle = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  return `P50 ${middle.toFixed(0)} ms, max ${(sorted.at(-1) ?? Number.NaN).toFixed(0)} ms (${sorted.length})`
}
