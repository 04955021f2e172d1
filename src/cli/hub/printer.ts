// Where a tool of the hub prints: frames in the wanted format, progress beside or between them, and a copy in a file.
import { closeSync, openSync, writeSync } from 'node:fs'
import type { TextSink } from '../load/progress.ts'
import { COLOURED, type Format, formatFrame, PLAIN, progressLine } from './format.ts'
import type { Frame } from './frame.ts'
import { SteadyOutput, type SteadySink } from './steady-output.ts'

export interface PrinterOptions {
  readonly stdout: SteadySink
  readonly stderr: TextSink
  readonly format: Format
  /** Of `NO_COLOR` and the like. */
  readonly colours: boolean
  readonly wallMs: () => number
  /** The path of a file that frames are appended to. */
  readonly output: string | undefined
}

export class FramePrinter implements Disposable {
  readonly #options: PrinterOptions
  readonly #file: number | undefined
  readonly #stdout: SteadyOutput

  /** Throws when the file cannot be opened. */
  constructor(options: PrinterOptions) {
    this.#options = options
    this.#stdout = new SteadyOutput(options.stdout)
    this.#file = options.output === undefined ? undefined : openSync(options.output, 'a')
  }

  /** Beside frames for people it is one of them; machines get it on stderr. */
  progress(text: string): void {
    const { stdout, stderr, format, wallMs } = this.#options
    const sink = format === 'pretty' ? stdout : stderr
    sink.write(progressLine(text, wallMs(), this.#paint(sink)))
  }

  /** False: stdout takes no more for now; `drained` is called when it does. Throws when the file cannot be written. */
  frame(frame: Frame, drained: () => void): boolean {
    const { stdout, format } = this.#options
    if (this.#file !== undefined) writeSync(this.#file, formatFrame(frame, format, PLAIN))
    return this.#stdout.write(formatFrame(frame, format, this.#paint(stdout)), drained)
  }

  problem(text: string): void {
    this.#options.stderr.write(`hub: ${text}\n`)
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file)
  }

  #paint(sink: TextSink): typeof PLAIN {
    return this.#options.colours && sink.isTTY === true ? COLOURED : PLAIN
  }
}
