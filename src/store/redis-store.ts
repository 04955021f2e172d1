// The store of hosts that share a Redis: each operation is one script there, called through the bridge, whose connections
// are the host's only ones. It lives in every thread that stores, and there is no thread of the store.
import type { Clock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import type { HistogramCell } from '../observe/metrics.ts'
import { CallTable } from '../timer/call-table.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { constraintFailure, redisFailure } from './redis-failure.ts'
import { type ChatRow, chatOf, entryOf, type MessageRow, messageOf } from './redis-row.ts'
import {
  ADD_MESSAGE,
  CHAT,
  CHAT_IDS_OF,
  CHATS_OF,
  CREATE_CHAT,
  CREATE_USER,
  GET_STATE,
  KEY_PREFIX,
  MESSAGES,
  PUT_STATE,
  RECENT_MESSAGES,
  REFUSED,
  REMOVE_STATE,
} from './redis-script.ts'
import type { RecentMessages, Store, StoredChat, StoredMessage, StoreOperation, StoreOperations } from './store.ts'
import { isWrite } from './store-engine.ts'
import { FOREIGN_KEY, isId, stateProblem, USER_NAME_TAKEN } from './store-rule.ts'

const META = `${KEY_PREFIX}meta`
const USERS = `${KEY_PREFIX}users`
const USER_NAMES = `${KEY_PREFIX}user-names`
/** One range that is longer than this is longer than any answer can be. */
const RANGE_MAX = 65_536
const MS_PER_SECOND = 1_000

/** What the bridge's `script` takes. */
export interface StoreScript {
  readonly text: string
  readonly keys: readonly string[]
  readonly args: readonly (string | number | Uint8Array)[]
  readonly onDisk: boolean
}

export interface RedisStoreOptions {
  readonly script: (call: StoreScript) => Promise<unknown>
  /** Answers wait until they are on disk, reads among them: they show nothing that could still be lost. */
  readonly onDisk: boolean
  readonly clock: Clock
  readonly wheel: TimerWheel
  /** A call that is not answered in this time fails with STORE_TIMEOUT. */
  readonly timeoutMs: number
  /** Calls that wait for their answer at a time; one more fails with STORE_BUSY at once. */
  readonly callsMax: number
  /** From a write to its answer. */
  readonly commitSeconds?: HistogramCell | undefined
}

type ArgumentOf<Name extends StoreOperation> = Parameters<StoreOperations[Name]>[0]

export class RedisStore implements Store {
  readonly isShared = true
  readonly #options: RedisStoreOptions
  readonly #calls: CallTable<StoreOperation>

  constructor(options: RedisStoreOptions) {
    this.#options = options
    const { clock, wheel, timeoutMs } = options
    this.#calls = new CallTable({
      clock,
      wheel,
      timeoutMs,
      // Nothing of it travels.
      generation: 0,
      timeoutError: (operation, waitedMs) => new PolyloopError('STORE_TIMEOUT', { operation, waitedMs }),
    })
  }

  /** Calls that wait for their answer. */
  get waiting(): number {
    return this.#calls.size
  }

  async addMessage(argument: ArgumentOf<'addMessage'>): Promise<StoredMessage> {
    const { chatId, senderId, type, createSender, announce } = argument
    if (!isId(senderId) || !isId(chatId)) throw constraintFailure(FOREIGN_KEY, 'addMessage')
    const content = argument.content.toWellFormed()
    const createdAt = announce?.createdAt ?? this.#nowSeconds()
    const keys = [META, USERS, USER_NAMES, chatKey(chatId), messagesKey(chatId)]
    const entry = entryOf({ type, createdAt, senderId, content })
    const args = [String(senderId), entry, createdAt, createSender ? '1' : '0']
    const told: (string | number | Uint8Array)[] = []
    if (announce !== undefined) {
      const { log, before, after, countMax, ttlSeconds } = announce
      keys.push(log)
      told.push(before, after, countMax, Math.round(ttlSeconds * MS_PER_SECOND))
    }
    const reply = await this.#call('addMessage', ADD_MESSAGE, keys, [...args, ...told])
    const [id, sequence] = checked(reply, 'addMessage') as [number, number]
    return { id, sequence, chatId, senderId, content, type, createdAt }
  }

  async messages({ chatId, from, count }: ArgumentOf<'messages'>): Promise<readonly StoredMessage[]> {
    const first = Math.max(1, from)
    const last = from + count - 1
    if (last < first) return []
    const range = [first, last, Math.min(last - first + 1, RANGE_MAX)]
    const rows = (await this.#call('messages', MESSAGES, [messagesKey(chatId)], range)) as readonly MessageRow[]
    return rows.map((row) => messageOf(chatId, row))
  }

  async recentMessages({ chatId, count }: ArgumentOf<'recentMessages'>): Promise<RecentMessages | undefined> {
    const keys = [chatKey(chatId), messagesKey(chatId)]
    const args = [Math.min(Math.max(0, count), RANGE_MAX), this.#nowSeconds()]
    const reply = (await this.#call('recentMessages', RECENT_MESSAGES, keys, args)) as [number, MessageRow[]] | null
    if (reply === null) return undefined
    const [total, rows] = reply
    return { total, messages: rows.map((row) => messageOf(chatId, row)) }
  }

  async chat({ chatId }: ArgumentOf<'chat'>): Promise<StoredChat | undefined> {
    const keys = [chatKey(chatId), messagesKey(chatId)]
    const row = (await this.#call('chat', CHAT, keys, [chatId, this.#nowSeconds()])) as ChatRow | null
    return row === null ? undefined : chatOf(row)
  }

  async chatsOf({ userId }: ArgumentOf<'chatsOf'>): Promise<readonly StoredChat[]> {
    const keys = [chatsOfKey(userId), USERS]
    const rows = (await this.#call('chatsOf', CHATS_OF, keys, [userId, this.#nowSeconds()])) as readonly ChatRow[]
    return rows.map(chatOf)
  }

  async chatIdsOf({ userId }: ArgumentOf<'chatIdsOf'>): Promise<readonly number[] | undefined> {
    const keys = [chatsOfKey(userId), USERS]
    const ids = await this.#call('chatIdsOf', CHAT_IDS_OF, keys, [userId, this.#nowSeconds()])
    return (ids as readonly Buffer[] | null)?.map(Number)
  }

  async createChat(argument: ArgumentOf<'createChat'>): Promise<ReturnType<StoreOperations['createChat']>> {
    const { creatorId, type } = argument
    if (!isId(creatorId)) throw constraintFailure(FOREIGN_KEY, 'createChat')
    const others = [...new Set(argument.participants)].filter((userId) => userId !== creatorId)
    const args = [creatorId, argument.name.toWellFormed(), type, this.#nowSeconds(), others.filter(isId).join(' ')]
    const reply = await this.#call('createChat', CREATE_CHAT, [META, USERS], args)
    const [id, unknown] = checked(reply, 'createChat') as [number, readonly Buffer[]]
    const skipped = new Set(unknown.map(Number))
    return { id, skipped: others.filter((userId) => !isId(userId) || skipped.has(userId)) }
  }

  async createUser({ name }: ArgumentOf<'createUser'>): Promise<{ readonly id: number }> {
    const args = [name.toWellFormed(), this.#nowSeconds()]
    const reply = await this.#call('createUser', CREATE_USER, [META, USERS, USER_NAMES], args)
    return { id: checked(reply, 'createUser') as number }
  }

  async putState({ key, value }: ArgumentOf<'putState'>): Promise<void> {
    const problem = stateProblem(key, value)
    if (problem !== undefined) throw constraintFailure(problem, 'putState')
    await this.#call('putState', PUT_STATE, [stateKey(key)], [value])
  }

  async getState({ key }: ArgumentOf<'getState'>): Promise<Uint8Array | undefined> {
    if (stateProblem(key, NO_BYTES) !== undefined) return undefined
    return ((await this.#call('getState', GET_STATE, [stateKey(key)], [])) as Buffer | null) ?? undefined
  }

  async removeState({ key }: ArgumentOf<'removeState'>): Promise<void> {
    if (stateProblem(key, NO_BYTES) !== undefined) return
    await this.#call('removeState', REMOVE_STATE, [stateKey(key)], [])
  }

  #call(operation: StoreOperation, text: string, keys: readonly string[], args: StoreScript['args']): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { script, onDisk, callsMax, clock, commitSeconds } = this.#options
      if (this.#calls.size >= callsMax) {
        reject(new PolyloopError('STORE_BUSY', { operation, problem: `${callsMax} calls of this thread wait` }))
        return
      }
      const number = this.#calls.open(operation, resolve, reject)
      const startMs = clock.nowMs()
      script({ text, keys, args, onDisk }).then(
        (value) => {
          if (isWrite(operation)) commitSeconds?.observe((clock.nowMs() - startMs) / MS_PER_SECOND)
          this.#calls.take(number)?.resolve(value)
        },
        (error: unknown) => this.#calls.take(number)?.reject(redisFailure(error, operation)),
      )
    })
  }

  #nowSeconds(): number {
    return Math.floor(this.#options.clock.wallMs() / MS_PER_SECOND)
  }
}

const NO_BYTES = new Uint8Array(0)

function chatKey(chatId: number): string {
  return `${KEY_PREFIX}chat:${chatId}`
}

function messagesKey(chatId: number): string {
  return `${KEY_PREFIX}messages:${chatId}`
}

function chatsOfKey(userId: number): string {
  return `${KEY_PREFIX}chats-of:${userId}`
}

function stateKey(key: string): string {
  return `${KEY_PREFIX}state:${key.toWellFormed()}`
}

/** Throws what the script refused. */
function checked(reply: unknown, operation: StoreOperation): unknown {
  if (reply === REFUSED.foreignKey) throw constraintFailure(FOREIGN_KEY, operation)
  if (reply === REFUSED.nameTaken) throw constraintFailure(USER_NAME_TAKEN, operation)
  return reply
}
