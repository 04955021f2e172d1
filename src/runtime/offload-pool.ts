// The pool for CPU-bound work, so that no shard has to do it: Piscina, with a bounded queue.
import { availableParallelism } from 'node:os'
import { Piscina } from 'piscina'
import { offloadThreadCountOf } from '../config/automatic.ts'
import { entryPoint } from './entry-point.ts'

/** Tasks that wait for a thread; one more is rejected. */
const QUEUE_MAX = 10_000
const IDLE_MS = 30_000

export class OffloadPool {
  readonly #pool: Piscina

  constructor(threads: number | 'auto') {
    this.#pool = new Piscina({
      filename: entryPoint('offload').href,
      name: 'run',
      minThreads: 0,
      maxThreads: offloadThreadCountOf(threads, availableParallelism()),
      maxQueue: QUEUE_MAX,
      idleTimeout: IDLE_MS,
      // Its faster way of waiting blocks the worker's own event loop, and tasks may be asynchronous.
      atomics: 'disabled',
    })
  }

  /** Runs the exported function `name` of `module` with `argument`; both ways are structured clones. */
  run(module: string, name: string, argument: unknown): Promise<unknown> {
    return this.#pool.run({ module, name, argument }) as Promise<unknown>
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}
