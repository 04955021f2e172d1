// The operations of the store as SQL, on one open database. Transactions are its caller's; it throws SQLite's errors and
// STORE_CONSTRAINT. One that throws a constraint has changed nothing: that is why it comes before any other write.
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Clock } from '../lib/clock.ts'
import { isForeignKeyError } from './sqlite-failure.ts'
import {
  type ChatType,
  LISTED_MAX,
  type MessageType,
  type RecentMessages,
  type StoredChat,
  type StoredMessage,
  type StoreOperations,
} from './store.ts'
import { constraintError } from './store-engine.ts'
import { FOREIGN_KEY, fittingChats, isId, stateProblem, userName } from './store-rule.ts'

type ArgumentOf<Name extends keyof StoreOperations> = Parameters<StoreOperations[Name]>[0]
type Row = Readonly<Record<string, SQLInputValue>>

const MESSAGE_COLUMNS = 'id, sequence, chat_id, sender_id, content, type, created_at'
// The last message is the one whose sequence is the count.
const CHAT_QUERY = `
  SELECT c.id, c.name, c.type, c.creator_id, c.created_at, c.updated_at, c.participants, c.messages, m.id AS message_id,
         m.sender_id, m.content, m.type AS message_type, m.created_at AS sent_at
  FROM chats c LEFT JOIN messages m ON m.chat_id = c.id AND m.sequence = c.messages`

/** The end of a chat within a transaction: written to its row once, however many messages it got. */
interface Tail {
  messages: number
  updatedAt: number
  isChanged: boolean
}

export class SqliteOperations implements StoreOperations {
  readonly #clock: Clock
  readonly #tails = new Map<number, Tail>()
  /** No id below it is free. */
  #userIdNext = 1
  readonly #selectTail: StatementSync
  readonly #updateTail: StatementSync
  readonly #insertMessage: StatementSync
  readonly #selectMessages: StatementSync
  readonly #selectChat: StatementSync
  readonly #selectChatsOf: StatementSync
  readonly #selectChatIdsOf: StatementSync
  readonly #insertChat: StatementSync
  readonly #insertParticipant: StatementSync
  readonly #selectUser: StatementSync
  readonly #selectFreeUserId: StatementSync
  readonly #insertUser: StatementSync
  readonly #upsertState: StatementSync
  readonly #selectState: StatementSync
  readonly #deleteState: StatementSync

  constructor(database: DatabaseSync, clock: Clock) {
    const prepare = (sql: string): StatementSync => database.prepare(sql)
    this.#clock = clock
    this.#selectTail = prepare('SELECT messages, updated_at FROM chats WHERE id = ?')
    this.#updateTail = prepare('UPDATE chats SET messages = ?, updated_at = ? WHERE id = ?')
    this.#insertMessage = prepare(
      'INSERT INTO messages (chat_id, sequence, sender_id, content, type, created_at) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#selectMessages = prepare(
      `SELECT ${MESSAGE_COLUMNS} FROM messages WHERE chat_id = ? AND sequence >= ? AND sequence < ? ORDER BY sequence`,
    )
    this.#selectChat = prepare(`${CHAT_QUERY} WHERE c.id = ?`)
    // The thousand are chosen before any message is looked up. CROSS JOIN, because it keeps its order in SQLite: the chats
    // of one user lie in the order of their ids, and IN would list them first, which takes twice as long.
    this.#selectChatsOf = prepare(
      `${CHAT_QUERY} WHERE c.id IN (
         SELECT own.id FROM participants p CROSS JOIN chats own ON own.id = p.chat_id WHERE p.user_id = ?
         ORDER BY own.updated_at DESC, own.id DESC LIMIT ${LISTED_MAX})
       ORDER BY c.updated_at DESC, c.id DESC`,
    )
    this.#selectChatIdsOf = prepare(
      `SELECT chat_id FROM participants WHERE user_id = ? ORDER BY chat_id LIMIT ${LISTED_MAX}`,
    )
    this.#insertChat = prepare(
      'INSERT INTO chats (name, type, creator_id, created_at, updated_at, participants) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#insertParticipant = prepare('INSERT INTO participants (user_id, chat_id, role) VALUES (?, ?, ?)')
    this.#selectUser = prepare('SELECT 1 FROM users WHERE id = ?')
    this.#selectFreeUserId = prepare(
      `SELECT id + 1 AS free FROM users u
       WHERE id >= ? AND NOT EXISTS (SELECT 1 FROM users WHERE id = u.id + 1) ORDER BY id LIMIT 1`,
    )
    this.#insertUser = prepare('INSERT INTO users (id, name, created_at) VALUES (?, ?, ?)')
    this.#upsertState = prepare(
      'INSERT INTO states (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    )
    this.#selectState = prepare('SELECT value FROM states WHERE key = ?')
    this.#deleteState = prepare('DELETE FROM states WHERE key = ?')
  }

  /** Before a commit, and before rows of chats are read. */
  settle(): void {
    for (const [chatId, { messages, updatedAt, isChanged }] of this.#tails) {
      if (isChanged) this.#updateTail.run(messages, updatedAt, chatId)
    }
    this.#tails.clear()
  }

  /** The transaction was rolled back. */
  forget(): void {
    this.#tails.clear()
    this.#userIdNext = 1
  }

  addMessage({ chatId, senderId, content, type, createSender }: ArgumentOf<'addMessage'>): StoredMessage {
    const tail = this.#tailOf(chatId)
    if (tail === undefined || !isId(senderId)) throw constraintError(FOREIGN_KEY)
    const sequence = tail.messages + 1
    const createdAt = this.#nowSeconds()
    const insert = (): number =>
      Number(this.#insertMessage.run(chatId, sequence, senderId, content, type, createdAt).lastInsertRowid)
    let id: number
    try {
      id = insert()
    } catch (error) {
      if (!createSender || !isForeignKeyError(error)) throw error
      this.#insertUser.run(senderId, userName(senderId), createdAt)
      id = insert()
    }
    tail.messages = sequence
    tail.updatedAt = createdAt
    tail.isChanged = true
    return { id, sequence, chatId, senderId, content: content.toWellFormed(), type, createdAt }
  }

  messages({ chatId, from, count }: ArgumentOf<'messages'>): readonly StoredMessage[] {
    return this.#selectMessages.all(chatId, from, from + count).map(messageOf)
  }

  recentMessages({ chatId, count }: ArgumentOf<'recentMessages'>): RecentMessages | undefined {
    this.settle()
    const row = this.#selectTail.get(chatId)
    if (row === undefined) return undefined
    const total = Number(row.messages)
    return { total, messages: this.messages({ chatId, from: total - count + 1, count }) }
  }

  chat({ chatId }: ArgumentOf<'chat'>): StoredChat | undefined {
    this.settle()
    const row = this.#selectChat.get(chatId)
    return row === undefined ? undefined : chatOf(row)
  }

  chatsOf({ userId }: ArgumentOf<'chatsOf'>): readonly StoredChat[] {
    this.settle()
    return fittingChats(this.#selectChatsOf.all(userId).map(chatOf))
  }

  chatIdsOf({ userId }: ArgumentOf<'chatIdsOf'>): readonly number[] | undefined {
    const rows = this.#selectChatIdsOf.all(userId)
    if (rows.length === 0 && !this.#hasUser(userId)) return undefined
    return rows.map((row) => Number(row.chat_id))
  }

  createChat({
    name,
    type,
    creatorId,
    participants,
  }: ArgumentOf<'createChat'>): ReturnType<StoreOperations['createChat']> {
    if (!isId(creatorId)) throw constraintError(FOREIGN_KEY)
    const others = [...new Set(participants)].filter((userId) => userId !== creatorId)
    const skipped: number[] = []
    const members: number[] = []
    for (const userId of others) (this.#hasUser(userId) ? members : skipped).push(userId)
    const now = this.#nowSeconds()
    const id = Number(this.#insertChat.run(name, type, creatorId, now, now, members.length + 1).lastInsertRowid)
    this.#insertParticipant.run(creatorId, id, 'admin')
    for (const userId of members) this.#insertParticipant.run(userId, id, 'member')
    return { id, skipped }
  }

  createUser({ name }: ArgumentOf<'createUser'>): { readonly id: number } {
    // There is a user below any free id but the first, and that one exists from the start.
    const id = Number(this.#selectFreeUserId.get(this.#userIdNext)?.free ?? this.#userIdNext)
    this.#insertUser.run(id, name, this.#nowSeconds())
    this.#userIdNext = id
    return { id }
  }

  putState({ key, value }: ArgumentOf<'putState'>): void {
    const problem = stateProblem(key, value)
    if (problem !== undefined) throw constraintError(problem)
    this.#upsertState.run(key, value)
  }

  getState({ key }: ArgumentOf<'getState'>): Uint8Array | undefined {
    return this.#selectState.get(key)?.value as Uint8Array | undefined
  }

  removeState({ key }: ArgumentOf<'removeState'>): void {
    this.#deleteState.run(key)
  }

  #tailOf(chatId: number): Tail | undefined {
    const known = this.#tails.get(chatId)
    if (known !== undefined) return known
    const row = this.#selectTail.get(chatId)
    if (row === undefined) return undefined
    const tail = { messages: Number(row.messages), updatedAt: Number(row.updated_at), isChanged: false }
    this.#tails.set(chatId, tail)
    return tail
  }

  #hasUser(userId: number): boolean {
    return this.#selectUser.get(userId) !== undefined
  }

  #nowSeconds(): number {
    return Math.floor(this.#clock.wallMs() / 1_000)
  }
}

function messageOf(row: Row): StoredMessage {
  return {
    id: row.id as number,
    sequence: row.sequence as number,
    chatId: row.chat_id as number,
    senderId: row.sender_id as number,
    content: row.content as string,
    type: row.type as MessageType,
    createdAt: row.created_at as number,
  }
}

function chatOf(row: Row): StoredChat {
  const id = row.id as number
  return {
    id,
    name: row.name as string,
    type: row.type as ChatType,
    creatorId: row.creator_id as number,
    createdAt: row.created_at as number,
    updatedAt: row.updated_at as number,
    participants: row.participants as number,
    lastMessage:
      row.message_id === null
        ? null
        : {
            id: row.message_id as number,
            sequence: row.messages as number,
            chatId: id,
            senderId: row.sender_id as number,
            content: row.content as string,
            type: row.message_type as MessageType,
            createdAt: row.sent_at as number,
          },
  }
}
