// The channels that one thread listens to: each has one handle towards the bridge's thread, and brings each message of it
// once, whoever listens here. Whatever happens to the bridge's thread, or to the rings, a channel that somebody listens
// to is subscribed again, and its listeners are told of the gap.
//
// A listener joins by a record of its own, also on a channel that this thread has already: what was kept for it comes as
// `replayed`, then `subscribed`. Rings keep the order, so messages that come before `subscribed` are older than it, and
// are skipped for this listener; those that come behind it are newer.
import { PolyloopError } from '../lib/errors.ts'
import type { SendRecord } from '../ring/call-record.ts'
import type { CallTable } from '../timer/call-table.ts'
import { NO_TIMER, type TimerHandle, type TimerWheel } from '../timer/wheel.ts'
import type { Bridge, ChannelPosition } from './bridge.ts'
import {
  BRIDGE_RECORD,
  MESSAGE_AT,
  MESSAGE_HEAD_BYTES,
  NO_NUMBER,
  SUBSCRIBE_AT,
  SUBSCRIBE_HEAD_BYTES,
  SUBSCRIBED_AT,
  UNSUBSCRIBE_AT,
  UNSUBSCRIBE_HEAD_BYTES,
} from './bridge-record.ts'
import { nameProblem } from './bridge-rule.ts'
import { ChannelEntry, Subscription } from './channel-entry.ts'

/** How soon what a full ring refused is sent again. Guessed: a ring that is full empties in less. */
const RESEND_MS = 20
/** How soon a lost channel is asked for again that was refused, or not answered: the server may be away for long. */
const ASK_AGAIN_MS = 1_000
/** Channels asked for again between two of these pauses: what a ring takes easily. */
const ASKED_AT_ONCE = 1_000
const NOTHING = new Uint8Array(0)
const GENERATION_MASK = 0xfff
const HANDLES_PER_LIFE = 2 ** 20

export interface ChannelClientOptions {
  readonly send: SendRecord
  readonly wheel: TimerWheel
  readonly calls: CallTable<string>
  /** No call may be opened. */
  readonly isFull: () => boolean
  readonly generation: number
  readonly onError: ((error: unknown) => void) | undefined
}

export class ChannelClient {
  readonly #options: ChannelClientOptions
  readonly #byName = new Map<string, ChannelEntry>()
  readonly #byHandle = new Map<number, ChannelEntry>()
  /** Listeners that join, by the number of their record. */
  readonly #joining = new Map<number, Subscription>()
  /** Lost channels that are still to be asked for. */
  readonly #lost = new Set<ChannelEntry>()
  /** Ends that a full ring refused. */
  readonly #ends: { readonly handle: number; readonly isMoving: boolean }[] = []
  readonly #subscribeHead = Buffer.alloc(SUBSCRIBE_HEAD_BYTES)
  readonly #endHead = Buffer.alloc(UNSUBSCRIBE_HEAD_BYTES)
  /** The high bits are the life of this thread: a handle of another one is recognised. */
  readonly #handleBase: number
  #handleCount = 0
  /** Ends of the bridge's thread so far. */
  #round = 0
  #resendTimer: TimerHandle = NO_TIMER
  #askTimer: TimerHandle = NO_TIMER

  constructor(options: ChannelClientOptions) {
    this.#options = options
    this.#handleBase = (options.generation & GENERATION_MASK) * HANDLES_PER_LIFE
  }

  get size(): number {
    return this.#byName.size
  }

  readonly subscribe: Bridge['subscribe'] = (name, listener, since) => {
    const problem = nameProblem(name)
    const entry = this.#byName.get(name) ?? new ChannelEntry(name, this.#newHandle())
    const join = (subscription: Subscription): Promise<void> => {
      const confirmed = this.#join(subscription, since, problem)
      // Who does not look at it is not to die of it.
      confirmed.catch(() => {})
      return confirmed
    }
    return new Subscription(entry, listener, join, this.#onEnd)
  }

  /** False: it is no record of channels. */
  receive(kind: number, record: Buffer): boolean {
    if (kind === BRIDGE_RECORD.message) this.#onMessage(record)
    else if (kind === BRIDGE_RECORD.gap) this.#onGap(record)
    else if (kind === BRIDGE_RECORD.replayed) this.#onReplayed(record)
    else if (kind === BRIDGE_RECORD.subscribed) this.#onSubscribed(record)
    else return false
    return true
  }

  bridgeDown(): void {
    this.#round = (this.#round + 1) >>> 0
    for (const entry of this.#byHandle.values()) {
      if (entry.state !== 'subscribed') continue
      entry.state = 'lost'
      this.#lost.add(entry)
    }
    this.#askForLost()
  }

  // Joining -----------------------------------------------------------------------------------------------------------

  #join(subscription: Subscription, since: ChannelPosition | undefined, problem: string | undefined): Promise<void> {
    const { entry } = subscription
    return new Promise((resolve, reject) => {
      const refuse = (error: unknown): void => {
        // The time is over, or the server refused: there is nothing to end any more, unless others joined meanwhile.
        this.#end(subscription, false)
        reject(error)
      }
      if (problem !== undefined) {
        refuse(new PolyloopError('BRIDGE_REFUSED', { operation: 'subscribe', problem }))
        return
      }
      if (this.#options.isFull()) {
        refuse(new PolyloopError('BRIDGE_BUSY', { operation: 'subscribe', problem: 'too many calls wait' }))
        return
      }
      this.#byName.set(entry.name, entry)
      this.#byHandle.set(entry.handle, entry)
      entry.subscriptions.add(subscription)
      if (entry.state === 'subscribed' && since === undefined) {
        this.#joined(subscription, entry.position)
        resolve()
        return
      }
      let number = 0
      const settle = (settled: () => void): void => {
        this.#joining.delete(number)
        settled()
      }
      number = this.#options.calls.open(
        'subscribe',
        () => settle(resolve),
        (error) => settle(() => refuse(error)),
      )
      this.#joining.set(number, subscription)
      if (this.#sendSubscribe(entry, number, since)) return
      this.#options.calls
        .take(number)
        ?.reject(new PolyloopError('BRIDGE_BUSY', { operation: 'subscribe', problem: 'the way to its thread is full' }))
    })
  }

  #joined(subscription: Subscription, position: ChannelPosition | undefined): void {
    subscription.state = 'live'
    subscription.position = position
  }

  readonly #onEnd = (subscription: Subscription, isMoving: boolean): void => this.#end(subscription, isMoving)

  #end(subscription: Subscription, isMoving: boolean): void {
    const { entry } = subscription
    subscription.state = 'ended'
    if (!entry.subscriptions.delete(subscription) || entry.subscriptions.size > 0) return
    this.#byName.delete(entry.name)
    this.#byHandle.delete(entry.handle)
    this.#lost.delete(entry)
    this.#sendEnd(entry.handle, isMoving)
  }

  // Records -----------------------------------------------------------------------------------------------------------

  #onMessage(record: Buffer): void {
    const handle = record.readUInt32LE(MESSAGE_AT.handle)
    const entry = this.#byHandle.get(handle)
    if (entry === undefined) {
      this.#onStray(handle)
      return
    }
    const position = positionOf(record)
    const payload = record.subarray(MESSAGE_HEAD_BYTES)
    entry.position = position
    for (const subscription of entry.subscriptions) {
      // One that joined during this very message has the position already.
      if (subscription.state !== 'live' || subscription.position === position) continue
      this.#tellNewLife(subscription, position)
      this.#deliver(subscription, payload, position)
    }
  }

  #onReplayed(record: Buffer): void {
    const subscription = this.#joining.get(record.readUInt32LE(MESSAGE_AT.number))
    if (subscription?.state !== 'joining') return
    this.#deliver(subscription, record.subarray(MESSAGE_HEAD_BYTES), positionOf(record))
  }

  #onGap(record: Buffer): void {
    const entry = this.#byHandle.get(record.readUInt32LE(MESSAGE_AT.handle))
    if (entry === undefined) return
    entry.position = positionOf(record)
    for (const subscription of entry.subscriptions) {
      if (subscription.state !== 'live') continue
      subscription.position = entry.position
      this.#tellGap(subscription)
    }
  }

  #onSubscribed(record: Buffer): void {
    const number = record.readUInt32LE(SUBSCRIBED_AT.number)
    const entry = this.#byHandle.get(record.readUInt32LE(SUBSCRIBED_AT.handle))
    // An answer of a thread that has died since promises nothing.
    if (entry !== undefined && record.readUInt32LE(SUBSCRIBED_AT.round) === this.#round) {
      const life = record.readUInt32LE(SUBSCRIBED_AT.life)
      const position = { life, sequence: record.readDoubleLE(SUBSCRIBED_AT.sequence) }
      entry.state = 'subscribed'
      entry.position = position
      this.#lost.delete(entry)
      for (const one of entry.subscriptions) if (one.state === 'live') this.#tellNewLife(one, position)
    }
    const subscription = this.#joining.get(number)
    if (subscription?.state === 'joining') {
      this.#joined(subscription, subscription.entry.position)
      if (record[SUBSCRIBED_AT.isGap] === 1) this.#tellGap(subscription)
    }
    this.#options.calls.take(number)?.resolve(undefined)
  }

  /** Between two lives of the bridge's thread something may have been missed, whatever told of the second one first. */
  #tellNewLife(subscription: Subscription, position: ChannelPosition): void {
    if (subscription.position?.life === position.life) return
    subscription.position = { ...position }
    this.#tellGap(subscription)
  }

  /** Messages for nobody are on their way when the last listener ends. Not those for the life of this thread before. */
  #onStray(handle: number): void {
    if (Math.floor(handle / HANDLES_PER_LIFE) * HANDLES_PER_LIFE !== this.#handleBase) this.#sendEnd(handle, false)
  }

  #deliver(subscription: Subscription, payload: Buffer, position: ChannelPosition): void {
    subscription.position = position
    try {
      subscription.listener.message(payload, position)
    } catch (error) {
      this.#failed(error)
    }
  }

  #tellGap(subscription: Subscription): void {
    try {
      subscription.listener.gap()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    const { onError } = this.#options
    if (onError === undefined) throw error
    onError(error)
  }

  // Sending -----------------------------------------------------------------------------------------------------------

  #newHandle(): number {
    do this.#handleCount = (this.#handleCount + 1) % HANDLES_PER_LIFE
    while (this.#byHandle.has(this.#handleBase + this.#handleCount))
    return this.#handleBase + this.#handleCount
  }

  #sendSubscribe(entry: ChannelEntry, number: number, since: ChannelPosition | undefined): boolean {
    const head = this.#subscribeHead
    head.writeUInt32LE(number, SUBSCRIBE_AT.number)
    head.writeUInt32LE(entry.handle, SUBSCRIBE_AT.handle)
    head.writeUInt16LE(this.#options.generation & 0xffff, SUBSCRIBE_AT.generation)
    head.writeUInt32LE(since?.life ?? 0, SUBSCRIBE_AT.life)
    head.writeDoubleLE(since?.sequence ?? 0, SUBSCRIBE_AT.sequence)
    head.writeUInt32LE(this.#round, SUBSCRIBE_AT.round)
    const name = Buffer.from(entry.name)
    return this.#options.send(BRIDGE_RECORD.subscribe, head, SUBSCRIBE_HEAD_BYTES, name, 0, name.length)
  }

  #sendEnd(handle: number, isMoving: boolean): void {
    // Behind those that wait: an end that is overtaken by nothing needs no thought.
    if (this.#ends.length === 0 && this.#trySendEnd(handle, isMoving)) return
    this.#ends.push({ handle, isMoving })
    this.#resendSoon()
  }

  #trySendEnd(handle: number, isMoving: boolean): boolean {
    const head = this.#endHead
    head.writeUInt32LE(handle, UNSUBSCRIBE_AT.handle)
    head[UNSUBSCRIBE_AT.isMoving] = isMoving ? 1 : 0
    return this.#options.send(BRIDGE_RECORD.unsubscribe, head, UNSUBSCRIBE_HEAD_BYTES, NOTHING, 0, 0)
  }

  #resendSoon(): void {
    if (this.#resendTimer === NO_TIMER) this.#resendTimer = this.#options.wheel.schedule(RESEND_MS, this.#resend)
  }

  readonly #resend = (): void => {
    this.#resendTimer = NO_TIMER
    let sent = 0
    for (const { handle, isMoving } of this.#ends) {
      if (!this.#trySendEnd(handle, isMoving)) break
      sent++
    }
    this.#ends.splice(0, sent)
    if (this.#ends.length > 0) this.#resendSoon()
  }

  // Each lost channel is asked for until it is subscribed or ended; to ask twice does no harm.
  readonly #askForLost = (): void => {
    this.#options.wheel.cancel(this.#askTimer)
    this.#askTimer = NO_TIMER
    let asked = 0
    for (const entry of this.#lost) {
      if (asked++ >= ASKED_AT_ONCE || !this.#sendSubscribe(entry, NO_NUMBER, undefined)) break
      // To the end: the others come first next time.
      this.#lost.delete(entry)
      this.#lost.add(entry)
    }
    if (this.#lost.size > 0) this.#askTimer = this.#options.wheel.schedule(ASK_AGAIN_MS, this.#askForLost)
  }
}

function positionOf(record: Buffer): ChannelPosition {
  return { life: record.readUInt32LE(MESSAGE_AT.life), sequence: record.readDoubleLE(MESSAGE_AT.sequence) }
}
