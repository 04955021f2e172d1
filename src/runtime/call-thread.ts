// What the threads have in common that do calls for all others, the store's and the bridge's: records come in, barriers
// among them, and the end comes when nothing is on its way any more.
import { setImmediate as turn } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import { Barriers } from '../actor/barrier.ts'
import { ACTOR_RECORD } from '../actor/record.ts'
import { assert } from '../lib/assert.ts'
import { ThreadBase } from './thread-base.ts'
import type { CallControl, ThreadData } from './thread-data.ts'

/** Turns of the event loop without a call, after which those that were on their way when the drain began have come. */
const SILENT_TURNS = 3
/** How soon an answer to a barrier that found its ring full is tried again. */
const RETRY_MS = 5

/** What does the calls. */
export interface CallHost {
  /** Takes a record that is valid during the call. False: it is none of its kinds. */
  receive(source: number, kind: number, record: Buffer): boolean
  /** Settles when nothing waits any more. */
  flush(): Promise<void>
  close(): Promise<void>
}

export class CallThread {
  readonly base: ThreadBase
  readonly #host: () => CallHost
  readonly #barriers: Barriers

  constructor(data: ThreadData, port: MessagePort, host: () => CallHost) {
    this.#host = host
    this.base = new ThreadBase(data, port, (source, kind, bytes, offset, length) => {
      this.#onRecord(source, kind, Buffer.from(bytes.buffer, bytes.byteOffset + offset, length))
    })
    const { mesh } = this.base
    const retry = (attempt: () => boolean): void => void setTimeout(() => attempt() || retry(attempt), RETRY_MS)
    this.#barriers = new Barriers({
      sentTo: () => [],
      toThread: () => false,
      toAsker: (thread, ...record) => mesh.send(thread, 'control', ...record),
      retry,
      holds: () => false,
    })
  }

  /**
   * Closes the host when nothing waits any more: calls whose answer nobody awaited may still be in the rings, since
   * shards end as soon as they have nothing to wait for.
   */
  async close(): Promise<void> {
    for (let silent = 0, seen = -1; silent < SILENT_TURNS; silent++) {
      await this.#host().flush()
      const { recordsIn } = this.base.mesh.stats()
      if (recordsIn !== seen) silent = 0
      seen = recordsIn
      await turn()
    }
    await this.#host().close()
  }

  collect(): ReturnType<CallControl['collect']> {
    return this.base.metrics.collect()
  }

  #onRecord(source: number, kind: number, record: Buffer): void {
    if (this.#host().receive(source, kind, record)) return
    // What moves to another shard waits until what it had said has arrived (actor/barrier.ts). This has: calls are done
    // in their order from here on.
    assert(kind === ACTOR_RECORD.barrier, 'such a thread gets calls and barriers')
    this.#barriers.asked(record.readUInt32LE(0), source)
  }
}
