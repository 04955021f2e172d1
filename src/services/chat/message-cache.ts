// The latest messages of a chat, in memory: a run of sequences without a gap that ends with the chat's last message, as
// far back as the bytes allow. `MessageCaches` bounds those of all chats of one shard. Knows nothing of the store.
import type { StoredMessage } from '../../store/store.ts'

/** A message without its content, and what it takes to hold one; a guess on the safe side. */
export const MESSAGE_OVERHEAD_BYTES = 128
/** Messages dropped from the front before the array is made anew. */
const DROPPED_MAX = 256
/** Stands where a message was dropped. */
const NOTHING: StoredMessage = {
  id: 0,
  sequence: 0,
  chatId: 0,
  senderId: 0,
  content: '',
  type: 'Text',
  createdAt: 0,
}

export interface CacheLimits {
  /** Of one chat. */
  readonly cacheBytes: number
  /** Of all chats; beyond it the one that was read longest ago loses its own. */
  readonly cacheBytesTotal: number
}

export class MessageCaches {
  readonly #limits: CacheLimits
  readonly #byChat = new Map<string, MessageCache>()
  /** Those that hold something, the one that was read longest ago first. */
  readonly #filled = new Set<MessageCache>()
  #bytes = 0

  constructor(limits: CacheLimits) {
    this.#limits = limits
  }

  get bytes(): number {
    return this.#bytes
  }

  /** What one chat may take. */
  get chatBytesMax(): number {
    return Math.min(this.#limits.cacheBytes, this.#limits.cacheBytesTotal)
  }

  /** An empty cache. One that the chat's actor had before, and could not release when it failed, is released. */
  open(chat: string): MessageCache {
    this.#byChat.get(chat)?.release()
    const cache = new MessageCache(this, chat)
    this.#byChat.set(chat, cache)
    return cache
  }

  /** @internal */
  closed(cache: MessageCache): void {
    if (this.#byChat.get(cache.chat) === cache) this.#byChat.delete(cache.chat)
  }

  /** @internal */
  used(cache: MessageCache): void {
    if (this.#filled.delete(cache)) this.#filled.add(cache)
  }

  /** @internal The bytes of a cache have changed by so many. */
  changed(cache: MessageCache, bytes: number): void {
    this.#bytes += bytes
    if (cache.bytes === 0) this.#filled.delete(cache)
    else this.#filled.add(cache)
    // Only what grows makes others go: a cache that goes comes by here, too.
    if (bytes < 0 || this.#bytes <= this.#limits.cacheBytesTotal) return
    for (const coldest of this.#filled) {
      coldest.clear()
      if (this.#bytes <= this.#limits.cacheBytesTotal) return
    }
  }
}

export class MessageCache {
  readonly chat: string
  readonly #caches: MessageCaches
  #messages: StoredMessage[] = []
  /** Of `#messages`, where the first one that is still here stands. */
  #start = 0
  #total = 0
  #bytes = 0
  #isReleased = false

  constructor(caches: MessageCaches, chat: string) {
    this.#caches = caches
    this.chat = chat
  }

  /** Messages of the chat: the sequence of the last one. */
  get total(): number {
    return this.#total
  }

  /** Sequence of the first message that is here; `total + 1` if none is. */
  get from(): number {
    return this.#total + 1 - (this.#messages.length - this.#start)
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Begins anew with the latest messages of a chat that has `total`. */
  load(total: number, messages: readonly StoredMessage[]): void {
    if (this.#isReleased) return
    this.clear()
    this.#total = total
    this.prepend(messages)
  }

  /** A message that was committed. One that is known already is ignored; behind a gap the cache begins anew. */
  append(message: StoredMessage): void {
    if (this.#isReleased || message.sequence <= this.#total) return
    if (message.sequence !== this.#total + 1) this.clear()
    this.#total = message.sequence
    this.#messages.push(message)
    let bytes = bytesOf(message)
    while (this.#bytes + bytes > this.#caches.chatBytesMax) bytes -= bytesOf(this.#dropOldest())
    this.#resize(bytes)
  }

  /** Messages from the store, oldest first: as many are kept as stand right before those that are here, and fit. */
  prepend(messages: readonly StoredMessage[]): void {
    const last = messages.at(-1)
    if (this.#isReleased || last === undefined || last.sequence !== this.from - 1) return
    let first = messages.length
    let bytes = 0
    while (first > 0) {
      const more = bytesOf(messages[first - 1] as StoredMessage)
      if (this.#bytes + bytes + more > this.#caches.chatBytesMax) break
      bytes += more
      first--
    }
    if (bytes === 0) return
    this.#messages = [...messages.slice(first), ...this.#messages.slice(this.#start)]
    this.#start = 0
    this.#resize(bytes)
  }

  /** Messages with `from` ≤ sequence < `to`, as far as they are here. Counts as a read. */
  read(from: number, to: number): StoredMessage[] {
    this.#caches.used(this)
    const first = this.from
    const at = (sequence: number): number => this.#start + Math.max(0, sequence - first)
    return this.#messages.slice(at(from), at(to))
  }

  /** Forgets the messages, not how many there are. */
  clear(): void {
    this.#messages = []
    this.#start = 0
    this.#resize(-this.#bytes)
  }

  /** The end of it: what it took is free, and nothing is kept from now on. */
  release(): void {
    this.clear()
    this.#isReleased = true
    this.#caches.closed(this)
  }

  #dropOldest(): StoredMessage {
    const dropped = this.#messages[this.#start] as StoredMessage
    this.#messages[this.#start++] = NOTHING
    if (this.#start > DROPPED_MAX && this.#start * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#start)
      this.#start = 0
    }
    return dropped
  }

  #resize(bytes: number): void {
    if (bytes === 0) return
    this.#bytes += bytes
    this.#caches.changed(this, bytes)
  }
}

/** What a message takes at most: V8 keeps text as one or as two bytes for each of its units. */
function bytesOf({ content }: StoredMessage): number {
  return content.length * 2 + MESSAGE_OVERHEAD_BYTES
}
