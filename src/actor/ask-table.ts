// The asks of one thread that wait for an answer. Each ends exactly once: by a reply, by its deadline, or with the
// thread. Knows nothing of how questions travel.
import { PolyloopError } from '../lib/errors.ts'
import type { TimerHandle, TimerWheel } from '../timer/wheel.ts'

interface Pending {
  readonly sequence: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: PolyloopError) => void
  readonly timer: TimerHandle
  readonly to: Asked
  readonly method: string
}

/** Who was asked. Its name is made when there is an error to tell. */
export interface Asked {
  readonly kind: string
  readonly id: string
}

export class AskTable {
  readonly #wheel: TimerWheel
  readonly #asksMax: number
  readonly #pending: (Pending | undefined)[] = []
  readonly #free: number[] = []
  // Begins elsewhere in each life of a thread: an answer to a question of the life before matches nothing.
  #sequence: number
  size = 0

  constructor(wheel: TimerWheel, asksMax: number, generation: number) {
    this.#wheel = wheel
    this.#asksMax = asksMax
    this.#sequence = generation << 20
  }

  /** Opens an entry; -1: there are too many. `sequence` names it together with its index. */
  open(
    timeoutMs: number,
    to: Asked,
    method: string,
    resolve: (value: unknown) => void,
    reject: (error: PolyloopError) => void,
  ): number {
    if (this.size >= this.#asksMax) return -1
    const index = this.#free.pop() ?? this.#pending.length
    this.#sequence = (this.#sequence + 1) | 0
    const timer = this.#wheel.schedule(Math.max(1, timeoutMs), this.#expire, index)
    this.#pending[index] = { sequence: this.#sequence, resolve, reject, timer, to, method }
    this.size++
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
    this.#wheel.cancel(pending.timer)
    return pending
  }

  readonly #expire = (index: number): void => {
    const pending = this.#pending[index]
    if (pending === undefined) return
    const { to, method, sequence } = pending
    this.reject(index, sequence, new PolyloopError('ASK_TIMEOUT', { actor: nameOf(to), method }))
  }
}

function nameOf({ kind, id }: Asked): string {
  return `${kind}/${id}`
}
