// The calls of the store that one actor has open: they overlap, up to a limit. The store answers in the order it was
// called, and so is the order of what runs behind the answers.
import type { ActorContext } from '../../actor/context.ts'
import { type ChatProblem, OVERLOADED, problemOf } from './problem.ts'

/** Of one actor: at the longest message they hold 4 MB. */
export const STORE_CALLS_MAX = 1_024

export class StoreCalls {
  #open = 0

  /**
   * Calls, and answers what `done` makes of the value, or the problem; `failed` sees the error first. The actor handles
   * other messages meanwhile; only a handler that awaited something before is waited for.
   */
  run<Value, Result>(
    context: ActorContext,
    call: () => Promise<Value>,
    done: (value: Value) => Result | Promise<Result>,
    failed?: (error: unknown) => void,
  ): Promise<Result | ChatProblem> | ChatProblem {
    if (this.#open >= STORE_CALLS_MAX) return OVERLOADED
    this.#open++
    return context.interleave(
      call().then(
        (value) => {
          this.#open--
          return done(value)
        },
        (error: unknown) => {
          this.#open--
          failed?.(error)
          return problemOf(error)
        },
      ),
    )
  }
}
