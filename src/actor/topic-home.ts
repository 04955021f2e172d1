// One topic where it lives: it gives each message its offset and knows what is kept, which threads want it and who is
// present. Plain state; topic-homes.ts handles the records.
import type { TopicDefinition } from './topic-definition.ts'
import { packEntries, unpackEntries } from './topic-entry.ts'
import type { FrozenTopic, Interest, Member } from './topic-frozen.ts'
import { TopicHistory } from './topic-history.ts'

export class TopicHome {
  readonly name: string
  readonly slot: number
  readonly epoch: number
  readonly definition: TopicDefinition
  readonly history: TopicHistory
  /** In an array: it is walked for every message, and short. */
  readonly interests: Interest[] = []
  readonly members = new Map<number, Member>()
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
    this.history = new TopicHistory(definition.history, recentBytes, life.offset)
    this.activeMs = life.activeMs
  }

  /** Of the last message. */
  get offset(): number {
    return this.history.last
  }

  /** Answers whether the thread was not known, or knew the topic by another number. */
  join(thread: number, feed: number): boolean {
    const known = this.interests.findIndex((interest) => interest.thread === thread)
    if (known >= 0 && this.interests[known]?.feed === feed) return false
    const interest = { thread, feed, behindFrom: 0 }
    if (known >= 0) this.interests[known] = interest
    else this.interests.push(interest)
    return true
  }

  leave(thread: number, feed: number): void {
    const index = this.interests.findIndex((interest) => interest.thread === thread && interest.feed === feed)
    if (index >= 0) this.interests.splice(index, 1)
  }

  threadDown(thread: number): void {
    for (let index = this.interests.length - 1; index >= 0; index--) {
      if (this.interests[index]?.thread === thread) this.interests.splice(index, 1)
    }
    for (const [id, member] of this.members) if (member.thread === thread) this.members.delete(id)
  }

  /** Whether nobody would notice if it were forgotten. */
  isIdle(nowMs: number): boolean {
    return (
      this.interests.length === 0 &&
      this.members.size === 0 &&
      nowMs - this.activeMs >= this.definition.idleAfterMs &&
      !this.history.hasHistory(nowMs)
    )
  }

  freeze(nowMs: number): FrozenTopic {
    this.history.trim(nowMs)
    return {
      name: this.name,
      slot: this.slot,
      epoch: this.epoch,
      offset: this.offset,
      activeMs: this.activeMs,
      frozenMs: nowMs,
      entries: packEntries(this.history.all()),
      interests: this.interests.map((interest) => ({ ...interest })),
      members: [...this.members].map(([id, { thread, info }]) => ({ id, thread, info: Uint8Array.from(info) })),
    }
  }

  static thaw(frozen: FrozenTopic, definition: TopicDefinition, recentBytes: number, nowMs: number): TopicHome {
    const entries = unpackEntries(frozen.entries)
    const life = { epoch: frozen.epoch, offset: frozen.offset - entries.length, activeMs: frozen.activeMs }
    const home = new TopicHome(frozen.name, frozen.slot, definition, life, recentBytes)
    for (const entry of entries) home.history.append(entry, nowMs)
    for (const interest of frozen.interests) home.interests.push({ ...interest })
    for (const { id, thread, info } of frozen.members) home.members.set(id, { thread, info })
    return home
  }
}
