// The store in memory: gone with the process. For tests, and for `store.kind: memory`.
import type { Clock } from '../lib/clock.ts'
import { LISTED_MAX, type RecentMessages, type StoredChat, type StoredMessage, type StoreOperations } from './store.ts'
import {
  constraintError,
  failureOf,
  perform,
  type StoreCall,
  type StoreEngine,
  type StoreOutcome,
} from './store-engine.ts'
import { FOREIGN_KEY, fittingChats, isId, stateProblem, USER_NAME_TAKEN, userName } from './store-rule.ts'

interface Chat extends Omit<StoredChat, 'updatedAt' | 'participants' | 'lastMessage'> {
  readonly participants: ReadonlySet<number>
  /** `messages[0]` has sequence 1. */
  readonly messages: StoredMessage[]
}

export class MemoryStore implements StoreEngine, StoreOperations {
  readonly #clock: Clock
  readonly #users = new Map<number, string>()
  readonly #userNames = new Set<string>()
  readonly #chats = new Map<number, Chat>()
  /** User → ids of chats, ascending: ids only rise. */
  readonly #chatsOfUser = new Map<number, number[]>()
  readonly #states = new Map<string, Uint8Array>()
  #messageId = 0
  /** No id below it is free. */
  #userIdNext = 1

  constructor(clock: Clock) {
    this.#clock = clock
    const { id } = this.createUser({ name: userName(1) })
    this.createChat({ name: 'General', type: 'group', creatorId: id, participants: [] })
  }

  run(calls: readonly StoreCall[]): readonly StoreOutcome[] {
    return calls.map((call) => {
      try {
        return perform(this, call)
      } catch (error) {
        return failureOf(error)
      }
    })
  }

  close(): void {
    // Nothing is open.
  }

  addMessage(argument: Parameters<StoreOperations['addMessage']>[0]): StoredMessage {
    const { chatId, senderId, type, createSender } = argument
    const chat = this.#chats.get(chatId)
    if (chat === undefined) throw constraintError(FOREIGN_KEY)
    if (!this.#users.has(senderId)) {
      if (!createSender || !isId(senderId)) throw constraintError(FOREIGN_KEY)
      this.#addUser(senderId, userName(senderId))
    }
    const message: StoredMessage = {
      id: ++this.#messageId,
      sequence: chat.messages.length + 1,
      chatId,
      senderId,
      content: argument.content.toWellFormed(),
      type,
      createdAt: this.#nowSeconds(),
    }
    chat.messages.push(message)
    return message
  }

  messages({ chatId, from, count }: Parameters<StoreOperations['messages']>[0]): readonly StoredMessage[] {
    const start = Math.max(1, from) - 1
    const end = from + count - 1
    return end <= start ? [] : (this.#chats.get(chatId)?.messages.slice(start, end) ?? [])
  }

  recentMessages({ chatId, count }: Parameters<StoreOperations['recentMessages']>[0]): RecentMessages | undefined {
    const chat = this.#chats.get(chatId)
    if (chat === undefined) return undefined
    const { messages } = chat
    return { total: messages.length, messages: count <= 0 ? [] : messages.slice(-count) }
  }

  chat({ chatId }: Parameters<StoreOperations['chat']>[0]): StoredChat | undefined {
    const chat = this.#chats.get(chatId)
    return chat === undefined ? undefined : shown(chat)
  }

  chatsOf({ userId }: Parameters<StoreOperations['chatsOf']>[0]): readonly StoredChat[] {
    const chats = (this.#chatsOfUser.get(userId) ?? []).flatMap((chatId) => this.chat({ chatId }) ?? [])
    chats.sort((one, other) => other.updatedAt - one.updatedAt || other.id - one.id)
    return fittingChats(chats.slice(0, LISTED_MAX))
  }

  chatIdsOf({ userId }: Parameters<StoreOperations['chatIdsOf']>[0]): readonly number[] | undefined {
    if (!this.#users.has(userId)) return undefined
    return (this.#chatsOfUser.get(userId) ?? []).slice(0, LISTED_MAX)
  }

  createChat(argument: Parameters<StoreOperations['createChat']>[0]): ReturnType<StoreOperations['createChat']> {
    const { creatorId, type } = argument
    if (!this.#users.has(creatorId)) throw constraintError(FOREIGN_KEY)
    const wanted = new Set([creatorId, ...argument.participants])
    const skipped = [...wanted].filter((userId) => !this.#users.has(userId))
    const participants = new Set([...wanted].filter((userId) => this.#users.has(userId)))
    const id = this.#chats.size + 1
    const name = argument.name.toWellFormed()
    this.#chats.set(id, { id, name, type, creatorId, createdAt: this.#nowSeconds(), participants, messages: [] })
    for (const userId of participants) {
      const ids = this.#chatsOfUser.get(userId)
      if (ids === undefined) this.#chatsOfUser.set(userId, [id])
      else ids.push(id)
    }
    return { id, skipped }
  }

  createUser({ name }: Parameters<StoreOperations['createUser']>[0]): { readonly id: number } {
    let id = this.#userIdNext
    while (this.#users.has(id)) id++
    this.#addUser(id, name.toWellFormed())
    this.#userIdNext = id + 1
    return { id }
  }

  putState({ key, value }: Parameters<StoreOperations['putState']>[0]): void {
    const problem = stateProblem(key, value)
    if (problem !== undefined) throw constraintError(problem)
    this.#states.set(key.toWellFormed(), Uint8Array.from(value))
  }

  getState({ key }: Parameters<StoreOperations['getState']>[0]): Uint8Array | undefined {
    const value = this.#states.get(key.toWellFormed())
    return value === undefined ? undefined : Uint8Array.from(value)
  }

  removeState({ key }: Parameters<StoreOperations['removeState']>[0]): void {
    this.#states.delete(key.toWellFormed())
  }

  #addUser(id: number, name: string): void {
    if (this.#userNames.has(name)) throw constraintError(USER_NAME_TAKEN)
    this.#users.set(id, name)
    this.#userNames.add(name)
  }

  #nowSeconds(): number {
    return Math.floor(this.#clock.wallMs() / 1_000)
  }
}

function shown({ participants, messages, ...chat }: Chat): StoredChat {
  const lastMessage = messages.at(-1) ?? null
  return {
    ...chat,
    updatedAt: lastMessage?.createdAt ?? chat.createdAt,
    participants: participants.size,
    lastMessage,
  }
}
