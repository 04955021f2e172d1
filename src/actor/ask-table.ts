// The asks of one thread that wait for an answer. Each ends exactly once: by a reply, by its deadline, or with the
// thread. Knows nothing of how questions travel.
//
// All deadlines share one timer, set to the earliest of those that waited when it was set. Nearly every ask is answered
// long before, so the timer mostly finds asks that came later, and is set to the earliest of these: one look at all that
// wait in about the time an ask may take, instead of a timer made and cancelled for each.
import type { Clock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import { NO_TIMER, type TimerHandle, type TimerWheel } from '../timer/wheel.ts'

interface Pending {
  readonly sequence: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: PolyloopError) => void
  readonly to: Asked
  readonly method: string
}

/** Who was asked. Its name is made when there is an error to tell. */
export interface Asked {
  readonly kind: string
  readonly id: string
}

/** Room to begin with; it doubles. */
const ENTRIES = 64

export class AskTable {
  readonly #clock: Clock
  readonly #wheel: TimerWheel
  readonly #asksMax: number
  readonly #pending: (Pending | undefined)[] = []
  #deadlinesMs = new Float64Array(ENTRIES)
  readonly #free: number[] = []
  // Begins elsewhere in each life of a thread: an answer to a question of the life before matches nothing.
  #sequence: number
  #timer: TimerHandle = NO_TIMER
  /** No ask that waits has an earlier deadline. */
  #dueMs = Number.POSITIVE_INFINITY
  size = 0

  constructor(clock: Clock, wheel: TimerWheel, asksMax: number, generation: number) {
    this.#clock = clock
    this.#wheel = wheel
    this.#asksMax = asksMax
    this.#sequence = generation << 20
  }

  /** Opens an entry; -1: there are too many. `sequence` names it together with its index. */
  open(
    deadlineMs: number,
    nowMs: number,
    to: Asked,
    method: string,
    resolve: (value: unknown) => void,
    reject: (error: PolyloopError) => void,
  ): number {
    if (this.size >= this.#asksMax) return -1
    const index = this.#free.pop() ?? this.#pending.length
    this.#sequence = (this.#sequence + 1) | 0
    if (index === this.#deadlinesMs.length) this.#grow()
    this.#deadlinesMs[index] = deadlineMs
    this.#pending[index] = { sequence: this.#sequence, resolve, reject, to, method }
    this.size++
    if (deadlineMs < this.#dueMs) this.#arm(deadlineMs, nowMs)
    return index
  }

  /** Of the entry that was opened last. */
  get sequence(): number {
    return this.#sequence
  }

  /** True if there was such an ask; false for an answer that came too late. */
  resolve(index: number, sequence: number, value: unknown): boolean {
    const pending = this.#take(index, sequence)
    pending?.resolve(value)
    return pending !== undefined
  }

  reject(index: number, sequence: number, error: PolyloopError): boolean {
    const pending = this.#take(index, sequence)
    pending?.reject(error)
    return pending !== undefined
  }

  /** Ends all that wait. */
  close(error: (actor: string, method: string) => PolyloopError): void {
    this.#wheel.cancel(this.#timer)
    this.#dueMs = Number.POSITIVE_INFINITY
    for (const [index, pending] of this.#pending.entries()) {
      if (pending !== undefined) this.reject(index, pending.sequence, error(nameOf(pending.to), pending.method))
    }
  }

  #take(index: number, sequence: number): Pending | undefined {
    const pending = this.#pending[index]
    if (pending === undefined || pending.sequence !== sequence) return undefined
    this.#pending[index] = undefined
    this.#free.push(index)
    this.size--
    return pending
  }

  #grow(): void {
    const deadlinesMs = new Float64Array(this.#deadlinesMs.length * 2)
    deadlinesMs.set(this.#deadlinesMs)
    this.#deadlinesMs = deadlinesMs
  }

  #arm(deadlineMs: number, nowMs: number): void {
    this.#wheel.cancel(this.#timer)
    this.#dueMs = deadlineMs
    this.#timer = this.#wheel.schedule(Math.max(1, deadlineMs - nowMs), this.#onDue)
  }

  readonly #onDue = (): void => {
    const nowMs = this.#clock.nowMs()
    this.#dueMs = Number.POSITIVE_INFINITY
    let earliestMs = Number.POSITIVE_INFINITY
    for (let index = 0; index < this.#pending.length; index++) {
      const pending = this.#pending[index]
      if (pending === undefined) continue
      const deadlineMs = this.#deadlinesMs[index] as number
      if (deadlineMs <= nowMs) {
        const { to, method, sequence } = pending
        this.reject(index, sequence, new PolyloopError('ASK_TIMEOUT', { actor: nameOf(to), method }))
      } else if (deadlineMs < earliestMs) earliestMs = deadlineMs
    }
    if (earliestMs < this.#dueMs) this.#arm(earliestMs, nowMs)
  }
}

function nameOf({ kind, id }: Asked): string {
  return `${kind}/${id}`
}
