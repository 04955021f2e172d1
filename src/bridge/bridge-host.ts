// The bridge's thread without the thread: takes calls from records and answers them as the engine does, and shares each
// channel's one subscription among the threads that want it (channel-host.ts). Payloads pass through as bytes.
import type { Clock } from '../lib/clock.ts'
import type { LimitedLogger, Logger } from '../observe/logger.ts'
import type { Cell } from '../observe/metrics.ts'
import { AnswerSender, CALL_AT, numberOf, type SendRecordTo, valueIn } from '../ring/call-record.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { BacklogLimits } from './backlog.ts'
import {
  type BridgeCall,
  type BridgeEngine,
  type CallOutcome,
  type EngineFactory,
  type EngineFigures,
  failed,
  failureOf,
} from './bridge-engine.ts'
import { BRIDGE_RECORD, OPERATIONS, PUBLISH_AT, PUBLISH_HEAD_BYTES } from './bridge-record.ts'
import { REHEARSAL_PREFIX } from './bridge-rule.ts'
import { ChannelHost } from './channel-host.ts'

export interface BridgeLimits extends BacklogLimits {
  /** Calls that the engine has not answered; one more is answered BRIDGE_BUSY at once. */
  readonly callsMax: number
  /** Longest record `send` can take. */
  readonly answerBytesMax: number
  /** How long a channel stays subscribed after its last subscriber has left to go on in another thread. */
  readonly lingerMs: number
}

// Longer than any connection takes to move; the rest is guessed: some seconds of a busy host, and one busy channel that
// cannot push out all others.
export const BRIDGE_LIMITS: BridgeLimits = {
  callsMax: 65_536,
  answerBytesMax: 1024 * 1024,
  lingerMs: 2_000,
  keptMs: 2_000,
  keptBytesMax: 16 * 1024 * 1024,
  keptMessagesMax: 1_000,
}

const ANSWERS_LOST_LOGGED_PER_SECOND = 1

/** Cells that the host counts in. */
export interface BridgeCells {
  readonly messagesIn: Cell
  readonly messagesOut: Cell
  readonly droppedRingFull: Cell
  readonly droppedTooLarge: Cell
  readonly gaps: Cell
}

export interface BridgeFigures extends EngineFigures {
  /** Channels that are subscribed, or about to be. */
  readonly subscriptions: number
  /** What is kept for subscribers that move. */
  readonly keptBytes: number
}

export interface BridgeHostOptions {
  readonly engine: EngineFactory
  /** Sends a record to a thread, copying it. False: refused, nothing was taken. */
  readonly send: SendRecordTo
  readonly cells: BridgeCells
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly log: Logger
  readonly limits: BridgeLimits
  /** Counts the lives of the bridge's thread, from 1: positions of another one are worth nothing. */
  readonly life: number
  /** Hears when the server is reached or lost, for whoever reports the health of the host. */
  readonly onState?: (isUp: boolean, problem: string) => void
}

export class BridgeHost {
  readonly #options: BridgeHostOptions
  readonly #engine: BridgeEngine
  readonly #channels: ChannelHost
  readonly #answersLost: LimitedLogger
  readonly #answers: AnswerSender
  #open = 0
  #isClosed = false
  #idleWaiters: (() => void)[] = []

  constructor(options: BridgeHostOptions) {
    this.#options = options
    const { send, limits } = options
    const kind = BRIDGE_RECORD.answer
    this.#answers = new AnswerSender({ kind, send, bytesMax: limits.answerBytesMax, tooLong: 'MESSAGE_TOO_LARGE' })
    this.#answersLost = options.log.limited('bridge.answer_lost', ANSWERS_LOST_LOGGED_PER_SECOND)
    this.#channels = new ChannelHost({ ...options, answer: (...answer) => this.#answer(...answer) })
    this.#engine = options.engine({
      onMessage: (channel, payload) => this.#channels.onMessage(channel, payload),
      onGap: (channels) => this.#channels.onGap(channels),
      onState: (isUp, problem) => options.onState?.(isUp, problem),
    })
    this.#channels.engine = this.#engine
  }

  get figures(): BridgeFigures {
    return { ...this.#engine.figures, subscriptions: this.#channels.size, keptBytes: this.#channels.keptBytes }
  }

  /** A record from another thread. False: it is none of its kinds. */
  receive(source: number, kind: number, record: Buffer): boolean {
    switch (kind) {
      case BRIDGE_RECORD.publish:
        this.#onPublish(source, record)
        return true
      case BRIDGE_RECORD.call:
        this.#onCall(source, record)
        return true
      case BRIDGE_RECORD.subscribe:
        this.#channels.onSubscribe(source, record)
        return true
      case BRIDGE_RECORD.unsubscribe:
        this.#channels.onUnsubscribe(source, record)
        return true
      default:
        return false
    }
  }

  /** A thread ended: it is unsubscribed everywhere. */
  threadDown(thread: number): void {
    this.#channels.threadDown(thread)
  }

  /** Resolves when no call is open any more, and all answers are sent. */
  flush(): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  /** Takes nothing new, ends what is open, and closes the engine. */
  async close(): Promise<void> {
    if (this.#isClosed) return this.flush()
    this.#isClosed = true
    await this.flush()
    this.#channels.close()
    await this.#engine.close()
  }

  #onPublish(source: number, record: Buffer): void {
    const payloadStart = PUBLISH_HEAD_BYTES + record.readUInt16LE(PUBLISH_AT.channelBytes)
    const channel = record.toString('utf8', PUBLISH_HEAD_BYTES, payloadStart)
    // A copy: the record is the ring's, and the engine may hold on to it.
    const payload = Buffer.from(record.subarray(payloadStart))
    if (!channel.startsWith(REHEARSAL_PREFIX)) this.#options.cells.messagesOut.value++
    this.#run(source, record.readUInt32LE(PUBLISH_AT.number), { operation: 'publish', argument: { channel, payload } })
  }

  #onCall(source: number, record: Buffer): void {
    const number = numberOf(record)
    const operation = OPERATIONS[record[CALL_AT.what] as number]
    if (operation === undefined) {
      this.#answer(source, number, failed('BRIDGE_REFUSED', 'there is no such operation'))
      return
    }
    try {
      // What it takes is checked by the engine, as for callers in its own thread.
      this.#run(source, number, { operation, argument: valueIn(record) ?? {} } as BridgeCall)
    } catch (error) {
      this.#answer(source, number, failureOf(error))
    }
  }

  #run(source: number, number: number, call: BridgeCall): void {
    if (this.#isClosed) {
      this.#answer(source, number, failed('BRIDGE_DOWN', 'it is closed'))
      return
    }
    if (this.#open >= this.#options.limits.callsMax) {
      this.#answer(source, number, failed('BRIDGE_BUSY', `${this.#open} calls wait`))
      return
    }
    this.#open++
    // The contract of an engine says that it does not reject; should it all the same, that ends the thread.
    void this.#engine.run(call).then((outcome) => {
      this.#answer(source, number, outcome)
      if (--this.#open > 0 || this.#idleWaiters.length === 0) return
      const waiters = this.#idleWaiters
      this.#idleWaiters = []
      for (const resolve of waiters) resolve()
    })
  }

  #answer(source: number, number: number, outcome: CallOutcome): void {
    // Without an answer the call runs into its time limit.
    if (!this.#answers.send(source, number, outcome)) this.#answersLost.warn({ to: source })
  }
}
