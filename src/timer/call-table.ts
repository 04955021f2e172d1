// Calls to another thread that wait for their answer. Each ends exactly once: by its answer, by its time limit, or with
// the thread that was to answer. Knows nothing of how calls travel, and what they ask.
import type { Clock } from '../lib/clock.ts'
import type { PolyloopError } from '../lib/errors.ts'
import type { TimerHandle, TimerWheel } from './wheel.ts'

export interface CallTableOptions<Subject> {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly timeoutMs: number
  /** Counts the lives of this thread: an answer to the life before matches no call. */
  readonly generation: number
  readonly timeoutError: (subject: Subject, waitedMs: number) => PolyloopError
}

/** One call: taken out of the table, it is to be settled by who took it. */
export interface PendingCall<Subject> {
  /** What was asked: an operation, mostly. */
  readonly subject: Subject
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Entry<Subject> extends PendingCall<Subject> {
  readonly sinceMs: number
  readonly timer: TimerHandle
}

export class CallTable<Subject> {
  readonly #options: CallTableOptions<Subject>
  readonly #pending = new Map<number, Entry<Subject>>()
  #number: number

  constructor(options: CallTableOptions<Subject>) {
    this.#options = options
    this.#number = (options.generation << 20) >>> 0
  }

  get size(): number {
    return this.#pending.size
  }

  /** Answers the number of the call, u32 and never 0. Throws TIMER_TABLE_FULL. */
  open(subject: Subject, resolve: (value: unknown) => void, reject: (error: unknown) => void): number {
    do this.#number = (this.#number + 1) >>> 0
    while (this.#number === 0 || this.#pending.has(this.#number))
    const { clock, wheel, timeoutMs } = this.#options
    const timer = wheel.schedule(timeoutMs, this.#expire, this.#number)
    this.#pending.set(this.#number, { subject, resolve, reject, sinceMs: clock.nowMs(), timer })
    return this.#number
  }

  /** Undefined: it has ended, or was of the life before. */
  take(number: number): PendingCall<Subject> | undefined {
    const entry = this.#pending.get(number)
    if (entry === undefined) return undefined
    this.#pending.delete(number)
    this.#options.wheel.cancel(entry.timer)
    return entry
  }

  /** Ends all that wait. */
  fail(errorOf: (subject: Subject) => PolyloopError): void {
    for (const [number, { subject }] of this.#pending) this.take(number)?.reject(errorOf(subject))
  }

  readonly #expire = (number: number): void => {
    const entry = this.#pending.get(number)
    if (entry === undefined) return
    this.#pending.delete(number)
    const waitedMs = Math.round(this.#options.clock.nowMs() - entry.sinceMs)
    entry.reject(this.#options.timeoutError(entry.subject, waitedMs))
  }
}
