// The bridge as a thread that is not the bridge's sees it: calls become records, answers settle promises, and messages
// of channels go to those who listen here (channel-client.ts). Each call ends exactly once: by its answer, by its time
// limit, or because the bridge's thread ended.
import type { Clock } from '../lib/clock.ts'
import { encodeValue } from '../lib/codec.ts'
import { PolyloopError } from '../lib/errors.ts'
import { CALL_HEAD_BYTES, numberOf, type SendRecord, settleCall, writeHead } from '../ring/call-record.ts'
import { CallTable } from '../timer/call-table.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { Bridge, BridgeOperation } from './bridge.ts'
import type { ArgumentOf, BridgeCall } from './bridge-engine.ts'
import { BRIDGE_RECORD, HEAD_ROOM_BYTES, OPERATIONS, PUBLISH_AT, PUBLISH_HEAD_BYTES } from './bridge-record.ts'
import { problemOf } from './bridge-rule.ts'
import { ChannelClient } from './channel-client.ts'

/** Longest call by default: `ring.messageMax`. */
const CALL_BYTES_MAX = 1024 * 1024

export interface BridgeClientOptions {
  /** Sends a record to the bridge's thread. */
  readonly send: SendRecord
  readonly clock: Clock
  readonly wheel: TimerWheel
  /** A call that is not answered in this time fails with BRIDGE_TIMEOUT. */
  readonly timeoutMs: number
  /** Calls that wait for their answer at a time; one more fails with BRIDGE_BUSY at once. */
  readonly callsMax: number
  /** Longest record `send` can take; a longer call fails with MESSAGE_TOO_LARGE. Default 1 MiB. */
  readonly callBytesMax?: number
  /** Counts the lives of this thread: what was meant for the life before matches nothing. Default 0. */
  readonly generation?: number
  /** Gets what a listener threw. Default: it comes out of `receive`. */
  readonly onError?: (error: unknown) => void
}

export class BridgeClient {
  readonly bridge: Bridge
  readonly #options: BridgeClientOptions
  readonly #calls: CallTable<string>
  readonly #channels: ChannelClient
  readonly #callBytesMax: number
  readonly #head = Buffer.alloc(CALL_HEAD_BYTES)
  /** Head and channel of `publish`; grows to the longest name. */
  #publishHead = Buffer.alloc(256)

  constructor(options: BridgeClientOptions) {
    this.#options = options
    this.#callBytesMax = options.callBytesMax ?? CALL_BYTES_MAX
    const generation = options.generation ?? 0
    this.#calls = new CallTable({
      clock: options.clock,
      wheel: options.wheel,
      timeoutMs: options.timeoutMs,
      generation,
      timeoutError: (operation, waitedMs) => new PolyloopError('BRIDGE_TIMEOUT', { operation, waitedMs }),
    })
    this.#channels = new ChannelClient({
      send: options.send,
      wheel: options.wheel,
      calls: this.#calls,
      isFull: () => this.#calls.size >= options.callsMax,
      generation,
      onError: options.onError,
    })
    const methods = OPERATIONS.map((operation, index) => [
      operation,
      (argument: unknown) => this.#call(operation, index, argument),
    ])
    this.bridge = Object.freeze({
      ...(Object.fromEntries(methods) as Omit<Bridge, 'subscribe' | 'publish'>),
      publish: (message: ArgumentOf<'publish'>) => this.#publish(message),
      subscribe: this.#channels.subscribe,
    })
  }

  /** Calls that wait for their answer. */
  get waiting(): number {
    return this.#calls.size
  }

  /** Channels that somebody here listens to. */
  get channels(): number {
    return this.#channels.size
  }

  /** A record from the bridge's thread. False: it is none of its kinds. */
  receive(kind: number, record: Buffer): boolean {
    if (kind !== BRIDGE_RECORD.answer) return this.#channels.receive(kind, record)
    // Too late, or for the life of this thread before: nobody waits for it.
    const pending = this.#calls.take(numberOf(record))
    if (pending !== undefined) settleCall(pending, record)
    return true
  }

  /** The bridge's thread ended: nobody answers what it had taken. Channels are subscribed anew with its successor. */
  bridgeDown(): void {
    this.#calls.fail((operation) => new PolyloopError('BRIDGE_LOST', { operation, problem: 'its thread ended' }))
    this.#channels.bridgeDown()
  }

  #call(operation: BridgeOperation, index: number, argument: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      // On its way half a character would become another one: it is refused here.
      if (!isAcceptable({ operation, argument: argument ?? {} } as BridgeCall, reject)) return
      // What cannot be encoded throws, which rejects.
      const { tag, bytes, start, end } = encodeValue(argument)
      const length = end - start
      if (!this.#hasRoom(operation, CALL_HEAD_BYTES + length, reject)) return
      const number = this.#calls.open(operation, resolve, reject)
      writeHead(this.#head, number, index, tag)
      this.#send(number, BRIDGE_RECORD.call, this.#head, CALL_HEAD_BYTES, bytes, start, length)
    })
  }

  #publish(message: ArgumentOf<'publish'>): Promise<number> {
    return new Promise((resolve, reject) => {
      if (!isAcceptable({ operation: 'publish', argument: message }, reject)) return
      const { channel, payload } = message
      const channelBytes = this.#writeChannel(channel)
      const headBytes = PUBLISH_HEAD_BYTES + channelBytes
      if (!this.#hasRoom('publish', headBytes + payload.length, reject)) return
      const number = this.#calls.open('publish', resolve as (value: unknown) => void, reject)
      const head = this.#publishHead
      head.writeUInt32LE(number, PUBLISH_AT.number)
      head.writeUInt16LE(channelBytes, PUBLISH_AT.channelBytes)
      this.#send(number, BRIDGE_RECORD.publish, head, headBytes, payload, 0, payload.length)
    })
  }

  #writeChannel(channel: string): number {
    const needed = PUBLISH_HEAD_BYTES + channel.length * 3
    if (this.#publishHead.length < needed) this.#publishHead = Buffer.alloc(needed)
    return this.#publishHead.write(channel, PUBLISH_HEAD_BYTES)
  }

  #hasRoom(operation: string, bytes: number, reject: (error: PolyloopError) => void): boolean {
    const { callsMax } = this.#options
    if (this.#calls.size >= callsMax) {
      reject(new PolyloopError('BRIDGE_BUSY', { operation, problem: `${callsMax} calls of this thread wait` }))
      return false
    }
    if (bytes + HEAD_ROOM_BYTES > this.#callBytesMax) {
      reject(new PolyloopError('MESSAGE_TOO_LARGE', { operation, bytes }))
      return false
    }
    return true
  }

  #send(number: number, ...record: Parameters<SendRecord>): void {
    if (this.#options.send(...record)) return
    const pending = this.#calls.take(number)
    const details = { operation: pending?.subject, problem: 'the way to its thread is full' }
    pending?.reject(new PolyloopError('BRIDGE_BUSY', details))
  }
}

function isAcceptable(call: BridgeCall, reject: (error: PolyloopError) => void): boolean {
  const problem = problemOf(call)
  if (problem !== undefined) reject(new PolyloopError('BRIDGE_REFUSED', { operation: call.operation, problem }))
  return problem === undefined
}
