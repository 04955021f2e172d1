// An engine that is made by its first call: who never stores anything gets no file.
import { failureOf, type StoreCall, type StoreEngine, type StoreOutcome } from './store-engine.ts'

export class OnDemandEngine implements StoreEngine {
  readonly #create: () => StoreEngine
  #engine: StoreEngine | undefined

  constructor(create: () => StoreEngine) {
    this.#create = create
  }

  /** Makes it now. Throws what the making throws. */
  open(): StoreEngine {
    this.#engine ??= this.#create()
    return this.#engine
  }

  run(calls: readonly StoreCall[]): readonly StoreOutcome[] | Promise<readonly StoreOutcome[]> {
    let engine: StoreEngine
    try {
      engine = this.open()
    } catch (error) {
      // The next call tries again.
      const failure = failureOf(error)
      return calls.map(() => failure)
    }
    return engine.run(calls)
  }

  close(): void | Promise<void> {
    return this.#engine?.close()
  }
}
