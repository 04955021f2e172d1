// A chat whose store hosts share: each host has an actor of it. Messages of a chat never change, so what is cached stays
// right unless the server loses some; how many there are is asked for each page, and the store itself tells subscribers, in the order of its commits.
// Nothing is doubtful: what was stored without our hearing of it was told all the same, and the next page shows it.
import type { ActorContext } from '../../actor/context.ts'
import type { MessageType, RecentMessages, StoredMessage } from '../../store/store.ts'
import type { PageArgument, PageResult, SendResult } from './chat-actor.ts'
import type { ChatState } from './chat-state.ts'
import { announcementOf } from './feed.ts'
import type { MessageCache } from './message-cache.ts'
import { problemOf } from './problem.ts'

interface NewMessage {
  readonly chatId: number
  readonly senderId: number
  readonly content: string
  readonly type: MessageType
  readonly createSender: boolean
}

export function sendShared(
  chat: ChatState,
  message: NewMessage,
  context: ActorContext,
): SendResult | Promise<SendResult> {
  return chat.calls.run<StoredMessage, SendResult>(
    context,
    () => {
      const wallMs = context.clock.wallMs()
      // As the store keeps it, whose answer comes too late to be told.
      const content = message.content.toWellFormed()
      const told = { ...message, content, createdAt: Math.floor(wallMs / 1_000) }
      return context.store.addMessage({ ...message, content, announce: announcementOf(told, wallMs) })
    },
    (stored) => {
      chat.stored(stored)
      return { ok: true, id: stored.id }
    },
  )
}

/** Shows whatever was acknowledged before, on any host. */
export function sharedPage(
  chat: ChatState,
  { page, perPage }: PageArgument,
  context: ActorContext,
): PageResult | Promise<PageResult> {
  const { chatId, cache } = chat
  return chat.calls.run<RecentMessages | undefined, PageResult>(
    context,
    () => context.store.recentMessages({ chatId, count: 1 }),
    (recent) => {
      const total = recent?.total ?? 0
      const last = recent?.messages.at(-1)
      if (total < cache.total || (total === cache.total && !isKept(cache, last))) cache.load(total, [])
      const from = (page - 1) * perPage + 1
      const to = Math.min(from + perPage, total + 1)
      return from >= to ? { ok: true, total, messages: [] } : range(chat, from, to, total, context).catch(problemOf)
    },
  )
}

/** Messages with `from` ≤ sequence < `to`: of the store only what the cache lacks. */
async function range(
  chat: ChatState,
  from: number,
  to: number,
  total: number,
  context: ActorContext,
): Promise<PageResult> {
  const { chatId, cache } = chat
  if (cache.total < total && cache.from <= cache.total) {
    const [last] = await context.store.messages({ chatId, from: cache.total, count: 1 })
    if (!isKept(cache, last)) cache.load(total, [])
  }
  const cached = cache.read(from, to)
  const first = cached[0]?.sequence ?? to
  const behind = cached.length === 0 ? to : first + cached.length
  const read = (start: number, end: number): Promise<readonly StoredMessage[]> =>
    start < end ? context.store.messages({ chatId, from: start, count: end - start }) : NONE
  const [older, newer] = await Promise.all([read(from, first), read(behind, to)])
  // Its order matters: what comes first makes room for what is later.
  cache.prepend(older)
  for (const message of cached.length === 0 ? older : newer) cache.append(message)
  return { ok: true, total, messages: [...older, ...cached, ...newer] }
}

/**
 * Whether the last message that is cached is still the one the store has at its place. A server that came back without its
 * last messages (a replica that had not got them) has given their places, and even their ids, to others.
 */
function isKept(cache: MessageCache, stored: StoredMessage | undefined): boolean {
  const [cached] = cache.read(cache.total, cache.total + 1)
  if (cached === undefined || stored?.sequence !== cached.sequence) return cached === undefined
  const isSame = stored.id === cached.id && stored.createdAt === cached.createdAt
  return isSame && stored.senderId === cached.senderId && stored.content === cached.content
}

const NONE: Promise<readonly StoredMessage[]> = Promise.resolve([])
