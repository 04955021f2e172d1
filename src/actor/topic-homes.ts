// The homes of the topics whose slots a thread owns: handles what relays and publishers send them, and answers. Knows
// threads only by number and rings only as a function that sends; it never waits for anybody.
import type { LogPosition } from '../bridge/bridge.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../observe/logger.ts'
import { NO_TIMER, type TimerHandle, type TimerWheel } from '../timer/wheel.ts'
import type { ToThread } from './router.ts'
import { kindOfTopic, type TopicDefinition, topicDefinitionOf } from './topic-definition.ts'
import { packEntry, packedBytes, type TopicEntry } from './topic-entry.ts'
import { type Published, TopicEntryMaker } from './topic-entry-maker.ts'
import { TopicEpochs } from './topic-epoch.ts'
import type { FrozenTopic, Interest } from './topic-frozen.ts'
import { TopicHome } from './topic-home.ts'
import { TopicLaggards } from './topic-laggard.ts'
import { presentParts } from './topic-presence.ts'
import {
  ASK,
  ENTER,
  HERE,
  JOIN,
  JOINED,
  JOINED_AT,
  LEAVE,
  LOST,
  MESSAGE,
  nameEnd,
  PUBLISH,
  PULL,
  PULLED,
  RIGHT,
  readName,
  STRAY,
  TOPIC_HEAD_BYTES_MAX,
  TOPIC_RECORD,
} from './topic-record.ts'
import { type SpannedTopic, type TopicSpanOptions, TopicSpans } from './topic-span.ts'

export interface TopicHomesOptions {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly definitions: ReadonlyMap<string, TopicDefinition>
  /** To the relay of a thread. */
  readonly toThread: ToThread
  /** Which life of a thread is or was the last. Default: always 0. */
  readonly generationOf?: (thread: number) => number
  /** `topic.recentBytes` */
  readonly recentBytes: number
  /** `ring.messageMax`; the option's default if it is not given. */
  readonly messageBytesMax?: number
  /** 0 to below 1. */
  readonly random: () => number
  readonly log: Logger
  /** Undefined: no topic spans hosts. */
  readonly span?: TopicSpanOptions | undefined
  /** Default TOPICS_MAX. */
  readonly topicsMax?: number
}

export interface TopicHomesReport {
  readonly topics: number
  readonly interests: number
  readonly members: number
  readonly entries: number
  readonly bytes: number
  /** Relays that wait for messages because the way to them was full. */
  readonly behind: number
  /** Messages no relay was sent: nobody had subscribed, and their kind keeps nothing. */
  readonly unheard: number
  /** Joins and publishes refused because TOPICS_MAX was reached, members because PRESENCE_MEMBERS_MAX was. */
  readonly refused: number
}

/** Topics that live on one shard. A guess: some hundred bytes each. */
export const TOPICS_MAX = 200_000

/** Of one topic; later ones subscribe without being present. */
export const PRESENCE_MEMBERS_MAX = 10_000

const MESSAGE_BYTES_MAX = 1024 * 1024
const EMPTY = Buffer.alloc(0)
/** One answer to a pull: small beside a ring, so that it holds up nobody. At least one message. */
export const PULL_BYTES_MAX = 64 * 1024
export const PULL_COUNT_MAX = 256

/** The sweep looks at some topics each time: it must not hold up a turn. */
const SWEEP_MS = 250
const SWEEP_TOPICS = 2_000

export class TopicHomes {
  readonly #options: TopicHomesOptions
  readonly #clock: Clock
  readonly #maker: TopicEntryMaker
  readonly #spans: TopicSpans | undefined
  readonly #topicsMax: number
  readonly #homes = new Map<string, TopicHome>()
  readonly #bySlot = new Map<number, Set<TopicHome>>()
  /** When threads went down, on the clock of the process. */
  readonly #downMs = new Map<number, number>()
  /** Threads that went down and whose successors have not begun, with the generation there was then. */
  readonly #succeeding = new Map<number, number>()
  readonly #laggards: TopicLaggards
  readonly #epochs: TopicEpochs
  #sweepTimer: TimerHandle = NO_TIMER
  #sweep: Iterator<TopicHome> | undefined
  #unheard = 0
  #refused = 0
  /** Written anew for every record: what receives it may send in turn. */
  readonly #head = Buffer.alloc(TOPIC_HEAD_BYTES_MAX)

  constructor(options: TopicHomesOptions) {
    this.#options = options
    this.#clock = options.clock
    const { clock, wheel, log, span, random } = options
    this.#epochs = new TopicEpochs(clock, random)
    this.#topicsMax = options.topicsMax ?? TOPICS_MAX
    this.#maker = new TopicEntryMaker(options.messageBytesMax ?? MESSAGE_BYTES_MAX, log)
    this.#laggards = new TopicLaggards({
      clock,
      wheel,
      sendMessage: (...message) => this.#sendMessage(...message),
      sendLost: (...lost) => this.#sendLost(...lost),
    })
    if (span !== undefined) {
      this.#spans = new TopicSpans(
        span,
        { clock, wheel, log, random, maker: this.#maker },
        {
          began: (...life) => this.#began(...life),
          alone: (home) => this.#began(home, { epoch: this.#epochs.next(), offset: 0 }),
          entry: (home, entry) => this.#append(home, entry),
          lost: (home, to) => this.#skip(home, to),
          again: (...record) => this.receive(...record),
        },
      )
    }
  }

  /** A record of `isForHome` for a slot this thread owns; it begins with the slot and is valid only during the call. */
  receive(kind: number, slot: number, source: number, record: Buffer): void {
    if (kind === TOPIC_RECORD.publish) this.#publish(slot, record)
    else if (kind === TOPIC_RECORD.join) this.#join(slot, source, record)
    else if (kind === TOPIC_RECORD.leave) this.#leave(source, record)
    else if (kind === TOPIC_RECORD.pull) this.#pull(source, record)
    else if (kind === TOPIC_RECORD.enter) this.#enter(source, record)
    else if (kind === TOPIC_RECORD.exit || kind === TOPIC_RECORD.depart) this.#goes(kind, source, record)
    else if (kind === TOPIC_RECORD.ask) this.#ask(source, record)
    else if (kind === TOPIC_RECORD.stray) this.#stray(slot, source, record)
  }

  /** Names of the topics that live here in this slot. */
  topicsIn(slot: number): string[] {
    return [...(this.#bySlot.get(slot) ?? [])].map((home) => home.name)
  }

  /** Takes the topics of a slot away from here. */
  freezeSlot(slot: number): FrozenTopic[] {
    const homes = [...(this.#bySlot.get(slot) ?? [])]
    for (const home of homes) this.#forget(home)
    this.#spans?.forgetSlot(slot)
    return homes.map((home) => home.freeze(this.#clock.nowMs(), this.#spans?.spans(home.definition)))
  }

  /** Goes on with topics that another thread froze, and tells their relays where they are now. */
  thaw(topics: readonly FrozenTopic[]): void {
    for (const frozen of topics) {
      const definition = this.#definitionOf(frozen.name)
      if (definition === undefined) continue
      const home = TopicHome.thaw(frozen, definition, this.#options.recentBytes, this.#clock.nowMs())
      // At once is late enough: it may have gone down before it was frozen, and then nothing of it is in here.
      for (const [thread, atMs] of this.#downMs) if (atMs >= frozen.frozenMs) home.drop(thread)
      for (const thread of home.threads()) home.drop(thread, this.#generationOf(thread))
      const before = this.#homes.get(home.name)
      if (before !== undefined) this.#forget(before)
      this.#remember(home)
      if (this.#spans?.spans(definition) === true) this.#spans.arrived(home)
      else if (frozen.isShared === true) {
        // Its kind has another scope by now: others go on with that epoch, and other messages under its offsets.
        this.#began(home, { epoch: this.#epochs.next(), offset: 0 })
        continue
      }
      for (const interest of [...home.interests]) {
        if (interest.behindFrom !== 0) this.#laggards.add(home)
        this.#sendHere(home, interest)
      }
    }
  }

  /** Call it before a successor of the thread may send: its interest and its members are dropped. */
  threadDown(thread: number): void {
    this.#downMs.set(thread, this.#clock.nowMs())
    this.#succeeding.set(thread, this.#generationOf(thread))
    for (const home of this.#homes.values()) home.drop(thread)
  }

  report(): TopicHomesReport {
    const sums = { interests: 0, members: 0, entries: 0, bytes: 0 }
    for (const { interests, members, history } of this.#homes.values()) {
      sums.interests += interests.length
      sums.members += members.size
      sums.entries += history.size
      sums.bytes += history.bytes
    }
    return {
      topics: this.#homes.size,
      ...sums,
      behind: this.#laggards.size,
      unheard: this.#unheard,
      refused: this.#refused,
    }
  }

  close(): void {
    this.#spans?.close()
    this.#laggards.close()
    this.#options.wheel.cancel(this.#sweepTimer)
  }

  // ---- messages ---------------------------------------------------------------------------------------------------

  /** A message that nobody gets and nobody could ask for later needs no topic, and need not be made: it is counted. */
  isUnheard(name: string, definition: TopicDefinition): boolean {
    if (this.#homes.has(name) || definition.history !== undefined || this.#spans?.spans(definition) === true)
      return false
    this.#unheard++
    return true
  }

  #publish(slot: number, record: Buffer): void {
    const nameStop = nameEnd(record, PUBLISH.nameBytes, PUBLISH.name)
    const name = record.toString('utf8', PUBLISH.name, nameStop)
    const definition = this.#definitionOf(name)
    if (definition === undefined) return
    const published: Published = {
      form: record[PUBLISH.form] as number,
      keyBytes: record.readUInt16LE(PUBLISH.keyBytes),
      bytes: record,
      start: nameStop,
    }
    if (this.#spans?.spans(definition) === true) {
      this.#spans.publish(name, definition, published)
      return
    }
    if (this.isUnheard(name, definition)) return
    const home = this.#homes.get(name) ?? this.#create(name, slot, definition)
    if (home === undefined) return
    const entry = this.#maker.make(home, home.offset + 1, this.#clock.nowMs(), published)
    if (entry !== undefined) this.#append(home, entry)
  }

  #append(home: TopicHome, entry: TopicEntry): void {
    const nowMs = this.#clock.nowMs()
    home.activeMs = nowMs
    home.history.append(entry, nowMs)
    // Backwards: a relay of this very thread that has left may take its interest away meanwhile.
    for (let index = home.interests.length - 1; index >= 0; index--) {
      const interest = home.interests[index] as Interest
      if (interest.behindFrom !== 0 || this.#sendMessage(home, interest, entry)) continue
      interest.behindFrom = entry.offset
      this.#laggards.add(home)
    }
  }

  #sendMessage(home: TopicHome, interest: Interest, entry: TopicEntry): boolean {
    const head = this.#head
    head.writeUInt32LE(interest.feed, MESSAGE.feed)
    head.writeUInt16LE(home.slot, MESSAGE.slot)
    head.writeUInt16LE(entry.keyBytes, MESSAGE.keyBytes)
    head.writeDoubleLE(home.epoch, MESSAGE.epoch)
    head.writeDoubleLE(entry.offset, MESSAGE.offset)
    head[MESSAGE.text] = entry.text ? 1 : 0
    const { body } = entry
    return this.#options.toThread(interest.thread, TOPIC_RECORD.message, head, MESSAGE.key, body, 0, body.length)
  }

  #sendLost(home: TopicHome, interest: Interest, to: number): boolean {
    const head = this.#head
    head.writeUInt32LE(interest.feed, LOST.feed)
    head.writeDoubleLE(home.epoch, LOST.epoch)
    head.writeDoubleLE(interest.behindFrom, LOST.from)
    head.writeDoubleLE(to, LOST.to)
    return this.#options.toThread(interest.thread, TOPIC_RECORD.lost, head, LOST.end)
  }

  // ---- relays -----------------------------------------------------------------------------------------------------

  #join(slot: number, source: number, record: Buffer): void {
    const name = readName(record, JOIN.nameBytes, JOIN.name)
    const generation = record.readUInt16LE(JOIN.generation)
    if (generation !== this.#generationOf(source)) return
    const definition = this.#definitionOf(name)
    const feed = record.readUInt32LE(JOIN.feed)
    let home = this.#homes.get(name)
    if (home === undefined && definition !== undefined) {
      if (this.#spans?.spans(definition) !== true) home = this.#create(name, slot, definition)
      // Without room it is refused, like any topic too many.
      else if (this.#spans.size < this.#topicsMax) {
        this.#spans.await({ name, slot, definition }, { kind: TOPIC_RECORD.join, source, record, feed })
        return
      } else this.#refused++
    }
    const isFresh = home?.join(source, generation, feed)
    const start = home?.startOf(source) ?? 0
    if (home !== undefined) home.activeMs = this.#clock.nowMs()
    if (home !== undefined && start < home.offset) this.#laggards.add(home)
    const head = this.#head
    head.writeUInt32LE(feed, JOINED_AT.feed)
    head.writeUInt32LE(record.readUInt32LE(JOIN.request), JOINED_AT.request)
    head.writeDoubleLE(home?.epoch ?? 0, JOINED_AT.epoch)
    head.writeDoubleLE(start, JOINED_AT.offset)
    head[JOINED_AT.outcome] = isFresh === undefined ? JOINED.refused : isFresh ? JOINED.fresh : JOINED.known
    // If there is no room the relay asks again.
    this.#options.toThread(source, TOPIC_RECORD.joined, head, JOINED_AT.end)
  }

  #leave(source: number, record: Buffer): void {
    this.#homes.get(readName(record, LEAVE.nameBytes, LEAVE.name))?.leave(source, record.readUInt32LE(LEAVE.feed))
  }

  #sendHere(home: TopicHome, interest: Interest): void {
    const head = this.#head
    head.writeUInt32LE(interest.feed, HERE.feed)
    head.writeUInt32LE(home.slot, HERE.slot)
    head.writeDoubleLE(home.epoch, HERE.epoch)
    head.writeDoubleLE(home.offset, HERE.offset)
    // If there is no room the relay finds out by its next join.
    this.#options.toThread(interest.thread, TOPIC_RECORD.here, head, HERE.end)
  }

  /** A relay got something of a topic it has left: the leave was lost with a thread, or is on its way. */
  #stray(slot: number, source: number, record: Buffer): void {
    const epoch = record.readDoubleLE(STRAY.epoch)
    for (const home of this.#bySlot.get(slot) ?? []) {
      if (home.epoch === epoch) home.leave(source, record.readUInt32LE(STRAY.feed))
    }
  }

  #pull(source: number, record: Buffer): void {
    const home = this.#homes.get(readName(record, PULL.nameBytes, PULL.name))
    if (home !== undefined && this.#awaitsHistory(home, source, record)) return
    const right = record[PULL.right] === RIGHT.repair ? RIGHT.repair : RIGHT.history
    // With another epoch the relay sees that it asked for what is no more.
    const isSame = home !== undefined && home.epoch === record.readDoubleLE(PULL.epoch)
    const kept = home?.history.first(right, this.#clock.nowMs()) ?? 1
    const first = Math.max(kept, record.readDoubleLE(PULL.after) + 1)
    const answer = isSame ? this.#entriesFrom(home, first) : EMPTY
    const head = this.#head
    head.writeUInt32LE(record.readUInt32LE(PULL.feed), PULLED.feed)
    head.writeUInt32LE(record.readUInt32LE(PULL.request), PULLED.request)
    head.writeDoubleLE(home?.epoch ?? 0, PULLED.epoch)
    head.writeDoubleLE(first, PULLED.first)
    head.writeDoubleLE(home?.offset ?? 0, PULLED.offset)
    head[PULLED.right] = right
    this.#options.toThread(source, TOPIC_RECORD.pulled, head, PULLED.entries, answer, 0, answer.length)
  }

  /** It asks for what is before this home, and may be kept elsewhere. */
  #awaitsHistory(home: TopicHome, source: number, record: Buffer): boolean {
    if (this.#spans === undefined || home.epoch !== record.readDoubleLE(PULL.epoch)) return false
    const first = home.history.first(RIGHT.repair, this.#clock.nowMs())
    if (record.readDoubleLE(PULL.after) + 1 >= first) return false
    const feed = record.readUInt32LE(PULL.feed)
    return this.#spans.awaitHistory(home, { kind: TOPIC_RECORD.pull, source, record, feed })
  }

  #entriesFrom(home: TopicHome, first: number): Buffer {
    let bytes = 0
    let stop = first
    for (; stop < first + PULL_COUNT_MAX; stop++) {
      const entry = home.history.get(stop)
      if (entry === undefined || (stop > first && bytes + packedBytes(entry) > PULL_BYTES_MAX)) break
      bytes += packedBytes(entry)
    }
    const answer = Buffer.allocUnsafe(bytes)
    let at = 0
    for (let offset = first; offset < stop; offset++) at = packEntry(answer, at, home.history.get(offset) as TopicEntry)
    return answer
  }

  // ---- presence ---------------------------------------------------------------------------------------------------

  #enter(source: number, record: Buffer): void {
    const stop = nameEnd(record, ENTER.nameBytes, ENTER.name)
    const home = this.#homes.get(record.toString('utf8', ENTER.name, stop))
    const generation = record.readUInt16LE(ENTER.generation)
    if (home === undefined || generation !== this.#generationOf(source)) return
    const member = record.readDoubleLE(ENTER.member)
    if (home.members.size >= PRESENCE_MEMBERS_MAX && !home.members.has(member)) this.#refused++
    else home.enter(member, source, generation, Uint8Array.from(record.subarray(stop)))
  }

  #goes(kind: number, source: number, record: Buffer): void {
    const home = this.#homes.get(readName(record, ENTER.nameBytes, ENTER.name))
    const member = record.readDoubleLE(ENTER.member)
    if (kind === TOPIC_RECORD.exit) home?.exit(member, source)
    else home?.depart(member, source, this.#clock.nowMs())
  }

  #ask(source: number, record: Buffer): void {
    const request = record.readUInt32LE(ASK.request)
    const members = this.#homes.get(readName(record, ASK.nameBytes, ASK.name))?.members
    for (const part of presentParts(request, [...(members?.values() ?? [])])) {
      // Without room the asker's deadline ends it.
      if (!this.#options.toThread(source, TOPIC_RECORD.present, part, part.length)) return
    }
  }

  #generationOf(thread: number): number {
    return (this.#options.generationOf?.(thread) ?? 0) & 0xffff
  }

  /** What a dead thread left in its rings may have come between its end and its successor's begin. */
  #dropPredecessors(): void {
    for (const [thread, before] of this.#succeeding) {
      const generation = this.#generationOf(thread)
      if (generation === before) continue
      this.#succeeding.delete(thread)
      for (const home of this.#homes.values()) home.drop(thread, generation)
    }
  }

  // ---- lives ------------------------------------------------------------------------------------------------------

  #definitionOf(name: string): TopicDefinition | undefined {
    const kind = kindOfTopic(name)
    return kind === undefined ? undefined : topicDefinitionOf(this.#options.definitions, kind)
  }

  #create(name: string, slot: number, definition: TopicDefinition): TopicHome | undefined {
    if (this.#homes.size >= this.#topicsMax) {
      this.#refused++
      return undefined
    }
    const life = { epoch: this.#epochs.next(), offset: 0, activeMs: this.#clock.nowMs() }
    const home = new TopicHome(name, slot, definition, life, this.#options.recentBytes)
    this.#remember(home)
    return home
  }

  /** A topic that spans hosts begins here, or begins anew. */
  #began({ name, slot, definition }: SpannedTopic, { epoch, offset }: LogPosition): TopicHome {
    const before = this.#homes.get(name)
    const life = { epoch, offset, activeMs: this.#clock.nowMs() }
    const home = new TopicHome(name, slot, definition, life, this.#options.recentBytes)
    if (before !== undefined) {
      home.inherit(before)
      this.#forget(before)
    }
    this.#remember(home)
    for (const interest of [...home.interests]) this.#sendHere(home, interest)
    return home
  }

  #skip(home: TopicHome, to: number): void {
    home.skipTo(to)
    this.#laggards.add(home)
  }

  #remember(home: TopicHome): void {
    this.#homes.set(home.name, home)
    const inSlot = this.#bySlot.get(home.slot)
    if (inSlot === undefined) this.#bySlot.set(home.slot, new Set([home]))
    else inSlot.add(home)
    const { wheel } = this.#options
    if (wheel.remainingMs(this.#sweepTimer) === undefined)
      this.#sweepTimer = wheel.schedule(SWEEP_MS, () => this.#onSweep())
  }

  #forget(home: TopicHome): void {
    this.#homes.delete(home.name)
    this.#laggards.delete(home)
    const inSlot = this.#bySlot.get(home.slot)
    inSlot?.delete(home)
    if (inSlot?.size === 0) this.#bySlot.delete(home.slot)
  }

  /** Lets go of messages that are too old, and of topics that nobody uses. */
  #onSweep(): void {
    const nowMs = this.#clock.nowMs()
    this.#dropPredecessors()
    this.#sweep ??= this.#homes.values()
    for (let looked = 0; looked < SWEEP_TOPICS; looked++) {
      const next = this.#sweep.next()
      if (next.done === true) {
        this.#sweep = undefined
        break
      }
      next.value.history.trim(nowMs)
      next.value.expire(nowMs)
      const isSpanning = this.#spans?.spans(next.value.definition) === true
      if (!next.value.isIdle(nowMs, isSpanning)) continue
      this.#forget(next.value)
      if (isSpanning) this.#spans?.forget(next.value.name)
    }
    if (this.#homes.size > 0) this.#options.wheel.rearm(this.#sweepTimer, SWEEP_MS)
  }
}
