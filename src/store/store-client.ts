// The store as a thread that is not the store's sees it: calls become records, answers settle promises. Each call ends
// exactly once: by its answer, by its time limit, or because the store's thread ended.
import type { Clock } from '../lib/clock.ts'
import { encodeValue } from '../lib/codec.ts'
import { PolyloopError } from '../lib/errors.ts'
import { CALL_AT, CALL_HEAD_BYTES, numberOf, type SendRecord, settleCall, writeHead } from '../ring/call-record.ts'
import { CallTable } from '../timer/call-table.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { MessageWriter, type NewMessage, storedIn } from './message-record.ts'
import type { Store, StoreOperation } from './store.ts'
import { OPERATIONS, STORE_RECORD, STORE_TAG } from './store-record.ts'

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
  readonly #head = Buffer.alloc(CALL_HEAD_BYTES)
  readonly #messages = new MessageWriter()
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
    this.store = Object.freeze({ isShared: false, ...Object.fromEntries(methods) }) as Store
  }

  /** Calls that wait for their answer. */
  get waiting(): number {
    return this.#calls.size
  }

  /** A record from the store's thread. False: it is no answer. */
  receive(kind: number, record: Buffer): boolean {
    if (kind !== STORE_RECORD.answer) return false
    // Too late, or for the life of this thread before: nobody waits for it.
    const pending = this.#calls.take(numberOf(record))
    if (pending === undefined) return true
    if (record[CALL_AT.tag] === STORE_TAG.stored) pending.resolve(record)
    else settleCall(pending, record)
    return true
  }

  /** The store's thread ended: nobody answers what it had taken. Later calls go to its successor. */
  storeDown(): void {
    this.#calls.fail((operation) => new PolyloopError('STORE_LOST', { operation }))
  }

  #call(operation: StoreOperation, index: number, argument: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { callsMax } = this.#options
      if (this.#calls.size >= callsMax) {
        reject(new PolyloopError('STORE_BUSY', { operation, problem: `${callsMax} calls of this thread wait` }))
        return
      }
      let settle: (value: unknown) => void = resolve
      if (operation === 'addMessage') {
        const message = argument as NewMessage
        // Its answer is the record, which is valid only now: of what it says the message is made.
        settle = (answer) => resolve(storedIn(answer as Buffer, message))
        const length = this.#messages.write(message)
        if (length >= 0) {
          this.#send(operation, index, STORE_TAG.message, this.#messages.bytes, 0, length, settle, reject)
          return
        }
      }
      // What cannot be encoded throws, which rejects.
      const { tag, bytes, start, end } = encodeValue(argument)
      this.#send(operation, index, tag, bytes, start, end - start, settle, reject)
    })
  }

  #send(
    operation: StoreOperation,
    index: number,
    tag: number,
    bytes: Uint8Array,
    start: number,
    length: number,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    if (CALL_HEAD_BYTES + length > this.#callBytesMax) {
      reject(new PolyloopError('MESSAGE_TOO_LARGE', { operation, bytes: length }))
      return
    }
    // Before it is sent: a full timer table throws.
    const number = this.#calls.open(operation, resolve, reject)
    writeHead(this.#head, number, index, tag)
    if (this.#options.send(STORE_RECORD.call, this.#head, CALL_HEAD_BYTES, bytes, start, length)) return
    this.#calls.take(number)
    reject(new PolyloopError('STORE_BUSY', { operation, problem: 'the way to its thread is full' }))
  }
}
