// One channel on one shard: the last events, in order, and the subscriptions of the shard's clients. It hears the
// channel's topic itself, so an event crosses to a shard once, is made into frames once per form, and what a client missed
// is there at once when it comes back. Knows members only as receivers of frames.
//
//   offsets  … 41 42 43 44 45 46 47 48        kept: those behind `base`
//              base ┘  └──── events ────┘ last
import type { TopicEvent } from '../../actor/topic-connection.ts'
import type { TopicListener } from '../../actor/topic-tap.ts'
import type { Clock } from '../../lib/clock.ts'
import { Assembly, isPiece } from './assembly.ts'
import { FORMS, type Form, HubEvent } from './event.ts'
import type { Position } from './request.ts'

/** What is written as one buffer to every subscriber: longer events go by themselves. */
const BATCH_BYTES_MAX = 64 * 1024

export interface Receiver {
  /** False: it takes nothing more, and will be gone soon. */
  readonly isOpen: boolean
  /** Whole frames; they never change. */
  deliver(frames: Buffer, messages: number): void
}

export interface LogLimits {
  readonly countMax: number
  readonly bytesMax: number
  readonly ageMsMax: number
}

export interface LogOptions {
  readonly channel: string
  readonly limits: LogLimits
  readonly clock: Clock
  /** A number for each event, over all channels of the shard. */
  readonly sequence: () => number
  /** So many receivers were given an event of that form. */
  readonly sent: (event: HubEvent, form: Form, receivers: number) => void
  /** Something came that is no event. */
  readonly strange: () => void
}

/** One client's subscription to one channel. */
export class Subscription {
  readonly log: ChannelLog
  readonly receiver: Receiver
  form: Form
  /** Its place among those that get every event; -1: it is held back, and `position` is where it stands. */
  index = -1
  /** The last event it was given, or does not want. */
  held: Position
  /** Where it began on this connection: everything behind it the client was sent, or will be. */
  from: Position

  constructor(log: ChannelLog, receiver: Receiver, form: Form, position: Position) {
    this.log = log
    this.receiver = receiver
    this.form = form
    this.held = position
    this.from = position
  }

  get position(): Position {
    return this.index < 0 ? this.held : this.log.position
  }
}

export class ChannelLog implements TopicListener {
  readonly channel: string
  readonly #options: LogOptions
  readonly #assembly = new Assembly()
  #epoch = 0
  #base = 0
  #last = 0
  #events: (HubEvent | undefined)[] = []
  /** Events before it are gone; removing them one by one would move all others. */
  #dead = 0
  #bytes = 0
  /** By form, those that get every event. */
  readonly #level: Subscription[][] = Array.from({ length: FORMS }, () => [])
  #size = 0
  #isReady = false
  /** Where the topic stood when this began to listen: up to there it is the past. */
  #head = Number.POSITIVE_INFINITY
  readonly #waiting = new Set<() => void>()
  #pending: HubEvent[] = []
  readonly #reaching = new Set<{ readonly offset: number; readonly then: () => void }>()
  /** Called when the topic's home has no room: the tap has ended. */
  refused: () => void = () => {}

  constructor(options: LogOptions) {
    this.channel = options.channel
    this.#options = options
  }

  /** It knows its past: what is kept of it. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Calls back when it is, perhaps at once. Answers how to wait no longer: Redis may be away for long. */
  whenReady(then: () => void): () => void {
    if (this.#isReady) then()
    else this.#waiting.add(then)
    return () => void this.#waiting.delete(then)
  }

  /**
   * Calls back when it has come to that position, perhaps at once; at once if the epoch is another one. Answers how to wait
   * no longer: clients make positions up.
   */
  whenReaches({ epoch, offset }: Position, then: () => void): () => void {
    const reaching = { offset, then }
    if (epoch !== this.#epoch || offset <= this.#last) then()
    else this.#reaching.add(reaching)
    return () => void this.#reaching.delete(reaching)
  }

  /** It knows its past, and what was up to that position. */
  knows({ epoch, offset }: Position): boolean {
    return this.#isReady && (epoch !== this.#epoch || offset <= this.#last)
  }

  /** Calls back when it does, perhaps at once. Answers how to wait no longer. */
  whenKnows(position: Position, then: () => void): () => void {
    let endReaching: (() => void) | undefined
    const endReady = this.whenReady(() => {
      endReaching = this.whenReaches(position, then)
    })
    return () => {
      endReady()
      endReaching?.()
    }
  }

  /** Subscriptions, those held back not included. */
  get size(): number {
    return this.#size
  }

  get position(): Position {
    return { epoch: this.#epoch, offset: this.#last }
  }

  // ---- subscriptions ----------------------------------------------------------------------------------------------

  /** From now on it gets every event. */
  enter(subscription: Subscription): void {
    const level = this.#level[subscription.form] as Subscription[]
    subscription.index = level.push(subscription) - 1
    this.#size++
  }

  /** It gets none; it stays where it is. */
  leave(subscription: Subscription): void {
    const { form, index } = subscription
    if (index < 0) return
    subscription.held = this.position
    const level = this.#level[form] as Subscription[]
    const last = level.pop() as Subscription
    if (last !== subscription) {
      level[index] = last
      last.index = index
    }
    subscription.index = -1
    this.#size--
  }

  reform(subscription: Subscription, form: Form): void {
    const isLevel = subscription.index >= 0
    if (isLevel) this.leave(subscription)
    subscription.form = form
    if (isLevel) this.enter(subscription)
  }

  // ---- the past ---------------------------------------------------------------------------------------------------

  /** Whether everything behind a position is kept. */
  reaches({ epoch, offset }: Position): boolean {
    this.#trim()
    return epoch === this.#epoch && offset >= this.#base && offset <= this.#last
  }

  /** What is kept behind a position, oldest first: of another epoch everything, unless it is in nobody's future. */
  after(position: Position): readonly HubEvent[] {
    this.#trim()
    const from = position.epoch === this.#epoch ? position.offset : 0
    return this.#events.slice(this.#indexBehind(from)) as HubEvent[]
  }

  /** How many events there are behind a position, kept or not. */
  countAfter(position: Position): number {
    const kept = this.#events.length - this.#indexBehind(position.epoch === this.#epoch ? position.offset : 0)
    return kept + this.lostAfter(position)
  }

  /** How many there were behind a position that are not kept any more. Of another epoch nobody knows. */
  lostAfter({ epoch, offset }: Position): number {
    return epoch === this.#epoch ? Math.max(0, this.#base - offset) : 0
  }

  /** The index of the first event behind an offset. */
  #indexBehind(offset: number): number {
    let low = this.#dead
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#events[middle] as HubEvent).offset > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Now and then: lets go of what is too old, and of frames that nobody needs at the moment. */
  tidy(): void {
    this.#trim()
    for (let index = this.#dead; index < this.#events.length; index++) this.#events[index]?.forgetFrames()
  }

  // ---- TopicListener ----------------------------------------------------------------------------------------------

  message(payload: Buffer, offset: number, isText: boolean): void {
    this.#last = offset
    if (!isText && isPiece(payload)) {
      const whole = this.#assembly.take(payload, this.#options.clock.nowMs())
      if (whole !== undefined) this.#take(whole.payload, offset, whole.isText)
    } else this.#take(payload, offset, isText)
  }

  batchEnd(): void {
    this.#flush()
    this.#lookReady()
    for (const reaching of this.#reaching) {
      if (reaching.offset > this.#last) continue
      this.#reaching.delete(reaching)
      reaching.then()
    }
  }

  event(event: TopicEvent, head: number): void {
    if (event.type === 'refused') {
      // When it listens again the past comes again.
      this.#isReady = false
      this.#head = Number.POSITIVE_INFINITY
      this.refused()
      return
    }
    if (event.type === 'subscribed') {
      this.#begin(event.epoch, event.offset)
      this.#head = head
      this.#lookReady()
      return
    }
    // What is behind a hole cannot be recovered across it.
    this.#begin(event.epoch, event.to)
    this.#head = 0
    this.#lookReady()
  }

  #lookReady(): void {
    if (this.#isReady || this.#last < this.#head) return
    this.#isReady = true
    // They came before this knew where it stood.
    for (const subscription of this.#level.flat())
      if (subscription.from.epoch !== this.#epoch) subscription.from = this.position
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const then of waiting) then()
  }

  #begin(epoch: number, offset: number): void {
    this.#flush()
    if (epoch !== this.#epoch) {
      for (const { then } of this.#reaching) then()
      this.#reaching.clear()
    }
    this.#epoch = epoch
    this.#base = offset
    this.#last = offset
    this.#events = []
    this.#dead = 0
    this.#bytes = 0
  }

  #take(payload: Buffer, offset: number, isText: boolean): void {
    const { channel, sequence, strange } = this.#options
    const event = HubEvent.of({ channel, epoch: this.#epoch, offset, sequence: sequence() }, payload, isText)
    if (event === undefined) {
      strange()
      return
    }
    this.#events.push(event)
    this.#bytes += event.bytes
    this.#trim()
    // The past is no news, also for those who have subscribed already.
    if (this.#isReady && this.#size > 0) this.#pending.push(event)
  }

  /** What came together leaves in one buffer. */
  #flush(): void {
    const events = this.#pending
    if (events.length === 0) return
    this.#pending = []
    for (let form = 0; form < FORMS; form++) {
      const level = this.#level[form] as Subscription[]
      if (level.length === 0) continue
      for (const { frames, count } of batchesOf(events, form)) {
        // Backwards: who is closed by what it is given leaves, and the last takes its place.
        for (let index = level.length - 1; index >= 0; index--) {
          const subscription = level[index]
          if (subscription?.receiver.isOpen === true) subscription.receiver.deliver(frames, count)
          else if (subscription !== undefined) this.#part(subscription, events[0] as HubEvent)
        }
      }
      for (const event of events) this.#options.sent(event, form, level.length)
    }
    for (const event of events) event.forgetFrames()
  }

  /** It has said good-bye: its session misses this event and all behind it. */
  #part(subscription: Subscription, { offset }: HubEvent): void {
    this.leave(subscription)
    subscription.held = { epoch: this.#epoch, offset: offset - 1 }
  }

  #trim(): void {
    const { limits, clock } = this.#options
    const oldestMs = clock.wallMs() - limits.ageMsMax
    for (;;) {
      const oldest = this.#events[this.#dead]
      if (oldest === undefined) break
      const count = this.#events.length - this.#dead
      if (count <= limits.countMax && this.#bytes <= limits.bytesMax && oldest.wallMs > oldestMs) break
      this.#bytes -= oldest.bytes
      this.#base = oldest.offset
      this.#events[this.#dead++] = undefined
    }
    if (this.#dead > 64 && this.#dead * 2 > this.#events.length) {
      this.#events.splice(0, this.#dead)
      this.#dead = 0
    }
  }
}

function batchesOf(events: readonly HubEvent[], form: Form): { readonly frames: Buffer; readonly count: number }[] {
  const batches: { frames: Buffer; count: number }[] = []
  let parts: Buffer[] = []
  let bytes = 0
  const end = (): void => {
    const [first] = parts
    if (first !== undefined)
      batches.push({ frames: parts.length === 1 ? first : Buffer.concat(parts), count: parts.length })
    parts = []
    bytes = 0
  }
  for (const event of events) {
    const frame = event.frame(form)
    if (bytes > 0 && bytes + frame.length > BATCH_BYTES_MAX) end()
    parts.push(frame)
    bytes += frame.length
  }
  end()
  return batches
}
