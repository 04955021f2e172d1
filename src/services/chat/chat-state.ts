// The state of one chat's actor: whether the chat is open, its recent messages, and who is typing. `ChatShelf` makes
// them, and bounds what all chats of one shard hold.
import type { ActorContext } from '../../actor/context.ts'
import type { RecentMessages, StoredMessage } from '../../store/store.ts'
import type { ChatConfig } from './config.ts'
import { ExpiringTable, ExpiryList } from './expiring-table.ts'
import { Feeds, feedOf, messageLine, typingLine } from './feed.ts'
import { MESSAGE_OVERHEAD_BYTES, type MessageCache, MessageCaches } from './message-cache.ts'
import { positiveInteger } from './positive-integer.ts'
import { StoreCalls } from './store-calls.ts'

/** People who are typing, over all chats of one shard; the one that typed longest ago goes first. */
export const TYPISTS_MAX = 100_000
/** One user's typing is pushed to a chat once in so long. */
export const TYPING_PUSH_MS = 1_000
/** Messages read at once, when a chat is opened and when it is doubtful: the longest page. */
export const RECENT_MAX = 200

/** Somebody who typed a moment ago. Whoever sent the message then is kept, so that pushes stay apart. */
interface Typist {
  isTyping: boolean
  pushedAtMs: number
}

/** What moves. Deadlines stay as they are: the clock has one origin for all threads. */
export interface FrozenChat {
  /** Next to go first. */
  readonly typists: readonly {
    readonly userId: number
    readonly isTyping: boolean
    readonly pushedAtMs: number
    readonly deadlineMs: number
  }[]
  /** Of a doubtful chat: messages that its subscribers were told of. */
  readonly toldTotal: number | undefined
}

/**
 * `closed`: not looked up yet, or unknown. `doubtful`: the outcome of a call is not known, so that the store may have
 * more messages than were counted; they are looked up, and told, before anything else is.
 */
export type ChatStatus = 'closed' | 'open' | 'doubtful'

export class ChatShelf {
  readonly config: ChatConfig
  readonly caches: MessageCaches
  readonly typists: ExpiryList<number, Typist>
  readonly feeds = new Feeds()

  constructor(config: ChatConfig) {
    this.config = config
    this.caches = new MessageCaches(config)
    this.typists = new ExpiryList({ ttlMs: config.typingTtl, entriesMax: TYPISTS_MAX })
  }
}

export class ChatState {
  status: ChatStatus = 'closed'
  /** 0: the actor's id is none. */
  readonly chatId: number
  readonly cache: MessageCache
  readonly typists: ExpiringTable<number, Typist>
  readonly calls = new StoreCalls()
  readonly #shelf: ChatShelf
  readonly #feed: string

  constructor(shelf: ChatShelf, id: string) {
    this.chatId = positiveInteger(id) ?? 0
    this.cache = shelf.caches.open(id)
    this.typists = new ExpiringTable(shelf.typists)
    this.#shelf = shelf
    this.#feed = feedOf(this.chatId)
  }

  /** As far as is known. */
  get exists(): boolean {
    return this.status !== 'closed'
  }

  /** Latest messages that are worth reading: what the cache can hold, and no more than a page. */
  get recentMax(): number {
    return Math.min(RECENT_MAX, Math.floor(this.#shelf.caches.chatBytesMax / MESSAGE_OVERHEAD_BYTES))
  }

  open({ total, messages }: RecentMessages): void {
    this.cache.load(total, messages)
    this.status = 'open'
  }

  /** False: one before it was not heard of, and subscribers are told of that one first. */
  committed(message: StoredMessage, context: ActorContext): boolean {
    const typist = this.typists.get(message.senderId)
    if (typist !== undefined) typist.value.isTyping = false
    const { total } = this.cache
    if (message.sequence > total + 1) return false
    if (message.sequence <= total) return true // told already
    this.cache.append(message)
    this.#shelf.feeds.publish(context, this.#feed, messageLine(message))
    return true
  }

  /** With a store that hosts share: it has told subscribers itself, and others may have stored messages in between. */
  stored(message: StoredMessage): void {
    const typist = this.typists.get(message.senderId)
    if (typist !== undefined) typist.value.isTyping = false
    this.cache.append(message)
  }

  type(userId: number, context: ActorContext): void {
    const nowMs = context.clock.nowMs()
    const typist = this.typists.get(userId)?.value ?? { isTyping: true, pushedAtMs: Number.NEGATIVE_INFINITY }
    typist.isTyping = true
    this.typists.set(userId, typist, nowMs)
    if (nowMs - typist.pushedAtMs < TYPING_PUSH_MS) return
    typist.pushedAtMs = nowMs
    const { typingTtl } = this.#shelf.config
    this.#shelf.feeds.publish(context, this.#feed, typingLine(this.chatId, userId, Math.ceil(typingTtl / 1_000)))
  }

  freeze(): FrozenChat {
    const typists = [...this.typists.entries()].map(({ key: userId, value, deadlineMs }) => ({
      userId,
      isTyping: value.isTyping,
      pushedAtMs: value.pushedAtMs,
      deadlineMs,
    }))
    // So that each finds its place in the other shard's list behind the one before.
    typists.sort((one, other) => one.deadlineMs - other.deadlineMs)
    const toldTotal = this.status === 'doubtful' ? this.cache.total : undefined
    this.release()
    return { typists, toldTotal }
  }

  thaw({ typists, toldTotal }: FrozenChat): void {
    if (toldTotal !== undefined) {
      this.status = 'doubtful'
      this.cache.load(toldTotal, [])
    }
    for (const { userId, isTyping, pushedAtMs, deadlineMs } of typists)
      this.typists.restore(userId, { isTyping, pushedAtMs }, deadlineMs)
  }

  /** What it holds of the shard's is free again. */
  release(): void {
    this.cache.release()
    this.typists.clear()
  }
}
