// Sees to it that feeds get what they ask their homes for: joins and pulls that are not answered are sent again, holes
// are repaired, slow subscribers are looked after, and records that found no room wait for their turn. One timer, which
// runs only while something waits.
import type { Clock } from '../lib/clock.ts'
import type { LimitedLogger, Logger } from '../observe/logger.ts'
import { NO_TIMER, type TimerHandle, type TimerWheel } from '../timer/wheel.ts'
import type { Route } from './router.ts'
import type { TopicAddress, TopicInquiry } from './topic-inquiry.ts'
import { ASK, ENTER, JOIN, LEAVE, PULL, STRAY, TOPIC_HEAD_BYTES_MAX, TOPIC_RECORD, writeName } from './topic-record.ts'

export interface TopicTenderOptions {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly route: Route
  /** Which life of its thread this is. Default 0. */
  readonly generation?: number
  readonly log: Logger
}

const TICK_MS = 50
/** A ring's way there and back takes far less; a home on its way to another shard holds for some ten milliseconds. */
const ANSWER_MS = 1_000
/** Records from a home that has moved may come so late, by another ring. */
const HOLE_MS = 1_000
/** After a crash all topics join again: so many in a tick, 5,000 a second. */
const JOINS_PER_TICK = 250
/** Pulls of all topics of a shard that are under way. */
const PULLS_MAX = 32
/** A topic that hears nothing for so long asks whether its home still knows it. */
const AUDIT_MS = 15_000
/** Leaves and changes of presence that wait for room. More would mean that no ring has moved for long. */
const WAITING_MAX = 65_536

interface WaitingRecord {
  readonly slot: number
  readonly kind: number
  readonly bytes: Buffer
}

export class TopicTender {
  readonly #options: TopicTenderOptions
  readonly #all: ReadonlyMap<string, TopicInquiry>
  readonly #busy = new Set<TopicInquiry>()
  /** Want to pull when others have their answer; in the order they came. */
  readonly #pullsWanted = new Set<TopicInquiry>()
  #waiting: WaitingRecord[] = []
  readonly #generation: number
  readonly #dropped: LimitedLogger
  #tickTimer: TimerHandle = NO_TIMER
  #auditTimer: TimerHandle = NO_TIMER
  #pulls = 0
  #lastRequest = 0
  #joinsLeft = JOINS_PER_TICK
  /** Rounds of the audit so far. */
  audits = 0
  readonly #head = Buffer.alloc(TOPIC_HEAD_BYTES_MAX)

  constructor(options: TopicTenderOptions, all: ReadonlyMap<string, TopicInquiry>) {
    this.#options = options
    this.#generation = (options.generation ?? 0) & 0xffff
    this.#all = all
    this.#dropped = options.log.limited('topic.records_dropped', 1)
  }

  get busy(): number {
    return this.#busy.size
  }

  get pulls(): number {
    return this.#pulls
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Something may be to be done for it, now and later. */
  tend(inquiry: TopicInquiry): void {
    if (this.#all.get(inquiry.feed.name) !== inquiry) return
    this.#pull(inquiry)
    this.#busy.add(inquiry)
    this.#tickSoon()
  }

  join(inquiry: TopicInquiry): void {
    this.#sendJoin(inquiry)
    inquiry.heard = this.audits
    this.#busy.add(inquiry)
    this.#tickSoon()
    const { wheel } = this.#options
    if (this.#auditTimer === NO_TIMER) this.#auditTimer = wheel.schedule(AUDIT_MS, () => this.#audit())
  }

  /** Asks whether the home still knows this relay, in its turn. */
  joinSoon(inquiry: TopicInquiry): void {
    if (inquiry.joinDueMs !== Infinity) return
    inquiry.joinDueMs = 0
    this.#busy.add(inquiry)
    this.#tickSoon()
  }

  /** The feed has no subscribers any more. */
  leave(inquiry: TopicInquiry): void {
    this.endPull(inquiry)
    this.#busy.delete(inquiry)
    this.#pullsWanted.delete(inquiry)
    const { feed } = inquiry
    const head = Buffer.alloc(LEAVE.name + feed.address.name.length)
    head.writeUInt32LE(feed.number, LEAVE.feed)
    writeName(head, LEAVE.nameBytes, LEAVE.name, feed.address.name)
    this.#sendSurely(feed.address.slot, TOPIC_RECORD.leave, head)
  }

  /** The answer to its pull has come, or is not wanted any more. */
  endPull(inquiry: TopicInquiry): void {
    if (inquiry.pullRequest === 0) return
    inquiry.pullRequest = 0
    inquiry.feed.pulling = undefined
    this.#pulls--
    for (const next of this.#pullsWanted) {
      if (this.#pulls >= PULLS_MAX) break
      this.#pullsWanted.delete(next)
      this.#pull(next)
    }
  }

  sendEnter(address: TopicAddress, member: number, presence: string): void {
    const info = Buffer.from(presence)
    const head = Buffer.alloc(ENTER.name + address.name.length + info.length)
    head.writeDoubleLE(member, ENTER.member)
    head.writeUInt16LE(this.#generation, ENTER.generation)
    info.copy(head, writeName(head, ENTER.nameBytes, ENTER.name, address.name))
    this.#sendSurely(address.slot, TOPIC_RECORD.enter, head)
  }

  /** It is gone, or moves to another shard. */
  sendExit(address: TopicAddress, member: number, kind: typeof TOPIC_RECORD.exit | typeof TOPIC_RECORD.depart): void {
    const head = Buffer.alloc(ENTER.name + address.name.length)
    head.writeDoubleLE(member, ENTER.member)
    writeName(head, ENTER.nameBytes, ENTER.name, address.name)
    this.#sendSurely(address.slot, kind, head)
  }

  sendAsk(address: TopicAddress, request: number): boolean {
    const head = this.#headFor(address.slot)
    head.writeUInt32LE(request, ASK.request)
    const bytes = writeName(head, ASK.nameBytes, ASK.name, address.name)
    return this.#options.route(address.slot, TOPIC_RECORD.ask, head, bytes)
  }

  /** If there is no room the next message brings it up again. */
  sendStray(number: number, slot: number, epoch: number): void {
    const head = this.#headFor(slot)
    head.writeUInt32LE(number, STRAY.feed)
    head.writeDoubleLE(epoch, STRAY.epoch)
    this.#options.route(slot, TOPIC_RECORD.stray, head, STRAY.end)
  }

  close(): void {
    this.#options.wheel.cancel(this.#tickTimer)
    this.#options.wheel.cancel(this.#auditTimer)
    this.#busy.clear()
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  #headFor(slot: number): Buffer {
    this.#head.writeUInt16LE(slot, 0)
    this.#head.writeUInt16LE(0, 2)
    return this.#head
  }

  #tickSoon(): void {
    if (this.#tickTimer === NO_TIMER) this.#tickTimer = this.#options.wheel.schedule(TICK_MS, () => this.#tick())
  }

  #tick(): void {
    this.#joinsLeft = JOINS_PER_TICK
    this.#sendWaiting()
    const nowMs = this.#options.clock.nowMs()
    for (const inquiry of this.#busy) {
      this.#tendNow(inquiry, nowMs)
      if (!isBusy(inquiry)) this.#busy.delete(inquiry)
    }
    if (this.#busy.size + this.#waiting.length > 0) this.#options.wheel.rearm(this.#tickTimer, TICK_MS)
    else this.#tickTimer = NO_TIMER
  }

  #tendNow(inquiry: TopicInquiry, nowMs: number): void {
    const { feed } = inquiry
    if (nowMs >= inquiry.joinDueMs && this.#joinsLeft > 0) {
      this.#joinsLeft--
      this.#sendJoin(inquiry)
    }
    if (!feed.live) return
    if (!feed.stream.hasHole) {
      inquiry.holeSinceMs = 0
      feed.repairing = false
    } else if (inquiry.holeSinceMs === 0) inquiry.holeSinceMs = nowMs
    else if (nowMs - inquiry.holeSinceMs >= HOLE_MS) feed.repairing = true
    if (inquiry.pullRequest !== 0 && nowMs >= inquiry.pullDueMs) this.endPull(inquiry)
    for (const subscriber of [...feed.apart]) if (subscriber.slow) feed.drain(subscriber)
    this.#pull(inquiry)
  }

  #sendJoin(inquiry: TopicInquiry): void {
    const { feed } = inquiry
    const head = this.#headFor(feed.address.slot)
    const request = this.#nextRequest()
    inquiry.joinRequest = request
    inquiry.joinDueMs = this.#options.clock.nowMs() + ANSWER_MS
    head.writeUInt32LE(feed.number, JOIN.feed)
    head.writeUInt32LE(request, JOIN.request)
    head.writeUInt16LE(this.#generation, JOIN.generation)
    const bytes = writeName(head, JOIN.nameBytes, JOIN.name, feed.address.name)
    // Without room it is as if the answer were lost. The answer may come before this returns.
    this.#options.route(feed.address.slot, TOPIC_RECORD.join, head, bytes)
  }

  #pull(inquiry: TopicInquiry): void {
    const { feed } = inquiry
    if (!feed.live || inquiry.pullRequest !== 0) return
    const need = feed.nextPull()
    if (need === undefined) return
    if (this.#pulls >= PULLS_MAX) {
      this.#pullsWanted.add(inquiry)
      return
    }
    const head = this.#headFor(feed.address.slot)
    const request = this.#nextRequest()
    this.#pulls++
    inquiry.pullRequest = request
    inquiry.pullDueMs = this.#options.clock.nowMs() + ANSWER_MS
    feed.pulling = need
    head.writeUInt32LE(feed.number, PULL.feed)
    head.writeUInt32LE(request, PULL.request)
    head.writeDoubleLE(feed.epoch, PULL.epoch)
    head.writeDoubleLE(need.after, PULL.after)
    head[PULL.right] = need.right
    const bytes = writeName(head, PULL.nameBytes, PULL.name, feed.address.name)
    const isSent = this.#options.route(feed.address.slot, TOPIC_RECORD.pull, head, bytes)
    // Once more with the next tick; the answer may have come by now, and another pull be under way.
    if (!isSent && inquiry.pullRequest === request) inquiry.pullDueMs = 0
  }

  /** For what nobody would ask again: in order, and when there is room. */
  #sendSurely(slot: number, kind: number, record: Buffer): void {
    record.writeUInt16LE(slot, 0)
    if (this.#waiting.length === 0 && this.#options.route(slot, kind, record, record.length)) return
    if (this.#waiting.length >= WAITING_MAX) {
      this.#dropped.error({ waiting: WAITING_MAX })
      return
    }
    this.#waiting.push({ slot, kind, bytes: record })
    this.#tickSoon()
  }

  #sendWaiting(): void {
    let sent = 0
    for (const { slot, kind, bytes } of this.#waiting) {
      if (!this.#options.route(slot, kind, bytes, bytes.length)) break
      sent++
    }
    if (sent > 0) this.#waiting = this.#waiting.slice(sent)
  }

  #audit(): void {
    for (const inquiry of this.#all.values()) if (inquiry.heard < this.audits) this.joinSoon(inquiry)
    this.audits++
    if (this.#all.size > 0) this.#options.wheel.rearm(this.#auditTimer, AUDIT_MS)
    else this.#auditTimer = NO_TIMER
  }

  /** Never 0, which names no request. */
  #nextRequest(): number {
    this.#lastRequest = this.#lastRequest >= 0xffff_ffff ? 1 : this.#lastRequest + 1
    return this.#lastRequest
  }
}

function isBusy(inquiry: TopicInquiry): boolean {
  const { feed } = inquiry
  return inquiry.joinDueMs !== Infinity || inquiry.pullRequest !== 0 || feed.stream.hasHole || feed.apart.length > 0
}
