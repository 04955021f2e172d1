// The progress of a run, for people: one line rewritten each second on a terminal, a line each five seconds elsewhere.

const REWRITE_MS = 1_000
const APPEND_MS = 5_000

/** Where text goes: process.stdout, process.stderr, or a test's collector. */
export interface TextSink {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
}

export interface ProgressFacts {
  readonly phase: string
  readonly elapsedMs: number
  readonly open: number
  readonly answered: number
  readonly errors: number
}

export class Progress {
  readonly everyMs: number
  readonly #sink: TextSink
  readonly #terminal: boolean
  #last: ProgressFacts | undefined
  #written = false

  constructor(sink: TextSink) {
    this.#sink = sink
    this.#terminal = sink.isTTY === true
    this.everyMs = this.#terminal ? REWRITE_MS : APPEND_MS
  }

  show(facts: ProgressFacts): void {
    const line = progressLine(facts, this.#last)
    this.#last = facts
    this.#written = true
    this.#sink.write(this.#terminal ? `\r\x1b[2K${line}` : `${line}\n`)
  }

  /** Leaves the terminal's line empty for the report. */
  end(): void {
    if (this.#terminal && this.#written) this.#sink.write('\r\x1b[2K')
  }
}

export function progressLine(now: ProgressFacts, before: ProgressFacts | undefined): string {
  const elapsedMs = now.elapsedMs - (before?.elapsedMs ?? 0)
  const perSecond = elapsedMs > 0 ? ((now.answered - (before?.answered ?? 0)) / elapsedMs) * 1_000 : 0
  const figures = [
    `${number(now.open)} connections`,
    `${number(perSecond)} msg/s`,
    `${number(now.answered)} answered`,
    `${number(now.errors)} errors`,
  ]
  return `${String(Math.round(now.elapsedMs / 1_000)).padStart(4)}s  ${now.phase.padEnd(10)} ${figures.join('  ')}`
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}
