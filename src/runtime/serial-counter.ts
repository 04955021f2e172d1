// Counters of accepted connections in shared memory: they outlive the acceptor, so that no number is ever given twice.
// One writer: the acceptor.
import { SERVICES_MAX } from '../observe/figure.ts'

/** Most listeners of a process: four transports for each service. */
export const LISTENERS_MAX = 4 * SERVICES_MAX

export class SerialCounters {
  readonly memory: SharedArrayBuffer
  /** [0]: all connections of the process; then one per listener. */
  readonly #counts: Float64Array

  static allocate(): SerialCounters {
    return new SerialCounters(new SharedArrayBuffer(8 * (1 + LISTENERS_MAX)))
  }

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory
    this.#counts = new Float64Array(memory)
  }

  /** The next id in the process, from 1. */
  nextId(): number {
    return this.#next(0)
  }

  /** The next number of one listener, from 1. */
  nextSerial(listener: number): number {
    return this.#next(1 + listener)
  }

  #next(index: number): number {
    const next = (this.#counts[index] as number) + 1
    this.#counts[index] = next
    return next
  }
}
