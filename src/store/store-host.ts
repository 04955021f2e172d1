// The store's thread without the thread: takes calls from records, does them in batches, answers each when its batch is
// committed. What arrives while a batch runs is the next batch, so a slow disk makes larger groups, not a longer queue.
//
//     receive ──▶ waiting ──(soon, or when the last batch is over)──▶ engine.run ──▶ answers
import type { Clock } from '../lib/clock.ts'
import type { LimitedLogger, Logger } from '../observe/logger.ts'
import type { HistogramCell } from '../observe/metrics.ts'
import { AnswerSender, CALL_AT, CALL_HEAD_BYTES, numberOf, type SendRecordTo, valueIn } from '../ring/call-record.ts'
import { messageIn, writeStored } from './message-record.ts'
import type { StoredMessage } from './store.ts'
import {
  failureOf,
  isWrite,
  type StoreCall,
  type StoreEngine,
  type StoreFailure,
  type StoreOutcome,
} from './store-engine.ts'
import { OPERATIONS, STORE_RECORD, STORE_TAG, STORED_AT } from './store-record.ts'

export interface StoreLimits {
  /** Calls that wait for a batch; one more is answered STORE_BUSY at once. */
  readonly callsMax: number
  /** The same for the bytes of their arguments. */
  readonly bytesMax: number
  /** Of one batch, which takes one call of any size. */
  readonly batchCallsMax: number
  readonly batchBytesMax: number
  /** Longest record `reply` can take. */
  readonly answerBytesMax: number
}

// A batch holds at most what the ring delivers in one turn: more would only make the first wait for the last. The rest is
// guessed: a few seconds of work.
export const STORE_LIMITS: StoreLimits = {
  callsMax: 16_384,
  bytesMax: 64 * 1024 * 1024,
  batchCallsMax: 512,
  batchBytesMax: 4 * 1024 * 1024,
  answerBytesMax: 1024 * 1024,
}

const ANSWERS_LOST_LOGGED_PER_SECOND = 1
const NO_BODY = new Uint8Array(0)

export interface StoreHostOptions {
  readonly engine: StoreEngine
  /** Sends a record to a thread, copying it. False: refused, nothing was taken. */
  readonly reply: SendRecordTo
  readonly commitSeconds: HistogramCell
  readonly batchSize: HistogramCell
  readonly log: Logger
  readonly clock: Clock
  readonly limits: StoreLimits
  /** Runs a batch after what arrives in this turn: setImmediate, except in tests that step by hand. */
  readonly schedule?: (run: () => void) => void
}

interface Waiting extends StoreCall {
  readonly source: number
  readonly number: number
  readonly bytes: number
}

export class StoreHost {
  readonly #options: StoreHostOptions
  readonly #schedule: (run: () => void) => void
  readonly #answersLost: LimitedLogger
  readonly #answers: AnswerSender
  readonly #stored = Buffer.alloc(CALL_HEAD_BYTES + STORED_AT.end)
  readonly #waiting: Waiting[] = []
  #waitingBytes = 0
  /** A batch is scheduled or runs. */
  #isBusy = false
  #isClosed = false
  #idleWaiters: (() => void)[] = []

  constructor(options: StoreHostOptions) {
    this.#options = options
    this.#schedule = options.schedule ?? setImmediate
    const { reply: send, limits } = options
    const kind = STORE_RECORD.answer
    this.#answers = new AnswerSender({ kind, send, bytesMax: limits.answerBytesMax, tooLong: 'STORE_FAILED' })
    this.#answersLost = options.log.limited('store.answer_lost', ANSWERS_LOST_LOGGED_PER_SECOND)
  }

  /** Calls that wait for a batch. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** A record from another thread. False: it is no call. */
  receive(source: number, kind: number, record: Buffer): boolean {
    if (kind !== STORE_RECORD.call) return false
    const number = numberOf(record)
    const { callsMax, bytesMax } = this.#options.limits
    const bytes = record.length
    if (this.#isClosed) {
      this.#answer(source, number, failed('STORE_LOST', 'it is closed'))
      return true
    }
    // An empty queue takes any call, else one larger than the bound could never be done.
    const isFull = this.#waitingBytes > 0 && this.#waitingBytes + bytes > bytesMax
    if (this.#waiting.length >= callsMax || isFull) {
      this.#answer(source, number, failed('STORE_BUSY', `${this.#waiting.length} calls wait`))
      return true
    }
    const operation = OPERATIONS[record[CALL_AT.what] as number]
    if (operation === undefined) {
      this.#answer(source, number, failed('STORE_FAILED', 'there is no such operation'))
      return true
    }
    try {
      // The one operation whose argument has this layout; another one is no call of ours.
      const isMessage = record[CALL_AT.tag] === STORE_TAG.message && operation === 'addMessage'
      const argument = isMessage ? messageIn(record) : valueIn(record)
      this.#waiting.push({ source, number, bytes, operation, argument })
    } catch (error) {
      this.#answer(source, number, failureOf(error))
      return true
    }
    this.#waitingBytes += bytes
    if (!this.#isBusy) {
      this.#isBusy = true
      this.#schedule(this.#runBatch)
    }
    return true
  }

  /** Resolves when nothing waits any more and all answers are sent. */
  flush(): Promise<void> {
    if (!this.#isBusy) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  /** Takes nothing new, does what waits, and closes the engine. */
  async close(): Promise<void> {
    if (this.#isClosed) return this.flush()
    this.#isClosed = true
    await this.flush()
    await this.#options.engine.close()
  }

  readonly #runBatch = (): void => {
    const batch = this.#takeBatch()
    const startMs = this.#options.clock.nowMs()
    const outcomes = this.#options.engine.run(batch)
    if (outcomes instanceof Promise) {
      // The contract of an engine says that it does not reject; should it all the same, that ends the thread.
      void outcomes.then((late) => this.#batchDone(batch, late, startMs))
    } else {
      this.#batchDone(batch, outcomes, startMs)
    }
  }

  #takeBatch(): Waiting[] {
    const { batchCallsMax, batchBytesMax } = this.#options.limits
    let bytes = 0
    let calls = 0
    for (const call of this.#waiting) {
      if (calls === batchCallsMax || (calls > 0 && bytes + call.bytes > batchBytesMax)) break
      bytes += call.bytes
      calls++
    }
    this.#waitingBytes -= bytes
    return this.#waiting.splice(0, calls)
  }

  #batchDone(batch: readonly Waiting[], outcomes: readonly StoreOutcome[], startMs: number): void {
    let writes = 0
    for (const { operation } of batch) if (isWrite(operation)) writes++
    if (writes > 0) {
      this.#options.batchSize.observe(writes)
      this.#options.commitSeconds.observe((this.#options.clock.nowMs() - startMs) / 1_000)
    }
    for (let index = 0; index < batch.length; index++) {
      const { source, number, operation } = batch[index] as Waiting
      const outcome = outcomes[index] ?? failed('STORE_FAILED', 'the engine did not answer')
      if (operation === 'addMessage' && outcome.ok) this.#answerStored(source, number, outcome.value as StoredMessage)
      else this.#answer(source, number, outcome, !isWrite(operation))
    }
    if (this.#waiting.length > 0) {
      this.#schedule(this.#runBatch)
      return
    }
    this.#isBusy = false
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const resolve of waiters) resolve()
  }

  #answerStored(source: number, number: number, message: StoredMessage): void {
    const answer = this.#stored
    writeStored(answer, number, message)
    if (!this.#options.reply(source, STORE_RECORD.answer, answer, answer.length, NO_BODY, 0, 0))
      this.#answersLost.warn({ to: source })
  }

  #answer(source: number, number: number, outcome: StoreOutcome, isRead = false): void {
    if (this.#answers.send(source, number, outcome)) return
    // A short answer may still fit. Not for a write, which is done: without an answer it runs into its time limit.
    if (isRead && this.#answers.send(source, number, failed('STORE_BUSY', 'the way back is full'))) return
    this.#answersLost.warn({ to: source })
  }
}

function failed(code: StoreFailure['code'], problem: string): StoreFailure {
  return { ok: false, code, problem }
}
