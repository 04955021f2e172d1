// The topics of one shard's connections: who has subscribed to what, and the conversation with the homes. It asks again
// when no answer comes, so a home or a thread may vanish at any moment. Knows homes only as a function that routes.
import type { Clock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import { errorFields, type LimitedLogger, type Logger } from '../observe/logger.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { Route } from './router.ts'
import type { SubscribeOptions, TopicConnection, TopicEvent } from './topic-connection.ts'
import { PRESENCE_BYTES_MAX } from './topic-connection.ts'
import { checkedKindOfTopic, type TopicDefinition, topicDefinitionOf } from './topic-definition.ts'
import { packEntries, unpackEntries } from './topic-entry.ts'
import { type FeedOptions, type TopicCounts, TopicFeed } from './topic-feed.ts'
import type { FrozenSubscription } from './topic-frozen.ts'
import { TopicAddresses, TopicInquiry } from './topic-inquiry.ts'
import { type TopicEncoder, TopicMessage } from './topic-message.ts'
import { type Presence, PresenceAsks } from './topic-presence.ts'
import { TopicPublisher, type TopicPublisherOptions } from './topic-publisher.ts'
import { HERE, JOINED, JOINED_AT, LOST, MESSAGE, PULLED, RIGHT, TOPIC_RECORD } from './topic-record.ts'
import { Subscriber } from './topic-subscriber.ts'
import { TopicTender } from './topic-tender.ts'

export type { Presence }

export interface TopicRelayOptions {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly definitions: ReadonlyMap<string, TopicDefinition>
  readonly route: Route
  /** As a publisher asks; default: never. */
  readonly isUnheard?: NonNullable<TopicPublisherOptions['isUnheard']>
  /** Which life of its thread this is, as homes know by `generationOf`. Default 0. */
  readonly generation?: number
  /** `topic.slowBytes` */
  readonly slowBytes: number
  /** `topic.queue` */
  readonly queueMax: number
  /** `ring.messageMax` */
  readonly messageBytesMax: number
  /** The cells of a kind of topic; asked once per topic. */
  readonly counts: (kind: string) => TopicCounts
  /** What services make of payloads for protocols of their own, by the name in `deliver`. */
  readonly encoders?: ReadonlyMap<string, TopicEncoder>
  /** What happens to subscriptions. It may subscribe, unsubscribe and publish. */
  readonly onEvent: (connection: TopicConnection, event: TopicEvent) => void
  /** 0 to below 1. */
  readonly random: () => number
  readonly log: Logger
  /** Runs at the end of what runs now, for messages that come outside of a ring's turn. Default queueMicrotask. */
  readonly defer?: (callback: () => void) => void
  /** Defaults: FEEDS_MAX, SUBSCRIPTIONS_MAX. */
  readonly feedsMax?: number
  readonly subscriptionsMax?: number
}

export type SubscribeOutcome = 'accepted' | 'already_subscribed' | 'connection_limit' | 'topic_limit' | 'closed'

export interface TopicRelayReport {
  /** Topics with subscribers here. */
  readonly topics: number
  /** Connections with subscriptions. */
  readonly connections: number
  readonly subscriptions: number
  /** Subscriptions that are not level: slow, or recovering. */
  readonly apart: number
  /** Messages that came early and are held. */
  readonly held: number
  /** Topics that wait for something. */
  readonly busy: number
  readonly pulls: number
  /** Records that wait for room on their way to a home. */
  readonly waiting: number
  readonly asks: number
}

/** Topics with subscribers on one shard. A guess: some hundred bytes each. */
export const FEEDS_MAX = 200_000

/** Topics of one connection. */
export const SUBSCRIPTIONS_MAX = 1_024

/** Log lines about user code that throws. */
const FAILURES_PER_SECOND = 5

const NONE: ReadonlyMap<string, TopicEncoder> = new Map()

export class TopicRelay {
  readonly #options: TopicRelayOptions
  readonly #encodeFailed: LimitedLogger
  readonly #eventFailed: LimitedLogger
  readonly #byName = new Map<string, TopicInquiry>()
  readonly #byNumber = new Map<number, TopicInquiry>()
  readonly #byConnection = new Map<number, Subscriber[]>()
  readonly #tender: TopicTender
  readonly #addresses = new TopicAddresses(checkedKindOfTopic)
  readonly #publisher: TopicPublisher
  readonly #asks: PresenceAsks
  readonly #feedOptions = new Map<string, FeedOptions>()
  #dirty: TopicInquiry[] = []
  #isDeferred = false
  /** Another one in each life of the thread: records for an earlier life fit nothing. */
  #lastNumber: number

  constructor(options: TopicRelayOptions) {
    this.#options = options
    this.#encodeFailed = options.log.limited('topic.encode_failed', FAILURES_PER_SECOND)
    this.#eventFailed = options.log.limited('topic.event_failed', FAILURES_PER_SECOND)
    this.#lastNumber = Math.floor(options.random() * 2 ** 32)
    this.#tender = new TopicTender(options, this.#byName)
    this.#asks = new PresenceAsks(options.wheel, Math.floor(options.random() * 2 ** 32))
    this.#publisher = new TopicPublisher(options, this.#addresses)
  }

  // ---- what services use ------------------------------------------------------------------------------------------

  /**
   * Subscribes a connection. Events tell what becomes of it, `subscribed` first, perhaps before this returns. Throws
   * TOPIC_NAME_INVALID, VALUE_INVALID on a presence that is no JSON of PRESENCE_BYTES_MAX, and a TypeError on an encoder
   * that nobody registered.
   */
  subscribe(connection: TopicConnection, name: string, options: SubscribeOptions = {}): SubscribeOutcome {
    const { kind } = this.#addresses.of(name)
    const { since, deliver } = options
    if (deliver !== undefined && this.#options.encoders?.has(deliver) !== true)
      throw new TypeError(`no encoder ${deliver} is registered`)
    const { presence: hasPresence } = topicDefinitionOf(this.#options.definitions, kind)
    const presence = hasPresence ? presenceJson(options.presence) : undefined
    if (!connection.open) return 'closed'
    const own = this.#byConnection.get(connection.id)
    if (own?.some((subscriber) => subscriber.feed.name === name) === true) return 'already_subscribed'
    if (own !== undefined && own.length >= (this.#options.subscriptionsMax ?? SUBSCRIPTIONS_MAX))
      return 'connection_limit'
    const inquiry = this.#byName.get(name) ?? this.#begin(name)
    if (inquiry === undefined) return 'topic_limit'
    const { feed } = inquiry
    const subscriber = new Subscriber(
      connection,
      feed,
      feed.encodingFor(connection, deliver),
      presence,
      since === undefined ? undefined : { epoch: since.epoch, offset: since.offset },
      false,
    )
    this.#add(inquiry, subscriber)
    return 'accepted'
  }

  /** False: it had not subscribed. */
  unsubscribe(connection: TopicConnection, name: string): boolean {
    const own = this.#byConnection.get(connection.id)
    const subscriber = own?.find((candidate) => candidate.feed.name === name)
    if (subscriber === undefined) return false
    this.#remove(subscriber)
    return true
  }

  /**
   * Publishes to all subscribers, on every shard. False: overloaded, nothing was published. Throws TOPIC_NAME_INVALID,
   * VALUE_INVALID and MESSAGE_TOO_LARGE.
   */
  publish(name: string, message: unknown): boolean {
    return this.#publisher.publish(name, message)
  }

  /**
   * Asks the home who is present, until `deadlineMs` on the clock. Rejects with TOPIC_NAME_INVALID, ASK_TIMEOUT,
   * ASKS_TOO_MANY, RING_FULL.
   */
  async presence(name: string, deadlineMs: number): Promise<Presence> {
    const address = this.#addresses.of(name)
    const waitMs = deadlineMs - this.#options.clock.nowMs()
    return this.#asks.ask(waitMs, (request) => this.#tender.sendAsk(address, request))
  }

  // ---- what the shard calls ---------------------------------------------------------------------------------------

  /** A record of `isForRelay`; valid only during the call. */
  receive(kind: number, _source: number, record: Buffer): void {
    switch (kind) {
      case TOPIC_RECORD.message:
        this.#onMessage(record)
        break
      case TOPIC_RECORD.joined:
        this.#onJoined(record)
        break
      case TOPIC_RECORD.here:
        this.#onHere(record)
        break
      case TOPIC_RECORD.pulled:
        this.#onPulled(record)
        break
      case TOPIC_RECORD.lost:
        this.#onLost(record)
        break
      case TOPIC_RECORD.present:
        this.#asks.answered(record)
        break
    }
  }

  /** What came since the last call goes to the connections. Call it at the end of a turn that brought records. */
  endTurn(): void {
    if (this.#dirty.length === 0) return
    const dirty = this.#dirty
    this.#dirty = []
    for (const inquiry of dirty) {
      const { feed } = inquiry
      inquiry.isDirty = false
      feed.flush()
      // Some may have become slow with these.
      if (feed.apart.length > 0) this.#tender.tend(inquiry)
    }
  }

  /** The connection has drained. Without it slow subscribers are found by the tender. */
  writable(connection: TopicConnection): void {
    for (const subscriber of [...(this.#byConnection.get(connection.id) ?? [])]) {
      if (!subscriber.slow || subscriber.state === 'gone') continue
      subscriber.feed.drain(subscriber)
      this.#tendTo(subscriber.feed)
    }
  }

  /** The connection is gone, not moved. */
  closed(connection: TopicConnection): void {
    for (const subscriber of [...(this.#byConnection.get(connection.id) ?? [])]) this.#remove(subscriber)
  }

  /** Takes the subscriptions of a connection away from here, to be thawed on another shard. It is still present. */
  freeze(connection: TopicConnection): FrozenSubscription[] {
    const own = [...(this.#byConnection.get(connection.id) ?? [])]
    return own.map((subscriber) => {
      const { feed, told, since, presence, encoding } = subscriber
      const { epoch } = feed
      const { offset, queue } = feed.remove(subscriber, 'moved')
      if (presence !== undefined) this.#tender.sendExit(feed.address, connection.id, TOPIC_RECORD.depart)
      this.#forget(subscriber)
      // Before it was admitted what it asked for is where it stands.
      const place = since ?? (told ? { epoch, offset } : undefined)
      return {
        topic: feed.name,
        told,
        ...(place === undefined ? {} : { since: place }),
        ...(encoding.deliver === undefined ? {} : { deliver: encoding.deliver }),
        ...(presence === undefined ? {} : { presence }),
        ...(queue === undefined || queue.size === 0
          ? {}
          : { queue: packEntries(queue.all().map((message) => message.toEntry())) }),
      }
    })
  }

  /** Goes on with subscriptions that another shard froze: each later message comes once and in order. */
  thaw(connection: TopicConnection, frozen: readonly FrozenSubscription[]): void {
    for (const subscription of frozen) {
      const { topic, told, since, deliver, presence, queue } = subscription
      const inquiry = this.#byName.get(topic) ?? this.#begin(topic)
      if (inquiry === undefined) {
        this.#tell(connection, { type: 'refused', topic })
        continue
      }
      const { feed } = inquiry
      const encoding = feed.encodingFor(connection, deliver)
      const subscriber = new Subscriber(connection, feed, encoding, presence, since, told)
      if (queue !== undefined) {
        subscriber.queue = feed.createQueue()
        for (const entry of unpackEntries(queue)) subscriber.queue.put(TopicMessage.of(entry, true))
      }
      this.#add(inquiry, subscriber)
    }
  }

  /** A thread has crashed: perhaps it was the home of some topics. Call it also before the slots have new owners. */
  threadDown(_thread: number): void {
    for (const inquiry of this.#byName.values()) this.#tender.joinSoon(inquiry)
  }

  report(): TopicRelayReport {
    const sums = { subscriptions: 0, apart: 0, held: 0 }
    for (const { feed } of this.#byName.values()) {
      sums.subscriptions += feed.size
      sums.apart += feed.apart.length
      sums.held += feed.stream.held
    }
    const { busy, pulls, waiting } = this.#tender
    const asks = this.#asks.size
    return { topics: this.#byName.size, connections: this.#byConnection.size, ...sums, busy, pulls, waiting, asks }
  }

  close(): void {
    this.#tender.close()
    this.#asks.close()
  }

  // ---- records from homes -----------------------------------------------------------------------------------------

  #onMessage(record: Buffer): void {
    const number = record.readUInt32LE(MESSAGE.feed)
    const epoch = record.readDoubleLE(MESSAGE.epoch)
    const offset = record.readDoubleLE(MESSAGE.offset)
    const inquiry = this.#known(number, record.readUInt16LE(MESSAGE.slot), epoch, offset)
    if (inquiry === undefined || offset <= inquiry.feed.stream.received) return
    const { feed } = inquiry
    const payloadStart = MESSAGE.key + record.readUInt16LE(MESSAGE.keyBytes)
    const key = feed.definition.slow === 'conflate' ? record.toString('utf8', MESSAGE.key, payloadStart) : ''
    feed.take(new TopicMessage(offset, record[MESSAGE.text] === 1, key, record, payloadStart, record.length))
    this.#flushSoon(inquiry)
    if (feed.stream.hasHole) this.#tender.tend(inquiry)
  }

  #onHere(record: Buffer): void {
    const epoch = record.readDoubleLE(HERE.epoch)
    const offset = record.readDoubleLE(HERE.offset)
    const inquiry = this.#known(record.readUInt32LE(HERE.feed), record.readUInt16LE(HERE.slot), epoch, offset)
    if (inquiry === undefined) return
    inquiry.feed.stream.expect(offset)
    if (inquiry.feed.stream.hasHole) this.#tender.tend(inquiry)
  }

  /** The inquiry of a feed that is live in this epoch; whatever else it is, what is needed is done. */
  #known(number: number, slot: number, epoch: number, offset: number): TopicInquiry | undefined {
    const inquiry = this.#byNumber.get(number)
    if (inquiry === undefined) {
      this.#tender.sendStray(number, slot, epoch)
      return undefined
    }
    const { feed } = inquiry
    inquiry.heard = this.#tender.audits
    if (feed.live && feed.epoch === epoch) return inquiry
    if (feed.live) this.#tender.joinSoon(inquiry)
    else feed.stream.noteEarly(epoch, offset)
    return undefined
  }

  #onJoined(record: Buffer): void {
    const inquiry = this.#byNumber.get(record.readUInt32LE(JOINED_AT.feed))
    if (inquiry === undefined || inquiry.joinRequest !== record.readUInt32LE(JOINED_AT.request)) return
    const { feed } = inquiry
    const outcome = record[JOINED_AT.outcome]
    inquiry.joinDueMs = Infinity
    inquiry.heard = this.#tender.audits
    if (outcome === JOINED.refused) {
      for (const subscriber of feed.subscribers()) this.#refuse(subscriber)
      return
    }
    const epoch = record.readDoubleLE(JOINED_AT.epoch)
    const isAnew = !feed.live || feed.epoch !== epoch
    if (isAnew) this.#tender.endPull(inquiry)
    feed.joined(epoch, record.readDoubleLE(JOINED_AT.offset))
    if (isAnew || outcome === JOINED.fresh) {
      for (const { connection, presence } of feed.subscribers()) {
        if (presence !== undefined) this.#tender.sendEnter(inquiry.feed.address, connection.id, presence)
      }
    }
    this.#tender.tend(inquiry)
  }

  #onPulled(record: Buffer): void {
    const inquiry = this.#byNumber.get(record.readUInt32LE(PULLED.feed))
    if (inquiry === undefined || inquiry.pullRequest !== record.readUInt32LE(PULLED.request)) return
    const { feed } = inquiry
    const need = feed.pulling
    this.#tender.endPull(inquiry)
    if (record.readDoubleLE(PULLED.epoch) !== feed.epoch || need === undefined) {
      this.#tender.joinSoon(inquiry)
      return
    }
    const hasKey = feed.definition.slow === 'conflate'
    const messages = unpackEntries(record, PULLED.entries).map((entry) => TopicMessage.of(entry, hasKey))
    feed.pulled(need, {
      first: record.readDoubleLE(PULLED.first),
      offset: record.readDoubleLE(PULLED.offset),
      right: record[PULLED.right] === RIGHT.repair ? RIGHT.repair : RIGHT.history,
      messages,
    })
    this.#tender.tend(inquiry)
  }

  #onLost(record: Buffer): void {
    const inquiry = this.#byNumber.get(record.readUInt32LE(LOST.feed))
    const feed = inquiry?.feed
    if (inquiry === undefined || feed === undefined || !feed.live) return
    if (record.readDoubleLE(LOST.epoch) !== feed.epoch) return
    const to = record.readDoubleLE(LOST.to)
    // A hole before it is repaired first, and this with it.
    if (record.readDoubleLE(LOST.from) <= feed.stream.received + 1) feed.skipTo(to, 'ring_full')
    else feed.stream.expect(to)
    this.#flushSoon(inquiry)
    this.#tender.tend(inquiry)
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  #begin(name: string): TopicInquiry | undefined {
    if (this.#byName.size >= (this.#options.feedsMax ?? FEEDS_MAX)) return undefined
    const address = this.#addresses.of(name)
    const { definitions } = this.#options
    do this.#lastNumber = (this.#lastNumber + 1) >>> 0
    while (this.#byNumber.has(this.#lastNumber))
    const definition = topicDefinitionOf(definitions, address.kind)
    const feed = new TopicFeed(this.#lastNumber, name, address, definition, this.#optionsOf(address.kind))
    const inquiry = new TopicInquiry(feed)
    this.#byName.set(name, inquiry)
    this.#byNumber.set(feed.number, inquiry)
    return inquiry
  }

  #optionsOf(kind: string): FeedOptions {
    const known = this.#feedOptions.get(kind)
    if (known !== undefined) return known
    const { counts, slowBytes, queueMax, encoders = NONE } = this.#options
    const options: FeedOptions = {
      counts: counts(kind),
      slowBytes,
      queueMax,
      encoders,
      tell: (connection, event) => this.#tell(connection, event),
      onEncodeError: (feed, error) => this.#encodeFailed.warn({ topic: feed.name, ...errorFields(error) }),
    }
    this.#feedOptions.set(kind, options)
    return options
  }

  #add(inquiry: TopicInquiry, subscriber: Subscriber): void {
    const { connection, presence, feed } = subscriber
    const own = this.#byConnection.get(connection.id)
    if (own === undefined) this.#byConnection.set(connection.id, [subscriber])
    else own.push(subscriber)
    if (presence !== undefined && feed.live) this.#tender.sendEnter(feed.address, connection.id, presence)
    feed.add(subscriber)
    // Not before it has its first subscriber: the answer may come before this returns.
    if (inquiry.joinRequest === 0) this.#tender.join(inquiry)
    if (feed.apart.length > 0) this.#tender.tend(inquiry)
  }

  #remove(subscriber: Subscriber): void {
    const { feed, connection, presence } = subscriber
    if (subscriber.state === 'gone') return
    feed.remove(subscriber, 'closed')
    if (presence !== undefined) this.#tender.sendExit(feed.address, connection.id, TOPIC_RECORD.exit)
    this.#forget(subscriber)
  }

  #refuse(subscriber: Subscriber): void {
    const { feed, connection } = subscriber
    if (subscriber.state === 'gone') return
    feed.remove(subscriber, 'closed')
    this.#forget(subscriber)
    this.#tell(connection, { type: 'refused', topic: feed.name })
  }

  /** The subscriber has left its feed. The last one takes the feed along. */
  #forget(subscriber: Subscriber): void {
    const { feed, connection } = subscriber
    const own = this.#byConnection.get(connection.id) ?? []
    const index = own.indexOf(subscriber)
    if (index >= 0) own.splice(index, 1)
    if (own.length === 0) this.#byConnection.delete(connection.id)
    const inquiry = this.#byNumber.get(feed.number)
    if (feed.size > 0 || inquiry === undefined) return
    this.#byNumber.delete(feed.number)
    this.#byName.delete(feed.name)
    this.#tender.leave(inquiry)
  }

  #flushSoon(inquiry: TopicInquiry): void {
    if (inquiry.isDirty || !inquiry.feed.hasPending) return
    inquiry.isDirty = true
    this.#dirty.push(inquiry)
    if (this.#isDeferred) return
    this.#isDeferred = true
    const defer = this.#options.defer ?? queueMicrotask
    defer(() => {
      this.#isDeferred = false
      this.endTurn()
    })
  }

  #tendTo(feed: TopicFeed): void {
    const inquiry = this.#byNumber.get(feed.number)
    if (inquiry !== undefined) this.#tender.tend(inquiry)
  }

  /** User code: what it throws must not end a fan-out halfway. */
  #tell(connection: TopicConnection, event: TopicEvent): void {
    try {
      this.#options.onEvent(connection, event)
    } catch (error) {
      this.#eventFailed.error({ connection: connection.id, event: event.type, ...errorFields(error) })
    }
  }
}

function presenceJson(presence: unknown): string {
  const json = JSON.stringify(presence ?? null)
  if (json === undefined || Buffer.byteLength(json) > PRESENCE_BYTES_MAX)
    throw new PolyloopError('VALUE_INVALID', { problem: `presence is no JSON of at most ${PRESENCE_BYTES_MAX} bytes` })
  return json
}
