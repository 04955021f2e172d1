// The store's thread: the only writer of the process to its database. Does the calls of all threads in the order in
// which they arrive (store/store-host.ts), and knows nothing of what they mean.
import { setImmediate as turn } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import { Barriers } from '../actor/barrier.ts'
import { ACTOR_RECORD } from '../actor/record.ts'
import { assert } from '../lib/assert.ts'
import { FAMILIES } from '../observe/family.ts'
import { createEngine } from '../store/create-engine.ts'
import { OnDemandEngine } from '../store/on-demand-engine.ts'
import type { StoreEngine } from '../store/store-engine.ts'
import { STORE_LIMITS, StoreHost } from '../store/store-host.ts'
import { ThreadBase } from './thread-base.ts'
import type { StoreControl, ThreadData } from './thread-data.ts'

/** Turns of the event loop without a call, after which those that were on their way when the drain began have come. */
const SILENT_TURNS = 3
/** How soon an answer to a barrier that found its ring full is tried again. */
const RETRY_MS = 5

export class StoreThread implements StoreControl {
  readonly #base: ThreadBase
  readonly #engine: OnDemandEngine
  readonly #host: StoreHost
  readonly #barriers: Barriers

  constructor(data: ThreadData, port: MessagePort) {
    this.#base = new ThreadBase(data, port, (source, kind, bytes, offset, length) => {
      this.#onRecord(source, kind, Buffer.from(bytes.buffer, bytes.byteOffset + offset, length))
    })
    const { mesh, metrics, log, clock } = this.#base
    const { store, ring } = data.config
    this.#engine = new OnDemandEngine(() => this.#createEngine())
    this.#host = new StoreHost({
      engine: this.#engine,
      reply: (thread, ...record) => mesh.send(thread, 'data', ...record),
      commitSeconds: metrics.histogram(FAMILIES.storeCommit).cell({}),
      batchSize: metrics.histogram(FAMILIES.storeBatch).cell({}),
      log,
      clock,
      limits: { ...STORE_LIMITS, callsMax: store.queue, answerBytesMax: ring.messageMax },
    })
    const retry = (attempt: () => boolean): void => void setTimeout(() => attempt() || retry(attempt), RETRY_MS)
    this.#barriers = new Barriers({
      sentTo: () => [],
      toThread: () => false,
      toAsker: (thread, ...record) => mesh.send(thread, 'control', ...record),
      retry,
      holds: () => false,
    })
  }

  start(): void {
    // Services will call it: a problem shows before the first client comes.
    if (this.#base.data.storeUser === 'services') this.#engine.open()
    this.#base.open()
  }

  async close(): Promise<void> {
    // Calls whose answer nobody awaited may still be in the rings: shards end as soon as they have nothing to wait for.
    for (let silent = 0, seen = -1; silent < SILENT_TURNS; silent++) {
      await this.#host.flush()
      const { recordsIn } = this.#base.mesh.stats()
      if (recordsIn !== seen) silent = 0
      seen = recordsIn
      await turn()
    }
    await this.#host.close()
  }

  collect(): ReturnType<StoreControl['collect']> {
    return this.#base.metrics.collect()
  }

  #onRecord(source: number, kind: number, record: Buffer): void {
    if (this.#host.receive(source, kind, record)) return
    // What moves to another shard waits until what it had said has arrived (actor/barrier.ts). This has: calls are done
    // in their order from here on.
    assert(kind === ACTOR_RECORD.barrier, 'the store gets calls and barriers')
    this.#barriers.asked(record.readUInt32LE(0), source)
  }

  #createEngine(): StoreEngine {
    const { data, log, clock } = this.#base
    const { kind, path } = data.config.store
    assert(kind !== 'redis', 'the configuration is checked')
    return createEngine({ kind, path, log, clock })
  }
}
