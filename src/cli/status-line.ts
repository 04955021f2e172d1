// The progress of something, for people: one line rewritten on a terminal; elsewhere a line a second, when it changed.
import type { TextSink } from './load/progress.ts'

const APPEND_MS = 1_000

export class StatusLine {
  readonly #sink: TextSink
  readonly #nowMs: () => number
  #last = ''
  #atMs = Number.NEGATIVE_INFINITY

  constructor(sink: TextSink, nowMs: () => number = () => performance.now()) {
    this.#sink = sink
    this.#nowMs = nowMs
  }

  show(line: string): void {
    if (this.#sink.isTTY === true) this.#sink.write(`\r\x1b[2K${line}`)
    else {
      if (line === this.#last || this.#nowMs() - this.#atMs < APPEND_MS) return
      this.#atMs = this.#nowMs()
      this.#sink.write(`${line}\n`)
    }
    this.#last = line
  }

  /** Leaves the terminal's line empty for what comes next. */
  end(): void {
    if (this.#sink.isTTY === true && this.#last !== '') this.#sink.write('\r\x1b[2K')
    this.#last = ''
  }
}
