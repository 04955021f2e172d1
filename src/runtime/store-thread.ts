// The store's thread: the only writer of the process to its database. Does the calls of all threads in the order in
// which they arrive (store/store-host.ts), and knows nothing of what they mean.
import type { MessagePort } from 'node:worker_threads'
import { assert } from '../lib/assert.ts'
import { FAMILIES } from '../observe/family.ts'
import { createEngine } from '../store/create-engine.ts'
import { OnDemandEngine } from '../store/on-demand-engine.ts'
import type { StoreEngine } from '../store/store-engine.ts'
import { STORE_LIMITS, StoreHost } from '../store/store-host.ts'
import { CallThread } from './call-thread.ts'
import { recordBytesMaxOf } from './limits.ts'
import type { CallControl, ThreadData } from './thread-data.ts'

export class StoreThread implements CallControl {
  readonly #thread: CallThread
  readonly #engine: OnDemandEngine
  readonly #host: StoreHost

  constructor(data: ThreadData, port: MessagePort) {
    this.#thread = new CallThread(data, port, () => this.#host)
    const { mesh, metrics, log, clock } = this.#thread.base
    const { store } = data.config
    this.#engine = new OnDemandEngine(() => this.#createEngine())
    this.#host = new StoreHost({
      engine: this.#engine,
      reply: (thread, ...record) => mesh.send(thread, 'data', ...record),
      commitSeconds: metrics.histogram(FAMILIES.storeCommit).cell({}),
      batchSize: metrics.histogram(FAMILIES.storeBatch).cell({}),
      log,
      clock,
      limits: { ...STORE_LIMITS, callsMax: store.queue, answerBytesMax: recordBytesMaxOf(data.config) },
    })
  }

  start(): void {
    const { base } = this.#thread
    // Services will call it: a problem shows before the first client comes.
    if (base.data.storeUser === 'services') this.#engine.open()
    base.open()
  }

  close(): Promise<void> {
    return this.#thread.close()
  }

  collect(): ReturnType<CallControl['collect']> {
    return this.#thread.collect()
  }

  #createEngine(): StoreEngine {
    const { data, log, clock } = this.#thread.base
    const { kind, path } = data.config.store
    assert(kind !== 'redis', 'it has no thread')
    return createEngine({ kind, path, log, clock })
  }
}
