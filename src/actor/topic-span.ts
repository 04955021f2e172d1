// The topics of one shard that span hosts: what is published goes to the topic's log, and what the log brings goes to the
// home, on this host as on every other. So all hosts have one order, one epoch and the same offsets, and a home that is
// new, or was cut off, finds in the log what it needs.
//
// While the server is away, what is published here reaches the subscribers of this host alone, in an epoch of its own; it
// is counted, and no other host ever hears of it. Afterwards they go on where they left the others. Who subscribes to a
// topic that this host does not have yet waits.
import type { Bridge, LogPosition } from '../bridge/bridge.ts'
import type { Clock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import { errorFields, type LimitedLogger, type Logger } from '../observe/logger.ts'
import type { Cell } from '../observe/metrics.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { TopicDefinition } from './topic-definition.ts'
import type { TopicEntry } from './topic-entry.ts'
import type { Published, TopicEntryMaker } from './topic-entry-maker.ts'
import { TopicFollower } from './topic-follower.ts'
import type { TopicHome } from './topic-home.ts'
import { LOG_ENTRY_BYTES, logEntryHead, logLimitsOf, logOfTopic, packLogEntry } from './topic-log.ts'

/** Records that wait for a topic to begin, or for its history: of each relay one join and one pull. */
const PARKED_MAX = 1_024
const LOGGED_PER_SECOND = 5
const NOTHING = Buffer.alloc(0)

export interface TopicSpanOptions {
  readonly bridge: Pick<Bridge, 'append' | 'open' | 'read' | 'subscribe'>
  /** Whether topics of a kind span hosts. */
  readonly spans: (definition: TopicDefinition) => boolean
  /** Messages that no log took. */
  readonly unpublished: Cell
}

/** A topic, as it is known also without its home. */
export type SpannedTopic = Pick<TopicHome, 'name' | 'slot' | 'definition'>

/** What a relay asks, to be answered when the topic is there: its record, from a thread and for one of its feeds. */
export interface Question {
  readonly kind: number
  readonly source: number
  readonly feed: number
  readonly record: Buffer
}

/** What becomes of homes. */
export interface SpanEvents {
  /** The topic begins, or begins anew; undefined: there is no room for it. */
  began(topic: SpannedTopic, position: LogPosition): TopicHome | undefined
  /** It goes on without the other hosts, in an epoch of its own. */
  alone(home: TopicHome): TopicHome
  entry(home: TopicHome, entry: TopicEntry): void
  /** Entries up to this one are gone. */
  lost(home: TopicHome, to: number): void
  /** A record that was parked: its turn has come. */
  again(kind: number, slot: number, source: number, record: Buffer): void
}

export interface SpanSurroundings {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly log: Logger
  readonly maker: TopicEntryMaker
  /** 0 to 1, for the pauses before the log is asked again. */
  readonly random: () => number
}

interface Span extends SpannedTopic {
  follower: TopicFollower | undefined
  home: TopicHome | undefined
  /** By kind, thread and feed: a relay that asks again takes the place of its question. */
  readonly parked: Map<string, Question>
  /** Whether what is kept before the home began is in its history. */
  filled: 'no' | 'filling' | 'yes'
  /** The server is away, and somebody has published here meanwhile. */
  isAlone: boolean
  /** Appends that are not answered. */
  appends: number
}

export class TopicSpans {
  readonly #options: TopicSpanOptions
  readonly #around: SpanSurroundings
  readonly #events: SpanEvents
  readonly #appendFailed: LimitedLogger
  readonly #followFailed: LimitedLogger
  readonly #spans = new Map<string, Span>()
  readonly #bySlot = new Map<number, Set<Span>>()

  constructor(options: TopicSpanOptions, around: SpanSurroundings, events: SpanEvents) {
    this.#options = options
    this.#around = around
    this.#events = events
    this.#appendFailed = around.log.limited('topic.append_failed', LOGGED_PER_SECOND)
    this.#followFailed = around.log.limited('topic.follow_failed', LOGGED_PER_SECOND)
  }

  get size(): number {
    return this.#spans.size
  }

  spans(definition: TopicDefinition): boolean {
    return this.#options.spans(definition)
  }

  publish(name: string, definition: TopicDefinition, published: Published): void {
    const { clock, maker } = this.#around
    const { bridge, unpublished } = this.#options
    // What user code throws on is not published; the hosts make of it what they need when they have its offset.
    const span = this.#spans.get(name)
    const { epoch = 0, offset = 0 } = span?.home ?? {}
    if (definition.encode !== undefined) {
      if (maker.make({ name, definition, epoch }, offset + 1, 0, published) === undefined) return
    }
    const { form, keyBytes, bytes, start } = published
    const payload = packLogEntry(form, keyBytes, clock.wallMs(), bytes, start)
    // Behind appends that will be refused, too, it would come before what was published before it.
    if (span?.isAlone === true && span.appends === 0) {
      unpublished.value++
      this.#tellHere(span, payload)
      return
    }
    const after = epoch === 0 || span?.isAlone === true ? undefined : { epoch, offset }
    if (span !== undefined) span.appends++
    bridge.append({ log: logOfTopic(name), payload, ...logLimitsOf(definition), after }).then(
      () => {
        if (span !== undefined) span.appends--
      },
      (error: unknown) => {
        unpublished.value++
        this.#appendFailed.warn({ topic: name, ...errorFields(error) })
        if (span === undefined) return
        span.appends--
        // Of all other failures nobody knows whether it is in the log.
        const isAway = error instanceof PolyloopError && error.code === 'BRIDGE_DOWN'
        if (isAway && this.#spans.get(name) === span) this.#tellHere(span, payload)
      },
    )
  }

  /** Keeps a question until the topic's home is there. False: there is no room. */
  await(topic: SpannedTopic, question: Question): boolean {
    return park(this.#spans.get(topic.name) ?? this.#begin(topic), question)
  }

  /** Keeps a pull until what is kept before the home began is there. False: that is so already. */
  awaitHistory(home: TopicHome, question: Question): boolean {
    const span = this.#spans.get(home.name)
    if (span === undefined || span.filled === 'yes') return false
    park(span, question)
    if (span.filled === 'no') void this.#fill(span, home)
    return true
  }

  /** A home has come from another shard. */
  arrived(home: TopicHome): void {
    this.forget(home.name)
    this.#begin(home, home)
  }

  forget(name: string): void {
    const span = this.#spans.get(name)
    if (span === undefined) return
    span.follower?.close()
    this.#spans.delete(name)
    const inSlot = this.#bySlot.get(span.slot)
    inSlot?.delete(span)
    if (inSlot?.size === 0) this.#bySlot.delete(span.slot)
  }

  forgetSlot(slot: number): void {
    for (const { name } of [...(this.#bySlot.get(slot) ?? [])]) this.forget(name)
  }

  close(): void {
    for (const name of [...this.#spans.keys()]) this.forget(name)
  }

  #begin({ name, slot, definition }: SpannedTopic, home?: TopicHome): Span {
    const span: Span = {
      name,
      slot,
      definition,
      follower: undefined,
      home,
      parked: new Map(),
      filled: 'no',
      isAlone: false,
      appends: 0,
    }
    this.#spans.set(name, span)
    const inSlot = this.#bySlot.get(slot)
    if (inSlot === undefined) this.#bySlot.set(slot, new Set([span]))
    else inSlot.add(span)
    this.#follow(span, home, false)
    return span
  }

  #follow(span: Span, from: LogPosition | undefined, isReturning: boolean): void {
    const { bridge } = this.#options
    const { wheel, random } = this.#around
    const { name, definition } = span
    const { ttlSeconds } = logLimitsOf(definition)
    span.follower?.close()
    span.follower = new TopicFollower(
      { bridge, wheel, log: logOfTopic(name), ttlSeconds, random, from, isReturning },
      {
        began: (position) => this.#began(span, position),
        entry: (offset, payload) => this.#entry(span, offset, payload),
        lost: (to) => {
          span.filled = 'yes'
          if (span.home !== undefined) this.#events.lost(span.home, to)
        },
        failed: (error) => this.#failed(span, error),
      },
    )
  }

  /** To the subscribers of this host alone; when the server is back they go on where they left the others. */
  #tellHere(span: Span, payload: Buffer): void {
    if (span.home === undefined) return
    if (!span.isAlone) {
      span.isAlone = true
      span.filled = 'yes'
      const { epoch, offset } = span.home
      span.home = this.#events.alone(span.home)
      this.#follow(span, { epoch, offset }, true)
    }
    this.#events.entry(span.home, this.#entryOf(span.home, span.home.offset + 1, payload))
  }

  /** That the server is away the bridge says itself. */
  #failed({ name }: Span, error: unknown): void {
    const isExpected = error instanceof PolyloopError && error.retryable
    if (!isExpected) this.#followFailed.warn({ topic: name, ...errorFields(error) })
  }

  #began(span: Span, position: LogPosition): void {
    span.isAlone = false
    span.home = this.#events.began(span, position)
    span.filled = position.offset === 0 ? 'yes' : 'no'
    if (span.home === undefined) this.forget(span.name)
    else this.#unpark(span)
  }

  #unpark(span: Span): void {
    const parked = [...span.parked.values()]
    span.parked.clear()
    for (const { kind, source, record } of parked) this.#events.again(kind, span.slot, source, record)
  }

  #entry({ home }: Span, offset: number, payload: Buffer): void {
    if (home !== undefined) this.#events.entry(home, this.#entryOf(home, offset, payload))
  }

  #entryOf(home: TopicHome, offset: number, bytes: Buffer): TopicEntry {
    const { clock, maker } = this.#around
    const head = logEntryHead(bytes)
    const nowMs = clock.nowMs()
    // Clocks of hosts differ: what seems to come from the future is new.
    const atMs = head === undefined ? nowMs : nowMs - Math.max(0, clock.wallMs() - head.wallMs)
    const entry = head && maker.make(home, offset, atMs, { ...head, bytes, start: LOG_ENTRY_BYTES })
    // The offset is given: without a payload that means anything it is kept empty.
    return entry ?? { offset, atMs, text: true, keyBytes: 0, body: NOTHING }
  }

  /** Reads what is kept before the home began. */
  async #fill(span: Span, home: TopicHome): Promise<void> {
    span.filled = 'filling'
    const { clock } = this.#around
    const isSame = (): boolean => this.#spans.get(span.name) === span && span.home === home
    // Of a long log only so much as the home keeps.
    let kept = home.emptyHistory(0)
    const isThere = await span.follower?.history((offset, payload) => {
      if (!isSame()) return
      // What is before a hole is of no use.
      if (kept.last !== offset - 1) kept = home.emptyHistory(offset - 1)
      kept.append(this.#entryOf(home, offset, payload), clock.nowMs())
    })
    // Meanwhile it has gone, or begun anew: who waits asks again.
    if (!isSame()) return
    if (isThere !== true) {
      span.filled = 'no'
      return
    }
    span.filled = 'yes'
    home.fill(kept.all(), clock.nowMs())
    this.#unpark(span)
  }
}

function park({ parked }: Span, question: Question): boolean {
  const key = `${question.kind} ${question.source} ${question.feed}`
  if (parked.size >= PARKED_MAX && !parked.has(key)) return false
  parked.set(key, { ...question, record: Buffer.from(question.record) })
  return true
}
