// What durable storage can do, whatever it is made of: one table of operations. Engines (sqlite-store.ts,
// memory-store.ts) do them in the store thread, in the order they arrive; everybody else calls them through a `Store`.
// One that hosts share (redis-store.ts) is in every thread instead.

/** What a message is kept as. */
export type MessageType = 'Text' | 'Image' | 'File' | 'System'
export type ChatType = 'direct' | 'group' | 'channel'

/** One message. `createdAt`: whole seconds since 1970. `sequence`: 1 for the first of its chat, then counting up. */
export interface StoredMessage {
  readonly id: number
  readonly sequence: number
  readonly chatId: number
  readonly senderId: number
  readonly content: string
  readonly type: MessageType
  readonly createdAt: number
}

/** One chat as lists show it. Times: whole seconds since 1970. `updatedAt`: of its last message, or its creation. */
export interface StoredChat {
  readonly id: number
  readonly name: string
  readonly type: ChatType
  readonly creatorId: number
  readonly createdAt: number
  readonly updatedAt: number
  readonly participants: number
  readonly lastMessage: StoredMessage | null
}

/**
 * Tells of a message in the very step that stores it, so that all hosts hear of messages in commit order: an entry of a
 * log of the bridge, `before`, the id in decimal, and `after`. Only a store that `isShared` does it.
 */
export interface Announcement {
  readonly log: string
  /** Entries kept, and for how long after the last one. */
  readonly countMax: number
  readonly ttlSeconds: number
  readonly before: string | Uint8Array
  readonly after: string | Uint8Array
  /** Of the message: whole seconds since 1970, as they stand in what is told. */
  readonly createdAt: number
}

/** The latest messages of a chat, oldest first, and how many it has in all. */
export interface RecentMessages {
  readonly total: number
  readonly messages: readonly StoredMessage[]
}

/**
 * Every operation: what it takes, what it answers. Values cross threads. An operation fails with a PolyloopError:
 * STORE_CONSTRAINT (it contradicts what is stored; details.problem is SQLite's text), STORE_FULL, STORE_LOCKED,
 * STORE_CORRUPT, STORE_FAILED (details.problem says why; nothing of it is stored), STORE_BUSY (too much waits),
 * STORE_TIMEOUT and STORE_LOST (no answer in time, or the store's thread died: nobody knows whether it was stored).
 */
export interface StoreOperations {
  /**
   * Adds a message and touches its chat. Ids are positive and rise in commit order over all chats. STORE_CONSTRAINT for
   * an unknown chat or sender; with `createSender` an unknown sender is created (as `user-<id>`).
   */
  addMessage(message: {
    readonly chatId: number
    readonly senderId: number
    readonly content: string
    readonly type: MessageType
    readonly createSender: boolean
    readonly announce?: Announcement
  }): StoredMessage
  /** Messages with `from` ≤ sequence < `from + count`, oldest first; of an unknown chat none. */
  messages(range: { readonly chatId: number; readonly from: number; readonly count: number }): readonly StoredMessage[]
  /** Undefined: there is no such chat. At most `count` messages. */
  recentMessages(of: { readonly chatId: number; readonly count: number }): RecentMessages | undefined
  chat(of: { readonly chatId: number }): StoredChat | undefined
  /**
   * Chats the user takes part in, latest `updatedAt` first, then latest id; at most 1,000, and none after the first of which
   * the last message would make the contents more than LISTED_BYTES_MAX.
   */
  chatsOf(of: { readonly userId: number }): readonly StoredChat[]
  /** Ids of at most 1,000 chats the user takes part in, ascending. Undefined: there is no such user. */
  chatIdsOf(of: { readonly userId: number }): readonly number[] | undefined
  /**
   * Adds a chat; its creator takes part as admin, participants as members. Participants that do not exist are answered as
   * skipped; ones named twice, or the creator among them, count once. STORE_CONSTRAINT for an unknown creator.
   */
  createChat(chat: {
    readonly name: string
    readonly type: ChatType
    readonly creatorId: number
    readonly participants: readonly number[]
  }): { readonly id: number; readonly skipped: readonly number[] }
  /** The id is the first one free. STORE_CONSTRAINT for a name that is taken. */
  createUser(user: { readonly name: string }): { readonly id: number }
  /** Keeps some bytes under a key. STORE_CONSTRAINT for a key over KEY_BYTES_MAX, or a value over STATE_BYTES_MAX. */
  putState(state: { readonly key: string; readonly value: Uint8Array }): void
  getState(of: { readonly key: string }): Uint8Array | undefined
  removeState(of: { readonly key: string }): void
}

/** Of one saved state: with its key it has to fit into one message between threads. */
export const STATE_BYTES_MAX = 1_000_000
/** Of the key of a saved state, UTF-8. */
export const KEY_BYTES_MAX = 512
/** Rows that one answer lists. */
export const LISTED_MAX = 1_000
/** Of the contents in one list of chats, UTF-8: with all else it has to fit into one message between threads. */
export const LISTED_BYTES_MAX = 700_000

export type StoreOperation = keyof StoreOperations

/** The store as everybody but its own thread sees it. */
export type Store = {
  readonly [Name in StoreOperation]: (
    argument: Parameters<StoreOperations[Name]>[0],
  ) => Promise<ReturnType<StoreOperations[Name]>>
} & {
  /** Other hosts write to it, too: what was read of it may have changed since. */
  readonly isShared: boolean
}
