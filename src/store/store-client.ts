// The store as a thread that is not the store's sees it: calls become records, answers settle promises. Each call ends
// exactly once: by its answer, by its time limit, or because the store's thread ended.
import type { Clock } from '../lib/clock.ts'
import { decodeValue, encodeValue } from '../lib/codec.ts'
import { PolyloopError } from '../lib/errors.ts'
import { CallTable } from '../timer/call-table.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { Store, StoreOperation } from './store.ts'
import type { StoreFailure } from './store-engine.ts'
import { OPERATIONS, OUTCOME, type SendRecord, STORE_AT, STORE_HEAD_BYTES, STORE_RECORD } from './store-record.ts'

/** Longest call by default: `ring.messageMax`. */
const CALL_BYTES_MAX = 1024 * 1024

export interface StoreClientOptions {
  /** Sends a record to the store's thread. */
  readonly send: SendRecord
  readonly clock: Clock
  readonly wheel: TimerWheel
  /** A call that is not answered in this time fails with STORE_TIMEOUT. */
  readonly timeoutMs: number
  /** Calls that wait for their answer at a time; one more fails with STORE_BUSY at once. */
  readonly callsMax: number
  /** Longest record `send` can take; a longer call fails with MESSAGE_TOO_LARGE. Default 1 MiB. */
  readonly callBytesMax?: number
  /** Counts the lives of this thread: an answer to the life before matches no call. Default 0. */
  readonly generation?: number
}

export class StoreClient {
  readonly store: Store
  readonly #options: StoreClientOptions
  readonly #calls: CallTable<StoreOperation>
  readonly #head = Buffer.alloc(STORE_HEAD_BYTES)
  readonly #callBytesMax: number

  constructor(options: StoreClientOptions) {
    this.#options = options
    this.#callBytesMax = options.callBytesMax ?? CALL_BYTES_MAX
    const { clock, wheel, timeoutMs, generation = 0 } = options
    this.#calls = new CallTable({
      clock,
      wheel,
      timeoutMs,
      generation,
      timeoutError: (operation, waitedMs) => new PolyloopError('STORE_TIMEOUT', { operation, waitedMs }),
    })
    const methods = OPERATIONS.map((operation, index) => [
      operation,
      (argument: unknown) => this.#call(operation, index, argument),
    ])
    this.store = Object.freeze(Object.fromEntries(methods)) as Store
  }

  /** Calls that wait for their answer. */
  get waiting(): number {
    return this.#calls.size
  }

  /** A record from the store's thread. False: it is no answer. */
  receive(kind: number, record: Buffer): boolean {
    if (kind !== STORE_RECORD.answer) return false
    // Too late, or for the life of this thread before: nobody waits for it.
    const pending = this.#calls.take(record.readUInt32LE(STORE_AT.number))
    if (pending === undefined) return true
    try {
      const value = decodeValue(record[STORE_AT.tag] as number, record, STORE_HEAD_BYTES, record.length)
      if (record[STORE_AT.outcome] === OUTCOME.ok) {
        pending.resolve(value)
        return true
      }
      const { code, problem } = value as StoreFailure
      pending.reject(new PolyloopError(code, { operation: pending.subject, problem }))
    } catch (error) {
      pending.reject(error)
    }
    return true
  }

  /** The store's thread ended: nobody answers what it had taken. Later calls go to its successor. */
  storeDown(): void {
    this.#calls.fail((operation) => new PolyloopError('STORE_LOST', { operation }))
  }

  #call(operation: StoreOperation, index: number, argument: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { send, callsMax } = this.#options
      if (this.#calls.size >= callsMax) {
        reject(new PolyloopError('STORE_BUSY', { operation, problem: `${callsMax} calls of this thread wait` }))
        return
      }
      // What cannot be encoded throws, which rejects.
      const { tag, bytes, start, end } = encodeValue(argument)
      const length = end - start
      if (STORE_HEAD_BYTES + length > this.#callBytesMax) {
        reject(new PolyloopError('MESSAGE_TOO_LARGE', { operation, bytes: length }))
        return
      }
      // Before it is sent: a full timer table throws.
      const number = this.#calls.open(operation, resolve, reject)
      const head = this.#head
      head.writeUInt32LE(number, STORE_AT.number)
      head[STORE_AT.operation] = index
      head[STORE_AT.tag] = tag
      if (send(STORE_RECORD.call, head, STORE_HEAD_BYTES, bytes, start, length)) return
      this.#calls.take(number)
      reject(new PolyloopError('STORE_BUSY', { operation, problem: 'the way to its thread is full' }))
    })
  }
}
