// The channels of a host: one subscription with the server each, however many threads and listeners want it. Every
// message goes once to each thread that does.
//
// Nothing is lost in silence. A message that a ring refuses is counted, and the subscriber is told of the gap before its
// next message. The last messages are kept for a moment: a subscriber that moves to another thread gets from there what
// came behind its last one, or is told that it cannot.
import { NO_TIMER, type TimerHandle } from '../timer/wheel.ts'
import { Backlog } from './backlog.ts'
import { type BridgeEngine, type CallOutcome, failureOf } from './bridge-engine.ts'
import type { BridgeHostOptions } from './bridge-host.ts'
import {
  BRIDGE_RECORD,
  MESSAGE_AT,
  MESSAGE_HEAD_BYTES,
  NO_NUMBER,
  SUBSCRIBE_AT,
  SUBSCRIBE_HEAD_BYTES,
  SUBSCRIBED_AT,
  SUBSCRIBED_HEAD_BYTES,
  UNSUBSCRIBE_AT,
} from './bridge-record.ts'
import { Channel, type Request, Subscriber } from './channel.ts'

/** How soon a gap that found its ring full is told again. Guessed: a ring that is full empties in less. */
const RETELL_MS = 20
const NOTHING = new Uint8Array(0)

/** What a thread hears. */
interface Listener {
  /** Of the thread: what its predecessor subscribed, and nobody unsubscribed, goes when the first record of it comes. */
  readonly generation: number
  /** By handle. */
  readonly subscribers: Map<number, Subscriber>
  /** By handle: channels that are not subscribed yet. */
  readonly asked: Map<number, Channel>
}

export interface ChannelHostOptions extends Omit<BridgeHostOptions, 'engine'> {
  readonly answer: (thread: number, number: number, outcome: CallOutcome) => void
}

export class ChannelHost {
  /** Set before anything is called. */
  engine: BridgeEngine | undefined
  readonly #options: ChannelHostOptions
  readonly #channels = new Map<string, Channel>()
  readonly #threads = new Map<number, Listener>()
  readonly #backlog: Backlog
  readonly #gapsDue = new Set<Subscriber>()
  readonly #head = Buffer.alloc(SUBSCRIBED_HEAD_BYTES)
  readonly #messageHead = Buffer.alloc(MESSAGE_HEAD_BYTES)
  #sequence = 0
  #retellTimer: TimerHandle = NO_TIMER
  #trimTimer: TimerHandle = NO_TIMER

  constructor(options: ChannelHostOptions) {
    this.#options = options
    this.#backlog = new Backlog(options.limits, options.clock)
  }

  get size(): number {
    return this.#channels.size
  }

  get keptBytes(): number {
    return this.#backlog.bytes
  }

  close(): void {
    const { wheel } = this.#options
    wheel.cancel(this.#retellTimer)
    wheel.cancel(this.#trimTimer)
    for (const { lingerTimer } of this.#channels.values()) wheel.cancel(lingerTimer)
    this.#channels.clear()
    this.#threads.clear()
    this.#gapsDue.clear()
  }

  // What the engine brings --------------------------------------------------------------------------------------------

  onMessage(name: string, payload: Buffer): void {
    // The last subscriber has left, and the server did not know yet.
    const channel = this.#channels.get(name)
    if (channel === undefined) return
    const { cells, limits } = this.#options
    if (channel.isCounted) cells.messagesIn.value++
    const sequence = ++this.#sequence
    if (payload.length + MESSAGE_HEAD_BYTES > limits.answerBytesMax) {
      channel.sequence = sequence
      this.#backlog.clear(channel, sequence)
      cells.droppedTooLarge.value += channel.subscribers.length
      this.#tellGap(channel)
      return
    }
    this.#backlog.keep(channel, sequence, payload)
    if (this.#trimTimer === NO_TIMER) this.#trimTimer = this.#options.wheel.schedule(limits.keptMs, this.#trim)
    for (const subscriber of channel.subscribers) {
      if (subscriber.isGapDue && !this.#trySendGap(subscriber)) {
        cells.droppedRingFull.value++
      } else if (!this.#trySendMessage(subscriber, sequence, payload)) {
        cells.droppedRingFull.value++
        this.#gapLater(subscriber)
      }
    }
    // Only now: a gap that was told above comes before this message.
    channel.sequence = sequence
  }

  onGap(names: readonly string[]): void {
    for (const name of names) {
      const channel = this.#channels.get(name)
      if (channel === undefined) continue
      channel.sequence = ++this.#sequence
      this.#backlog.clear(channel, channel.sequence)
      this.#tellGap(channel)
    }
  }

  #tellGap(channel: Channel): void {
    this.#options.cells.gaps.value++
    for (const subscriber of channel.subscribers) if (!this.#trySendGap(subscriber)) this.#gapLater(subscriber)
  }

  // What threads want -------------------------------------------------------------------------------------------------

  onSubscribe(thread: number, record: Buffer): void {
    const listener = this.#listenerOf(thread, record.readUInt16LE(SUBSCRIBE_AT.generation))
    const request = {
      thread,
      number: record.readUInt32LE(SUBSCRIBE_AT.number),
      handle: record.readUInt32LE(SUBSCRIBE_AT.handle),
      sinceLife: record.readUInt32LE(SUBSCRIBE_AT.life),
      sinceSequence: record.readDoubleLE(SUBSCRIBE_AT.sequence),
      round: record.readUInt32LE(SUBSCRIBE_AT.round),
    }
    const name = record.toString('utf8', SUBSCRIBE_HEAD_BYTES)
    const channel = this.#channels.get(name) ?? this.#ask(name)
    if (channel.state === 'asked') {
      channel.requests.push(request)
      listener.asked.set(request.handle, channel)
    } else {
      this.#options.wheel.cancel(channel.lingerTimer)
      channel.state = 'subscribed'
      this.#join(channel, listener, request)
    }
  }

  onUnsubscribe(thread: number, record: Buffer): void {
    const handle = record.readUInt32LE(UNSUBSCRIBE_AT.handle)
    const listener = this.#threads.get(thread)
    if (listener === undefined) return
    this.#withdraw(listener, thread, handle)
    const subscriber = listener.subscribers.get(handle)
    if (subscriber !== undefined) this.#leave(listener, subscriber, record[UNSUBSCRIBE_AT.isMoving] === 1)
  }

  threadDown(thread: number): void {
    const listener = this.#threads.get(thread)
    if (listener === undefined) return
    for (const handle of listener.asked.keys()) this.#withdraw(listener, thread, handle)
    for (const subscriber of listener.subscribers.values()) this.#leave(listener, subscriber, false)
    this.#threads.delete(thread)
  }

  #listenerOf(thread: number, generation: number): Listener {
    const known = this.#threads.get(thread)
    if (known?.generation === generation) return known
    this.threadDown(thread)
    const listener: Listener = { generation, subscribers: new Map(), asked: new Map() }
    this.#threads.set(thread, listener)
    return listener
  }

  #ask(name: string): Channel {
    // Behind every position there is: nobody listened until now.
    const channel = new Channel(name, ++this.#sequence)
    this.#channels.set(name, channel)
    this.engine?.subscribe(name).then(
      () => this.#asked(channel),
      (error: unknown) => this.#refused(channel, error),
    )
    return channel
  }

  #asked(channel: Channel): void {
    if (this.#channels.get(channel.name) !== channel) return
    channel.state = 'subscribed'
    for (const request of channel.requests.splice(0)) {
      const listener = this.#threads.get(request.thread)
      listener?.asked.delete(request.handle)
      if (listener !== undefined) this.#join(channel, listener, request)
    }
    if (channel.subscribers.length === 0) this.#forget(channel)
  }

  #refused(channel: Channel, error: unknown): void {
    if (this.#channels.get(channel.name) !== channel) return
    this.#channels.delete(channel.name)
    const failure = failureOf(error)
    for (const { thread, number, handle } of channel.requests) {
      this.#threads.get(thread)?.asked.delete(handle)
      // Who asks again by himself has no number, and hears nothing.
      if (number !== NO_NUMBER) this.#options.answer(thread, number, failure)
    }
  }

  /** It does not wait any more to join. */
  #withdraw(listener: Listener, thread: number, handle: number): void {
    const requests = listener.asked.get(handle)?.requests
    if (requests === undefined) return
    listener.asked.delete(handle)
    for (let index = requests.length - 1; index >= 0; index--) {
      if (requests[index]?.thread === thread && requests[index]?.handle === handle) requests.splice(index, 1)
    }
  }

  #join(channel: Channel, listener: Listener, request: Request): void {
    const { thread, number, handle, sinceLife, sinceSequence } = request
    if (!listener.subscribers.has(handle)) {
      const subscriber = new Subscriber(thread, handle, channel)
      listener.subscribers.set(handle, subscriber)
      channel.subscribers.push(subscriber)
    }
    const isGap = sinceLife !== 0 && !this.#replay(channel, thread, number, sinceLife, sinceSequence)
    const { life, send } = this.#options
    const head = this.#head
    head.writeUInt32LE(number, SUBSCRIBED_AT.number)
    head.writeUInt32LE(handle, SUBSCRIBED_AT.handle)
    head.writeUInt32LE(life, SUBSCRIBED_AT.life)
    head.writeDoubleLE(channel.sequence, SUBSCRIBED_AT.sequence)
    head.writeUInt32LE(request.round, SUBSCRIBED_AT.round)
    head[SUBSCRIBED_AT.isGap] = isGap ? 1 : 0
    // Refused: who asked runs into his time limit, and asks again or leaves.
    send(thread, BRIDGE_RECORD.subscribed, head, SUBSCRIBED_HEAD_BYTES, NOTHING, 0, 0)
  }

  /** False: something behind that position is not kept, or did not fit. */
  #replay(channel: Channel, thread: number, number: number, life: number, since: number): boolean {
    if (life !== this.#options.life || since < channel.keptFrom || since > channel.sequence) return false
    for (const { sequence, payload } of channel.kept) {
      if (sequence <= since || payload === undefined) continue
      if (!this.#trySend(thread, BRIDGE_RECORD.replayed, number, sequence, payload)) {
        this.#options.cells.droppedRingFull.value++
        return false
      }
    }
    return true
  }

  #leave(listener: Listener, subscriber: Subscriber, isMoving: boolean): void {
    const { handle, channel } = subscriber
    listener.subscribers.delete(handle)
    this.#gapsDue.delete(subscriber)
    const { subscribers } = channel
    const index = subscribers.indexOf(subscriber)
    if (index >= 0) subscribers.splice(index, 1)
    if (subscribers.length > 0 || channel.state !== 'subscribed') return
    if (!isMoving) {
      this.#forget(channel)
      return
    }
    channel.state = 'lingering'
    channel.lingerTimer = this.#options.wheel.schedule(this.#options.limits.lingerMs, this.#lingered, channel)
  }

  readonly #lingered = (channel: Channel): void => {
    if (channel.state === 'lingering') this.#forget(channel)
  }

  #forget(channel: Channel): void {
    this.#channels.delete(channel.name)
    this.#backlog.clear(channel, channel.sequence)
    this.engine?.unsubscribe(channel.name)
  }

  // Sending -----------------------------------------------------------------------------------------------------------

  #trySendMessage(subscriber: Subscriber, sequence: number, payload: Buffer): boolean {
    return this.#trySend(subscriber.thread, BRIDGE_RECORD.message, subscriber.handle, sequence, payload)
  }

  #trySendGap(subscriber: Subscriber): boolean {
    const { thread, handle, channel } = subscriber
    if (!this.#trySend(thread, BRIDGE_RECORD.gap, handle, channel.sequence, NOTHING)) return false
    if (subscriber.isGapDue) {
      subscriber.isGapDue = false
      this.#gapsDue.delete(subscriber)
    }
    return true
  }

  #trySend(thread: number, kind: number, handle: number, sequence: number, payload: Uint8Array): boolean {
    const head = this.#messageHead
    head.writeUInt32LE(handle, MESSAGE_AT.handle)
    head.writeUInt32LE(this.#options.life, MESSAGE_AT.life)
    head.writeDoubleLE(sequence, MESSAGE_AT.sequence)
    return this.#options.send(thread, kind, head, MESSAGE_HEAD_BYTES, payload, 0, payload.length)
  }

  #gapLater(subscriber: Subscriber): void {
    subscriber.isGapDue = true
    this.#gapsDue.add(subscriber)
    if (this.#retellTimer === NO_TIMER) this.#retellTimer = this.#options.wheel.schedule(RETELL_MS, this.#retell)
  }

  readonly #retell = (): void => {
    this.#retellTimer = NO_TIMER
    for (const subscriber of this.#gapsDue) if (!this.#trySendGap(subscriber)) break
    if (this.#gapsDue.size > 0) this.#retellTimer = this.#options.wheel.schedule(RETELL_MS, this.#retell)
  }

  readonly #trim = (): void => {
    this.#trimTimer = NO_TIMER
    const { clock, wheel, limits } = this.#options
    if (this.#backlog.trim(clock.nowMs())) this.#trimTimer = wheel.schedule(limits.keptMs, this.#trim)
  }
}
