// One topic where it lives: it gives each message its offset and knows what is kept, which threads want it and who is
// present. Plain state; topic-homes.ts handles the records.
import type { TopicDefinition } from './topic-definition.ts'
import { packEntries, type TopicEntry, unpackEntries } from './topic-entry.ts'
import type { FrozenTopic, Interest, Life, Member } from './topic-frozen.ts'
import { TopicHistory } from './topic-history.ts'

/** A connection arrives within milliseconds, or not at all. */
export const TRAVEL_MS = 10_000

export class TopicHome {
  readonly name: string
  readonly slot: number
  readonly epoch: number
  readonly definition: TopicDefinition
  history: TopicHistory
  readonly #recentBytes: number
  /** In an array: it is walked for every message, and short. */
  readonly interests: Interest[] = []
  readonly members = new Map<number, Member>()
  /** Members on their way from shard to shard. */
  readonly #travelling = new Set<number>()
  /** When it was last of use to anybody. */
  activeMs: number

  constructor(
    name: string,
    slot: number,
    definition: TopicDefinition,
    life: { readonly epoch: number; readonly offset: number; readonly activeMs: number },
    recentBytes: number,
  ) {
    this.name = name
    this.slot = slot
    this.epoch = life.epoch
    this.definition = definition
    this.#recentBytes = recentBytes
    this.history = new TopicHistory(definition.history, recentBytes, life.offset)
    this.activeMs = life.activeMs
  }

  /** Of the last message. */
  get offset(): number {
    return this.history.last
  }

  /** What it would keep behind this offset. */
  emptyHistory(last: number): TopicHistory {
    return new TopicHistory(this.definition.history, this.#recentBytes, last)
  }

  /** Puts entries, without holes, before those there are; they overlap, or meet. */
  fill(before: readonly TopicEntry[], nowMs: number): void {
    const kept = this.history.all()
    const from = (kept[0]?.offset ?? this.offset + 1) - 1
    const first = before.findIndex(({ offset }) => offset > from)
    const older = first < 0 ? before : before.slice(0, first)
    if (older.at(-1)?.offset !== from) return
    this.history = this.emptyHistory((older[0] as TopicEntry).offset - 1)
    for (const entry of [...older, ...kept]) this.history.append(entry, nowMs)
  }

  /** Goes on behind `to`: what is before is lost. */
  skipTo(to: number): void {
    for (const interest of this.interests) if (interest.behindFrom === 0) interest.behindFrom = this.offset + 1
    this.history = this.emptyHistory(to)
  }

  /** Takes over whoever another life of the topic had. */
  inherit(before: TopicHome): void {
    const behindFrom = this.offset + 1
    for (const interest of before.interests) this.interests.push({ ...interest, behindFrom, isJoining: true })
    for (const [id, member] of before.members) this.members.set(id, member)
    for (const id of before.#travelling) this.#travelling.add(id)
  }

  /** Answers whether the thread was not known, or knew the topic by another number. */
  join(thread: number, generation: number, feed: number): boolean {
    const known = this.interests.findIndex((interest) => interest.thread === thread)
    if (known >= 0 && this.interests[known]?.feed === feed) return false
    const interest = { thread, generation, feed, behindFrom: 0 }
    if (known >= 0) this.interests[known] = interest
    else this.interests.push(interest)
    return true
  }

  /** The offset from which on a relay that has joined gets everything. */
  startOf(thread: number): number {
    const interest = this.interests.find((one) => one.thread === thread)
    if (interest?.isJoining !== true) return this.offset
    interest.isJoining = false
    const start = interest.behindFrom - 1
    if (start === this.offset) interest.behindFrom = 0
    return start
  }

  leave(thread: number, feed: number): void {
    const index = this.interests.findIndex((interest) => interest.thread === thread && interest.feed === feed)
    if (index >= 0) this.interests.splice(index, 1)
  }

  /** Those that anything is known of. */
  threads(): Set<number> {
    const lives = [...this.interests, ...[...this.members.values()].flatMap(({ places }) => places)]
    return new Set(lives.map(({ thread }) => thread))
  }

  /** Drops what there is of a thread; with `except` only of its other lives. */
  drop(thread: number, except?: number): void {
    const isDropped = (life: Life): boolean => life.thread === thread && life.generation !== except
    for (let index = this.interests.length - 1; index >= 0; index--) {
      if (isDropped(this.interests[index] as Interest)) this.interests.splice(index, 1)
    }
    for (const [id, { places }] of this.members) if (places.some(isDropped)) this.exit(id, thread)
  }

  /** The connection `id` is on this thread now. */
  enter(id: number, thread: number, generation: number, info: Uint8Array): void {
    const member = this.members.get(id)
    if (member === undefined) {
      this.members.set(id, { places: [{ thread, generation }], travellingMs: 0, info })
      return
    }
    if (!member.places.some((place) => place.thread === thread)) member.places.push({ thread, generation })
    member.info = info
    member.travellingMs = 0
    this.#travelling.delete(id)
  }

  /** The connection is gone, as far as this thread knows. */
  exit(id: number, thread: number): void {
    if (this.#release(id, thread)) this.members.delete(id)
  }

  /** The connection has left this thread for another one: it stays present meanwhile. */
  depart(id: number, thread: number, nowMs: number): void {
    const member = this.members.get(id)
    if (member === undefined || !this.#release(id, thread)) return
    member.travellingMs = nowMs
    this.#travelling.add(id)
  }

  /** Answers whether no thread has it any more. */
  #release(id: number, thread: number): boolean {
    const places = this.members.get(id)?.places ?? []
    const index = places.findIndex((place) => place.thread === thread)
    if (index < 0) return false
    places.splice(index, 1)
    return places.length === 0
  }

  /** Forgets members that have not arrived anywhere. */
  expire(nowMs: number): void {
    for (const id of this.#travelling) {
      const sinceMs = this.members.get(id)?.travellingMs ?? 0
      if (sinceMs !== 0 && nowMs - sinceMs < TRAVEL_MS) continue
      this.#travelling.delete(id)
      if (sinceMs !== 0) this.members.delete(id)
    }
  }

  /** Whether nobody would notice if it were forgotten. `isKept`: its history lies elsewhere, too. */
  isIdle(nowMs: number, isKept = false): boolean {
    return (
      this.interests.length === 0 &&
      this.members.size === 0 &&
      nowMs - this.activeMs >= this.definition.idleAfterMs &&
      (isKept || !this.history.hasHistory(nowMs))
    )
  }

  freeze(nowMs: number, isShared = false): FrozenTopic {
    this.history.trim(nowMs)
    return {
      name: this.name,
      slot: this.slot,
      epoch: this.epoch,
      offset: this.offset,
      isShared,
      activeMs: this.activeMs,
      frozenMs: nowMs,
      entries: packEntries(this.history.all()),
      interests: this.interests.map((interest) => ({ ...interest })),
      members: [...this.members].map(([id, { places, travellingMs, info }]) => ({
        id,
        places: [...places],
        travellingMs,
        info: Uint8Array.from(info),
      })),
    }
  }

  static thaw(frozen: FrozenTopic, definition: TopicDefinition, recentBytes: number, nowMs: number): TopicHome {
    const entries = unpackEntries(frozen.entries)
    const life = { epoch: frozen.epoch, offset: frozen.offset - entries.length, activeMs: frozen.activeMs }
    const home = new TopicHome(frozen.name, frozen.slot, definition, life, recentBytes)
    for (const entry of entries) home.history.append(entry, nowMs)
    for (const interest of frozen.interests) home.interests.push({ ...interest })
    for (const { id, places, travellingMs, info } of frozen.members) {
      home.members.set(id, { places: [...places], travellingMs, info })
      if (travellingMs !== 0) home.#travelling.add(id)
    }
    return home
  }
}
