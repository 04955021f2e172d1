// Text for a stream that may take it more slowly than it comes: tells when to stop, and when to go on.
import type { TextSink } from '../load/progress.ts'

/** A stream has `once`, which tells when it takes more. */
export interface SteadySink extends TextSink {
  readonly once?: (event: 'drain', listener: () => void) => unknown
}

export class SteadyOutput {
  readonly sink: SteadySink
  #isFull = false

  constructor(sink: SteadySink) {
    this.sink = sink
  }

  /** False: it takes no more for now; `drained` is called when it does, once however much was written meanwhile. */
  write(text: string, drained: () => void): boolean {
    const { sink } = this
    if (sink.write(text) !== false || sink.once === undefined) return true
    if (this.#isFull) return false
    this.#isFull = true
    sink.once('drain', () => {
      this.#isFull = false
      drained()
    })
    return false
  }
}
