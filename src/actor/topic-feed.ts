// One topic as one shard has it: its messages in order, and the subscribers they go to. Subscribers that are level are
// served by a plain loop over an array, with bytes made once; all others stand apart. Sends to connections, tells of
// events, keeps the books; asks nobody for anything: the relay does (topic-relay.ts).
//
// The books hold at every moment between two calls: each message counts as published once for each subscriber it is meant
// for when the feed passes it, and for one that is ahead of its feed when it is given to it. In flight are the messages
// in queues, and those between a pulling subscriber and the feed.
import type { DropReason } from '../observe/family.ts'
import type { Cell } from '../observe/metrics.ts'
import type { GapReason, TopicConnection, TopicEvent } from './topic-connection.ts'
import type { TopicDefinition } from './topic-definition.ts'
import type { TopicAddress } from './topic-inquiry.ts'
import type { TopicEncoder, TopicEncoding, TopicMessage } from './topic-message.ts'
import { TopicQueue } from './topic-queue.ts'
import { RIGHT, type Right } from './topic-record.ts'
import { TopicRoster } from './topic-roster.ts'
import { TopicStream } from './topic-stream.ts'
import type { Subscriber } from './topic-subscriber.ts'

/** The books of one kind of topic on one thread: published = delivered + inFlight + dropped. */
export interface TopicCounts {
  readonly published: Cell
  readonly delivered: Cell
  readonly inFlight: Cell
  readonly dropped: Readonly<Record<DropReason, Cell>>
}

export interface FeedOptions {
  readonly counts: TopicCounts
  /** `topic.slowBytes` */
  readonly slowBytes: number
  /** `topic.queue` */
  readonly queueMax: number
  readonly encoders: ReadonlyMap<string, TopicEncoder>
  readonly tell: (connection: TopicConnection, event: TopicEvent) => void
  readonly onEncodeError: (feed: TopicFeed, error: unknown) => void
}

/** What to ask the home for. `subscriber` undefined: what the feed itself misses. */
export interface PullNeed {
  readonly after: number
  readonly right: Right
  readonly subscriber: Subscriber | undefined
}

export interface PullAnswer {
  /** The lowest offset there was, from the one asked for on. */
  readonly first: number
  /** The last the home has given. */
  readonly offset: number
  readonly right: Right
  readonly messages: readonly TopicMessage[]
}

const DROP_OF_GAP = {
  slow: 'slow',
  conflated: 'conflated',
  history: 'gap',
  epoch: 'gap',
  ring_full: 'ring_full',
  lost: 'gap',
} as const satisfies Record<GapReason, DropReason>

const NOBODY: readonly Subscriber[] = []

export class TopicFeed {
  /** Names the topic in records from its home. */
  readonly number: number
  readonly name: string
  readonly address: TopicAddress
  readonly definition: TopicDefinition
  readonly stream = new TopicStream()
  /** The home has answered. */
  live = false
  /** The last message that was passed on. */
  offset = 0
  /** Subscribers in any state. */
  size = 0
  /** What the feed itself misses is to be pulled. */
  repairing = false
  /** The pull whose answer is awaited. */
  pulling: PullNeed | undefined
  readonly #options: FeedOptions
  readonly #roster = new TopicRoster(this)
  #pending: TopicMessage[] = []

  constructor(number: number, name: string, address: TopicAddress, definition: TopicDefinition, options: FeedOptions) {
    this.number = number
    this.name = name
    this.address = address
    this.definition = definition
    this.#options = options
  }

  get epoch(): number {
    return this.stream.epoch
  }

  /** Subscribers that are not level. */
  get apart(): readonly Subscriber[] {
    return this.#roster.apart
  }

  get hasPending(): boolean {
    return this.#pending.length > 0
  }

  encodingFor(connection: TopicConnection, deliver: string | undefined): TopicEncoding {
    const { encoders, onEncodeError } = this.#options
    const { compress } = this.definition
    return this.#roster.encodingFor(connection, compress, deliver, encoders, (error) => onEncodeError(this, error))
  }

  /** What waits for a subscriber: oldest first. */
  createQueue(): TopicQueue {
    return new TopicQueue(this.definition.slow === 'conflate', this.#options.queueMax)
  }

  subscribers(): Subscriber[] {
    return this.#roster.all()
  }

  // ---- messages ---------------------------------------------------------------------------------------------------

  /** Takes a message from the home. What is in order waits for `flush`. */
  take(message: TopicMessage): void {
    if (!this.stream.take(message)) return
    this.#pending.push(message)
    for (let held = this.stream.takeHeld(); held !== undefined; held = this.stream.takeHeld()) this.#pending.push(held)
  }

  /** Gives what came in order to the subscribers. */
  flush(): void {
    const messages = this.#pending
    if (messages.length === 0) return
    this.#pending = []
    const before = this.offset
    this.offset = before + messages.length
    // Whoever stands apart now; those who slip back in the loop below have been seen to by then.
    const apart = this.#roster.apart.length === 0 ? NOBODY : [...this.#roster.apart]
    for (const encoding of this.#roster.encodings)
      if (encoding.level.length > 0) this.#fanOut(encoding, messages, before)
    for (const subscriber of apart) this.#pass(subscriber, messages, before)
  }

  #fanOut(encoding: TopicEncoding, messages: readonly TopicMessage[], before: number): void {
    const { level } = encoding
    const { counts, slowBytes } = this.#options
    if (this.definition.slow !== 'disconnect') {
      for (let index = level.length - 1; index >= 0; index--) {
        const subscriber = level[index] as Subscriber
        if (subscriber.connection.bufferedBytes > slowBytes) this.#slip(subscriber, messages, before)
      }
      if (level.length === 0) return
    }
    let delivered = 0
    for (const batch of encoding.batches(messages)) {
      for (let index = 0; index < level.length; index++) {
        const { connection } = level[index] as Subscriber
        if (!connection.open) continue
        if (batch.bytes.length > 0) connection.sendShared(batch.bytes, batch.messages)
        delivered += batch.messages
      }
    }
    const published = level.length * messages.length
    counts.published.value += published
    counts.delivered.value += delivered
    counts.dropped.closed.value += published - delivered
  }

  /** A level subscriber has too much unsent. */
  #slip(subscriber: Subscriber, messages: readonly TopicMessage[], before: number): void {
    subscriber.offset = before
    subscriber.slow = true
    if (this.definition.slow === 'catch-up') {
      this.#roster.place(subscriber, 'pulling')
      this.#countDue(subscriber, before)
      return
    }
    subscriber.queue ??= this.createQueue()
    this.#roster.place(subscriber, 'queueing')
    for (const message of messages) this.#enqueue(subscriber, subscriber.queue, message)
  }

  /** The feed has passed some messages; the subscriber was not level before. */
  #pass(subscriber: Subscriber, messages: readonly TopicMessage[], before: number): void {
    const { queue } = subscriber
    if (subscriber.state === 'pulling') {
      this.#countDue(subscriber, before)
      this.#give(subscriber, messages)
    } else if (subscriber.state === 'queueing' && queue !== undefined) {
      for (const message of messages) this.#enqueue(subscriber, queue, message)
      this.drain(subscriber)
    }
  }

  #enqueue(subscriber: Subscriber, queue: TopicQueue, message: TopicMessage): void {
    const { counts } = this.#options
    counts.published.value++
    if (!subscriber.connection.open) {
      counts.dropped.closed.value++
      return
    }
    const dropped = queue.put(message)
    if (dropped === undefined) counts.inFlight.value++
    else counts.dropped[dropped].value++
  }

  // ---- subscribers ------------------------------------------------------------------------------------------------

  /** A new subscriber, or one that came from another shard. */
  add(subscriber: Subscriber): void {
    this.size++
    this.#roster.place(subscriber, 'joining')
    if (this.live) this.#admit(subscriber)
  }

  /** Takes it out; what was on its way to it is dropped. Answers where it stood. */
  remove(subscriber: Subscriber, reason: 'closed' | 'moved'): { offset: number; queue: TopicQueue | undefined } {
    const { queue } = subscriber
    const place = { offset: subscriber.state === 'level' ? this.offset : subscriber.offset, queue }
    this.#drop(this.#takeDue(subscriber), reason)
    this.#roster.place(subscriber, 'gone')
    this.size--
    return place
  }

  /** The home has answered: the feed begins, goes on, or begins anew. */
  joined(epoch: number, offset: number): void {
    if (this.live && epoch === this.stream.epoch) {
      this.stream.expect(offset)
      return
    }
    this.flush()
    const wasLive = this.live
    this.live = true
    this.repairing = false
    this.pulling = undefined
    const all = this.subscribers()
    for (const subscriber of all) if (wasLive) this.#drop(this.#takeDue(subscriber), 'gap')
    this.stream.begin(epoch, offset)
    this.offset = offset
    for (const subscriber of all) {
      if (subscriber.state === 'joining' || subscriber.state === 'recovering') this.#admit(subscriber)
      else if (subscriber.state !== 'gone') this.#beginAnew(subscriber)
    }
  }

  /** Messages up to `to` are lost on the way here. */
  skipTo(to: number, reason: 'ring_full' | 'lost'): void {
    if (to <= this.stream.received) return
    this.flush()
    const from = this.offset + 1
    const before = this.offset
    this.offset = to
    this.stream.skipTo(to)
    const { counts } = this.#options
    const { epoch, name: topic } = this
    for (const subscriber of this.subscribers()) {
      if (subscriber.state === 'pulling') {
        this.#countDue(subscriber, before)
        this.#level(subscriber)
      } else if (subscriber.state === 'level' || subscriber.state === 'queueing') {
        counts.published.value += to - before
        this.#drop(to - before, DROP_OF_GAP[reason])
        // One that is queueing is told when it gets to the hole.
        if (subscriber.state === 'level') this.#tell(subscriber, { type: 'gap', topic, epoch, from, to, reason })
      }
    }
    for (let held = this.stream.takeHeld(); held !== undefined; held = this.stream.takeHeld()) this.#pending.push(held)
  }

  /** Goes on with a subscriber whose output has drained. */
  drain(subscriber: Subscriber): void {
    const { connection, queue } = subscriber
    const { slowBytes, counts } = this.#options
    if (subscriber.slow && connection.bufferedBytes <= slowBytes / 2) subscriber.slow = false
    if (subscriber.state !== 'queueing' || queue === undefined || !connection.open) return
    while (!subscriber.slow) {
      const message = queue.take()
      if (message === undefined) break
      const isTold = this.#tellHole(subscriber, message.offset - 1)
      counts.inFlight.value--
      // The subscriber may have left when it was told of the hole; this message is no longer in its queue.
      if (!isTold) this.#drop(1, 'closed')
      else this.#send(subscriber, message)
      if (!isTold) return
    }
    if (subscriber.slow || queue.size > 0) return
    if (this.#tellHole(subscriber, this.offset)) this.#roster.place(subscriber, 'level')
  }

  /** What to ask the home for next. */
  nextPull(): PullNeed | undefined {
    const { received } = this.stream
    if (this.repairing) return { after: received, right: RIGHT.repair, subscriber: undefined }
    for (const subscriber of this.#roster.apart) {
      const { state, since, right, offset, connection } = subscriber
      if (state === 'recovering' && since !== undefined) return { after: since.offset, right, subscriber }
      if (state === 'pulling' && !subscriber.slow && connection.open && offset < this.offset)
        return { after: offset, right, subscriber }
    }
    return undefined
  }

  /** The answer to a pull. It serves every subscriber it fits. */
  pulled(need: PullNeed, answer: PullAnswer): void {
    if (this.repairing && need.subscriber === undefined) {
      this.skipTo(answer.first - 1, 'lost')
      this.repairing = false
    }
    for (const message of answer.messages) this.take(message)
    this.flush()
    if (need.subscriber !== undefined && need.subscriber.state !== 'gone') {
      this.#serve(need.subscriber, answer)
      this.#roster.rotate(need.subscriber)
    }
    const last = answer.first - 1 + answer.messages.length
    for (const subscriber of [...this.#roster.apart]) {
      const isAllowed = answer.right === RIGHT.history || subscriber.right === RIGHT.repair
      const at = subscriber.state === 'recovering' ? (subscriber.since?.offset ?? 0) : subscriber.offset
      if (isAllowed && at >= answer.first - 1 && at < last) this.#serve(subscriber, answer)
    }
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  /** Lets a subscriber in that the feed, which is live, knows nothing of. */
  #admit(subscriber: Subscriber): void {
    const { since, told } = subscriber
    const { epoch, offset, name: topic } = this
    const isSame = since !== undefined && since.epoch === epoch
    if (told) {
      if (!isSame) this.#beginAnew(subscriber)
      else this.#resume(subscriber, since.offset)
      return
    }
    // Behind, or ahead of this shard: only the home can tell.
    if (isSame && since.offset !== offset) {
      this.#roster.place(subscriber, 'recovering')
      return
    }
    const missed = isSame || since === undefined ? 0 : undefined
    this.#establish(subscriber, offset, RIGHT.history)
    subscriber.told = true
    this.#tell(subscriber, { type: 'subscribed', topic, epoch, offset, recovered: isSame, missed })
  }

  /** It comes from another shard, perhaps with a queue: as it drained to move, it gets that at once. */
  #resume(subscriber: Subscriber, offset: number): void {
    const { queue } = subscriber
    subscriber.queue = undefined
    subscriber.offset = offset
    for (let message = queue?.take(); message !== undefined; message = queue?.take()) {
      if (!this.#tellHole(subscriber, message.offset - 1)) return
      this.#options.counts.published.value++
      this.#send(subscriber, message)
    }
    this.#establish(subscriber, subscriber.offset, RIGHT.repair)
  }

  #establish(subscriber: Subscriber, offset: number, right: Right): void {
    subscriber.offset = offset
    subscriber.right = right
    subscriber.since = undefined
    this.#roster.place(subscriber, 'pulling')
    const { counts } = this.#options
    counts.published.value += this.#dueOf(subscriber)
    counts.inFlight.value += this.#dueOf(subscriber)
    this.#level(subscriber)
  }

  /** The topic has another epoch: whatever it was waiting for is gone. */
  #beginAnew(subscriber: Subscriber): void {
    const { epoch, offset, name: topic } = this
    subscriber.since = undefined
    this.#roster.place(subscriber, 'level')
    this.#tell(subscriber, { type: 'gap', topic, epoch, from: 1, to: offset, reason: 'epoch' })
  }

  /** One subscriber's part of a pull's answer. */
  #serve(subscriber: Subscriber, answer: PullAnswer): void {
    const { first, offset: last, right, messages } = answer
    if (subscriber.state === 'recovering' && subscriber.since !== undefined) {
      const { epoch, name: topic } = this
      const asked = subscriber.since.offset
      // An offset nobody has given: it is of another server, or made up.
      const isMadeUp = asked > last
      const offset = isMadeUp ? this.offset : Math.max(asked, first - 1)
      const recovered = offset === asked
      const missed = isMadeUp ? undefined : offset - asked
      this.#establish(subscriber, offset, RIGHT.history)
      subscriber.told = true
      this.#tell(subscriber, { type: 'subscribed', topic, epoch, offset, recovered, missed })
    } else if (subscriber.state === 'pulling' && subscriber.offset < first - 1) {
      const dropped = Math.min(first - 1, this.offset) - subscriber.offset
      if (dropped > 0) {
        this.#options.counts.inFlight.value -= dropped
        this.#drop(dropped, 'gap')
      }
      this.#tellHole(subscriber, first - 1, right === RIGHT.history ? 'history' : 'lost')
    }
    if (isPulling(subscriber)) this.#give(subscriber, messages)
  }

  /** Gives a pulling subscriber what comes next of these messages, until it has too much unsent. */
  #give(subscriber: Subscriber, messages: readonly TopicMessage[]): void {
    const { counts } = this.#options
    for (const message of messages) {
      if (subscriber.slow || !subscriber.connection.open) break
      if (message.offset !== subscriber.offset + 1) continue
      if (message.offset <= this.offset) counts.inFlight.value--
      else counts.published.value++
      this.#send(subscriber, message)
    }
    this.#level(subscriber)
  }

  /** A pulling subscriber that has everything is level. */
  #level(subscriber: Subscriber): void {
    if (subscriber.offset !== this.offset) return
    subscriber.right = RIGHT.history
    subscriber.slow = false
    this.#roster.place(subscriber, 'level')
  }

  /** To one subscriber alone. */
  #send(subscriber: Subscriber, message: TopicMessage): void {
    const { connection } = subscriber
    const { counts, slowBytes } = this.#options
    subscriber.offset = message.offset
    if (!connection.open) {
      this.#drop(1, 'closed')
      return
    }
    const bytes = message.encodedBy(subscriber.encoding)
    if (bytes.length > 0) connection.sendShared(bytes, 1)
    counts.delivered.value++
    if (connection.bufferedBytes > slowBytes) subscriber.slow = true
  }

  /** Tells of messages after its offset that it will not get; false: it left when it heard. */
  #tellHole(subscriber: Subscriber, to: number, reason?: GapReason): boolean {
    const from = subscriber.offset + 1
    if (from > to) return true
    const { epoch, name: topic } = this
    subscriber.offset = to
    const why = reason ?? (this.definition.slow === 'conflate' ? 'conflated' : 'slow')
    this.#tell(subscriber, { type: 'gap', topic, epoch, from, to, reason: why })
    return !isGone(subscriber)
  }

  #tell(subscriber: Subscriber, event: TopicEvent): void {
    this.#options.tell(subscriber.connection, event)
  }

  /** In flight to a subscriber. */
  #dueOf(subscriber: Subscriber): number {
    if (subscriber.state === 'pulling') return Math.max(0, this.offset - subscriber.offset)
    return subscriber.state === 'queueing' ? (subscriber.queue?.size ?? 0) : 0
  }

  /** Takes what is in flight to it out of the books: the caller drops it. */
  #takeDue(subscriber: Subscriber): number {
    const due = this.#dueOf(subscriber)
    this.#options.counts.inFlight.value -= due
    subscriber.queue = undefined
    return due
  }

  /** The feed went on from `before`: so much more is due to a pulling subscriber. */
  #countDue(subscriber: Subscriber, before: number): void {
    const more = this.#dueOf(subscriber) - Math.max(0, before - subscriber.offset)
    this.#options.counts.published.value += more
    this.#options.counts.inFlight.value += more
  }

  #drop(count: number, reason: DropReason): void {
    this.#options.counts.dropped[reason].value += count
  }
}

// Functions, because the compiler believes that telling somebody cannot change a state.
function isGone(subscriber: Subscriber): boolean {
  return subscriber.state === 'gone'
}

function isPulling(subscriber: Subscriber): boolean {
  return subscriber.state === 'pulling'
}
