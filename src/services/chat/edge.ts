// What the TCP connections and datagrams of one shard have in common: the actors they ask, the rate limit, who
// authenticates, the counters. Knows no connection.
import type { ActorRef } from '../../actor/actor-ref.ts'
import type { ActorDefinition } from '../../actor/definition.ts'
import { ERRORS, PolyloopError } from '../../lib/errors.ts'
import type { ServiceContext } from '../service.ts'
import { type Authenticator, createAuthenticator } from './authenticator.ts'
import {
  type ChatHandlers,
  type ChatProblem,
  type ChatState,
  chatActor,
  type DoneResult,
  type PageArgument,
  type PageResult,
  type SendArgument,
  type SendResult,
} from './chat-actor.ts'
import type { ChatConfig } from './config.ts'
import { type ChatCounters, chatCounters } from './counter.ts'
import { PRESENCE_ID, type PresenceHandlers, presenceActor } from './presence-actor.ts'
import { storeText } from './text.ts'

/** References to chats that are remembered; making one hashes its name. */
const CHATS_REMEMBERED_MAX = 1_024

export type EdgeContext = Pick<
  ServiceContext<ChatConfig>,
  'config' | 'clock' | 'metrics' | 'after' | 'actor' | 'subscribe' | 'unsubscribe' | 'takeToken'
>

export class ChatEdge {
  readonly context: EdgeContext
  readonly counters: ChatCounters
  /** Undefined: ids in packets are trusted. */
  readonly authenticator: Authenticator | undefined
  readonly #definition: ActorDefinition<ChatState, ChatHandlers>
  readonly #presence: ActorRef<PresenceHandlers>
  readonly #chats = new Map<number, ActorRef<ChatHandlers>>()

  constructor(context: EdgeContext) {
    const { config, clock, metrics } = context
    this.context = context
    this.counters = chatCounters(metrics)
    this.authenticator = createAuthenticator(config, clock)
    this.#definition = chatActor(config)
    this.#presence = context.actor(presenceActor(config), PRESENCE_ID)
  }

  /** False: `key` has sent too much lately. */
  admits(key: string): boolean {
    const { rate, burst } = this.context.config.rateLimit
    return rate === 0 || this.context.takeToken(key, rate, burst) === 0
  }

  // None of these rejects: what an ask fails with is a problem like what an actor answers.

  send(chatId: number, argument: SendArgument): Promise<SendResult> {
    return this.#chat(chatId).ask('send', argument).catch(problemOf)
  }

  page(chatId: number, argument: PageArgument): Promise<PageResult> {
    return this.#chat(chatId).ask('page', argument).catch(problemOf)
  }

  look(chatId: number): Promise<DoneResult> {
    return this.#chat(chatId).ask('look').catch(problemOf)
  }

  typing(chatId: number, userId: number): Promise<DoneResult> {
    return this.#chat(chatId).ask('typing', { userId }).catch(problemOf)
  }

  status(userId: number, status: string): Promise<DoneResult> {
    return this.#presence.ask('status', { userId, status }).catch(problemOf)
  }

  /** The same for nobody who waits. False: the way there is full. */
  tellTyping(chatId: number, userId: number): boolean {
    return this.#chat(chatId).tell('typing', { userId })
  }

  tellStatus(userId: number, status: string): boolean {
    return this.#presence.tell('status', { userId, status })
  }

  #chat(chatId: number): ActorRef<ChatHandlers> {
    const known = this.#chats.get(chatId)
    if (known !== undefined) return known
    if (this.#chats.size >= CHATS_REMEMBERED_MAX) this.#chats.clear()
    const reference = this.context.actor(this.#definition, String(chatId))
    this.#chats.set(chatId, reference)
    return reference
  }
}

/** What a client is told of an ask that failed; what is no error of the table is a bug of a handler. */
function problemOf(error: unknown): ChatProblem {
  const code = error instanceof PolyloopError ? error.code : 'ACTOR_HANDLER_FAILED'
  return { ok: false, chatUnknown: false, text: storeText(ERRORS[code].text) }
}
