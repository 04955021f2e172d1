// An engine that is made by its first call: who never stores anything gets no file.
import type { StoreCall, StoreEngine, StoreOutcome } from './store-engine.ts'

export class OnDemandEngine implements StoreEngine {
  readonly #create: () => StoreEngine
  #engine: StoreEngine | undefined

  constructor(create: () => StoreEngine) {
    this.#create = create
  }

  /** Makes it now. */
  open(): StoreEngine {
    this.#engine ??= this.#create()
    return this.#engine
  }

  run(calls: readonly StoreCall[]): readonly StoreOutcome[] | Promise<readonly StoreOutcome[]> {
    return this.open().run(calls)
  }

  close(): void | Promise<void> {
    return this.#engine?.close()
  }
}
