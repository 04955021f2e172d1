// One chat: commits its messages, answers pages of them, knows who is typing, and tells its subscribers. A chat that is
// not open is looked up by the message at hand, while the next ones wait; once it is open, calls of the store overlap.
// With a store that hosts share (shared-chat.ts) there is an actor of the chat on each of them, and the store tells.
import type { ActorContext } from '../../actor/context.ts'
import { type ActorDefinition, defineActor } from '../../actor/definition.ts'
import type { MessageType, RecentMessages, StoredMessage } from '../../store/store.ts'
import { ChatShelf, ChatState, type FrozenChat, RECENT_MAX } from './chat-state.ts'
import type { ChatConfig } from './config.ts'
import { secondsUntil } from './feed.ts'
import { CHAT_UNKNOWN, type ChatProblem, isDoubtful, problemOf, SEND_CHAT_UNKNOWN, USER_UNKNOWN } from './problem.ts'
import { sendShared, sharedPage } from './shared-chat.ts'

export { FEED_KIND, feedOf } from './feed.ts'
export type { ChatProblem, ChatState }

/** People in one answer of `typists`; those who typed first. */
export const TYPISTS_LISTED_MAX = 5_000
/** A chat nobody asks for is forgotten after so long, or after `typingTtl`: nobody types in it any more then. */
const IDLE_MS = 300_000
/** A doubtful chat looks so soon, and so often, unless somebody asks for it before. Guessed: a new store's thread is there by then. */
const LOOK_MS = 500

export interface SendArgument {
  readonly senderId: number
  /** 1 to CONTENT_BYTES_MAX bytes: checked by whoever asks. */
  readonly content: string
  readonly type: MessageType
}
export type SendResult = { readonly ok: true; readonly id: number } | ChatProblem

/** `page` ≥ 1, `perPage` 1 to 200. */
export interface PageArgument {
  readonly page: number
  readonly perPage: number
}
/** Oldest first; an unknown chat or a page past the end is empty. */
export type PageResult =
  | { readonly ok: true; readonly total: number; readonly messages: readonly StoredMessage[] }
  | ChatProblem

export type DoneResult = { readonly ok: true } | ChatProblem

/** `expiresIn`: whole seconds, rounded up. */
export type TypistsResult =
  | { readonly ok: true; readonly typists: readonly { readonly userId: number; readonly expiresIn: number }[] }
  | ChatProblem

/** Handlers of `chat/<chat id>`. */
export type ChatHandlers = {
  /** Answered after the commit; FOREIGN_KEY_FAILED in `text` (after storeText) for an unknown chat or sender. */
  readonly send: (state: ChatState, argument: SendArgument, context: ActorContext) => SendResult | Promise<SendResult>
  readonly page: (state: ChatState, argument: PageArgument, context: ActorContext) => PageResult | Promise<PageResult>
  /** Whether there is such a chat. */
  readonly look: (state: ChatState, argument: undefined, context: ActorContext) => DoneResult | Promise<DoneResult>
  readonly typing: (
    state: ChatState,
    argument: { readonly userId: number },
    context: ActorContext,
  ) => DoneResult | Promise<DoneResult>
  readonly typists: (
    state: ChatState,
    argument: undefined,
    context: ActorContext,
  ) => TypistsResult | Promise<TypistsResult>
}

const DONE: DoneResult = { ok: true }
const EMPTY: PageResult = { ok: true, total: 0, messages: [] }

/** One definition per shard: what its chats hold in memory is bounded together. */
export function chatActor(config: ChatConfig): ActorDefinition<ChatState, ChatHandlers> {
  const shelf = new ChatShelf(config)
  return defineActor<ChatState, ChatHandlers>({
    kind: 'chat',
    create: (id) => new ChatState(shelf, id),
    idleAfter: Math.max(IDLE_MS, config.typingTtl),
    on: {
      send: (chat, argument, context) =>
        whenOpen(chat, context, SEND_CHAT_UNKNOWN, () => send(chat, argument, config.autoCreateUsers, context)),
      page: (chat, argument, context) =>
        whenOpen(chat, context, EMPTY, () =>
          context.store.isShared ? sharedPage(chat, argument, context) : page(chat, argument, context),
        ),
      look: (chat, _none, context) => whenOpen(chat, context, CHAT_UNKNOWN, () => DONE),
      typing: (chat, { userId }, context) =>
        whenOpen(chat, context, CHAT_UNKNOWN, () => {
          shelf.typists.expire(context.clock.nowMs())
          return typing(chat, userId, context)
        }),
      typists: (chat, _none, context) =>
        whenOpen(chat, context, CHAT_UNKNOWN, () => {
          shelf.typists.expire(context.clock.nowMs())
          return typists(chat, context)
        }),
    },
    freeze: (chat) => chat.freeze(),
    thaw: (frozen: FrozenChat, id) => {
      const chat = new ChatState(shelf, id)
      chat.thaw(frozen)
      return chat
    },
    passivated: (chat) => chat.release(),
  })
}

/**
 * Runs `run` in an open chat; `unknown` is the answer if there is none. It is looked for behind the message's arrival:
 * whoever was told that a chat was made finds it. An actor of an unknown chat ends at once.
 */
function whenOpen<Result>(
  chat: ChatState,
  context: ActorContext,
  unknown: Result | ChatProblem,
  run: () => Result | Promise<Result | ChatProblem> | ChatProblem,
): Result | ChatProblem | Promise<Result | ChatProblem> {
  return chat.status === 'open' ? run() : open(chat, context, unknown, run)
}

async function open<Result>(
  chat: ChatState,
  context: ActorContext,
  unknown: Result,
  run: () => Result | Promise<Result | ChatProblem> | ChatProblem,
): Promise<Result | ChatProblem> {
  const { chatId, recentMax: count } = chat
  let recent: RecentMessages | undefined
  try {
    if (chat.status === 'doubtful') {
      await catchUp(chat, context)
      return run()
    }
    if (chatId > 0) recent = await context.store.recentMessages({ chatId, count })
  } catch (error) {
    if (chat.status === 'doubtful') doubt(chat, context)
    return problemOf(error)
  }
  if (recent === undefined) {
    context.stop()
    return unknown
  }
  chat.open(recent)
  return run()
}

/** What was committed without our hearing of it, subscribers have not heard of, either. */
async function catchUp(chat: ChatState, context: ActorContext): Promise<void> {
  const { chatId, cache } = chat
  for (let isMore = true; isMore; ) {
    const messages = await context.store.messages({ chatId, from: cache.total + 1, count: RECENT_MAX })
    for (const message of messages) chat.committed(message, context)
    isMore = messages.length === RECENT_MAX
  }
  chat.status = 'open'
}

/** Subscribers wait, even if nobody asks for the chat. */
function doubt(chat: ChatState, context: ActorContext): void {
  chat.status = 'doubtful'
  context.after('look', LOOK_MS, 'look')
}

function send(
  chat: ChatState,
  { senderId, content, type }: SendArgument,
  createSender: boolean,
  context: ActorContext,
): SendResult | Promise<SendResult> {
  const { chatId } = chat
  const argument = { chatId, senderId, content, type, createSender }
  if (context.store.isShared) return sendShared(chat, argument, context)
  return chat.calls.run<StoredMessage, SendResult>(
    context,
    () => context.store.addMessage(argument),
    (message) => {
      if (!chat.committed(message, context) && chat.status === 'open') doubt(chat, context)
      return { ok: true, id: message.id }
    },
    (error) => {
      if (isDoubtful(error) && chat.status === 'open') doubt(chat, context)
    },
  )
}

function page(
  chat: ChatState,
  { page, perPage }: PageArgument,
  context: ActorContext,
): PageResult | Promise<PageResult> {
  const { cache, chatId } = chat
  const { total, from: cachedFrom } = cache
  const from = (page - 1) * perPage + 1
  const to = Math.min(from + perPage, total + 1)
  if (from >= to) return { ok: true, total, messages: [] }
  const cached = cache.read(from, to)
  if (from >= cachedFrom) return { ok: true, total, messages: cached }
  return chat.calls.run<readonly StoredMessage[], PageResult>(
    context,
    () => context.store.messages({ chatId, from, count: Math.min(to, cachedFrom) - from }),
    (older) => {
      cache.prepend(older)
      return { ok: true, total, messages: [...older, ...cached] }
    },
  )
}

function typing(chat: ChatState, userId: number, context: ActorContext): DoneResult | Promise<DoneResult> {
  if (chat.typists.get(userId) !== undefined) {
    chat.type(userId, context)
    return DONE
  }
  return chat.calls.run<readonly number[] | undefined, DoneResult>(
    context,
    () => context.store.chatIdsOf({ userId }),
    (chatIds) => {
      if (chatIds === undefined) return USER_UNKNOWN
      chat.type(userId, context)
      return DONE
    },
  )
}

function typists(chat: ChatState, context: ActorContext): TypistsResult {
  const nowMs = context.clock.nowMs()
  const listed: { userId: number; expiresIn: number }[] = []
  for (const { key: userId, value, deadlineMs } of chat.typists.entries()) {
    if (listed.length === TYPISTS_LISTED_MAX) break
    if (value.isTyping) listed.push({ userId, expiresIn: secondsUntil(deadlineMs, nowMs) })
  }
  return { ok: true, typists: listed }
}
