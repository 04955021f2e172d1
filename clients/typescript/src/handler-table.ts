// Handlers by name: of channels, and of what the client itself has to tell.
import { HubError } from './hub-error.ts'

/** May be async. What it returns or resolves with is not looked at. */
export type Handler<T> = (value: T) => unknown

/** Async handlers that have not ended, in all. Beyond it they are not called. */
const RUNNING_MAX = 10_000
const HANDLERS_MAX = 1000

export class HandlerTable {
  readonly #handlers = new Map<string, Set<Handler<never>>>()
  readonly #failed: (error: HubError, name: string) => void
  readonly #runningMax: number
  #running = 0

  /** `failed` is told what handlers throw, and must not throw itself. */
  constructor(failed: (error: HubError, name: string) => void, runningMax = RUNNING_MAX) {
    this.#failed = failed
    this.#runningMax = runningMax
  }

  get names(): IterableIterator<string> {
    return this.#handlers.keys()
  }

  has(name: string): boolean {
    return this.#handlers.has(name)
  }

  /** Throws LIMIT. */
  add(name: string, handler: Handler<never>): void {
    const handlers = this.#handlers.get(name) ?? new Set()
    if (handlers.size >= HANDLERS_MAX || (handlers.size === 0 && this.#handlers.size >= HANDLERS_MAX))
      throw new HubError('LIMIT', 'Too many handlers')
    this.#handlers.set(name, handlers.add(handler))
  }

  /** Without `handler`: all of that name. */
  remove(name: string, handler?: Handler<never>): void {
    const handlers = this.#handlers.get(name)
    if (handler !== undefined) handlers?.delete(handler)
    if (handler === undefined || handlers?.size === 0) this.#handlers.delete(name)
  }

  /** Calls the handlers in the order they were added. False: there is none. */
  call(name: string, value: unknown): boolean {
    const handlers = this.#handlers.get(name)
    if (handlers === undefined) return false
    // A handler may add and remove handlers: those that were there when the value came are called.
    for (const handler of [...handlers]) this.#run(name, handler as Handler<unknown>, value)
    return true
  }

  #run(name: string, handler: Handler<unknown>, value: unknown): void {
    if (this.#running >= this.#runningMax) {
      this.#failed(
        new HubError('LIMIT', `${this.#runningMax} handlers are running: one of ${name} was not called`),
        name,
      )
      return
    }
    try {
      const result: unknown = handler(value)
      if (result instanceof Promise) void this.#watch(name, result)
    } catch (error) {
      this.#fail(name, error)
    }
  }

  async #watch(name: string, result: Promise<unknown>): Promise<void> {
    this.#running++
    try {
      await result
    } catch (error) {
      this.#fail(name, error)
    } finally {
      this.#running--
    }
  }

  #fail(name: string, cause: unknown): void {
    const text = cause instanceof Error ? cause.message : String(cause)
    this.#failed(new HubError('HANDLER', `A handler of ${name} failed: ${text}`, { cause }), name)
  }
}
