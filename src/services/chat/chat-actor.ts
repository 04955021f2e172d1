// One chat: commits its messages, keeps the recent ones, knows who is typing, and tells its subscribers.
import type { ActorContext } from '../../actor/context.ts'
import { type ActorDefinition, defineActor } from '../../actor/definition.ts'
import type { MessageType, StoredMessage } from '../../store/store.ts'
import type { ChatConfig } from './config.ts'

/** What an actor of chat could not do. `text` is the client's: the wire's error text. `chatUnknown`: there is no such chat. */
export interface ChatProblem {
  readonly ok: false
  readonly chatUnknown: boolean
  readonly text: string
}

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

export interface ChatState {
  readonly exists: boolean
}

/** Handlers of `chat/<chat id>`. */
export type ChatHandlers = {
  /** Answered after the commit; FOREIGN_KEY_FAILED in `text` (after storeText) for an unknown chat or sender. */
  readonly send: (state: ChatState, argument: SendArgument, context: ActorContext) => Promise<SendResult>
  readonly page: (state: ChatState, argument: PageArgument, context: ActorContext) => PageResult | Promise<PageResult>
  /** Whether there is such a chat. */
  readonly look: (state: ChatState, argument: undefined, context: ActorContext) => DoneResult
  readonly typing: (
    state: ChatState,
    argument: { readonly userId: number },
    context: ActorContext,
  ) => DoneResult | Promise<DoneResult>
  readonly typists: (state: ChatState, argument: undefined, context: ActorContext) => TypistsResult
}

/** The topic that a chat's subscribers follow; what it carries are whole lines of JSON. */
export const FEED_KIND = 'chat-feed'

export function feedOf(chatId: number): string {
  return `${FEED_KIND}.${chatId}`
}

export function chatActor(_config: ChatConfig): ActorDefinition<ChatState, ChatHandlers> {
  // The contract; the handlers follow.
  return defineActor({ kind: 'chat', create: () => ({ exists: false }), on: {} }) as never
}
