// What the routes of chats, messages and users do: chats and users go to the store, messages and typing to the chat's
// actor. What fails rejects: http-failure.ts answers it.
import type { FastifyReply } from 'fastify'
import type { ActorRef } from '../../actor/actor-ref.ts'
import { PolyloopError } from '../../lib/errors.ts'
import type { ChatType, MessageType } from '../../store/store.ts'
import type { ServiceContext } from '../service.ts'
import { type ChatHandlers, type ChatProblem, chatActor } from './chat-actor.ts'
import type { ChatConfig } from './config.ts'
import type { ApiRequest } from './http-access.ts'
import { chatJson, HTTP_TEXT, pageJson, send, sendCreated, sendData, sendFailure, typistJson } from './http-answer.ts'
import { ProblemError } from './http-failure.ts'
import type { Handlers } from './http-route.ts'
import { HTTP_TYPES } from './message.ts'
import { PER_PAGE_DEFAULT, PER_PAGE_MAX } from './packet.ts'
import { positiveInteger } from './positive-integer.ts'
import { TEXT } from './text.ts'

const MESSAGE_TYPES: ReadonlyMap<unknown, MessageType> = new Map(
  Object.entries(HTTP_TYPES).map(([type, name]) => [name, type as MessageType]),
)
const CHAT_TYPES: ReadonlySet<unknown> = new Set<ChatType>(['direct', 'group', 'channel'])
const NOBODY: readonly number[] = []

interface MessageBody {
  readonly content: string
  readonly message_type?: string | null
}
interface ChatBody {
  readonly name: string
  readonly chat_type?: string | null
  readonly participants?: readonly number[] | null
}
interface UserBody {
  readonly username: string
}
interface PageQuery {
  readonly page?: unknown
  readonly per_page?: unknown
}

export function chatRoutes(context: ServiceContext<ChatConfig>): Handlers {
  const { store } = context
  const chats = chatActor(context.config)

  function chatOf(request: ApiRequest): ActorRef<ChatHandlers> | undefined {
    const id = chatIdOf(request)
    return id === undefined ? undefined : context.actor(chats, String(id))
  }

  return {
    async listChats(request, reply) {
      const list = await store.chatsOf({ userId: request.userId })
      return sendData(reply, `[${list.map(chatJson).join(',')}]`)
    },

    async readChat(request, reply) {
      const chatId = chatIdOf(request)
      const chat = chatId === undefined ? undefined : await store.chat({ chatId })
      return chat === undefined ? sendFailure(reply, 404, TEXT.chatUnknown) : sendData(reply, chatJson(chat))
    },

    async createChat(request, reply) {
      const { name, chat_type, participants } = request.body as ChatBody
      const { id, skipped } = await store.createChat({
        name,
        type: CHAT_TYPES.has(chat_type) ? (chat_type as ChatType) : 'group',
        creatorId: request.userId,
        participants: participants ?? NOBODY,
      })
      const data = skipped.length === 0 ? `{"id":${id}}` : `{"id":${id},"skipped":[${skipped.join(',')}]}`
      return sendCreated(reply, HTTP_TEXT.chatCreated, data)
    },

    async listMessages(request, reply) {
      const { page = '1', per_page = String(PER_PAGE_DEFAULT) } = request.query as PageQuery
      const chat = chatOf(request)
      if (chat === undefined) return sendFailure(reply, 404, TEXT.chatUnknown)
      const number = positiveInteger(page)
      if (number === undefined) return sendFailure(reply, 400, pageProblem('page'))
      const size = positiveInteger(per_page)
      if (size === undefined) return sendFailure(reply, 400, pageProblem('per_page'))
      const perPage = Math.min(size, PER_PAGE_MAX)
      const result = await chat.ask('page', { page: number, perPage })
      if (!result.ok) throw new ProblemError(result.text)
      return send(reply, 200, pageJson(number, perPage, result.total, result.messages))
    },

    async sendMessage(request, reply) {
      const chat = chatOf(request)
      if (chat === undefined) return sendFailure(reply, 404, TEXT.chatUnknown)
      const { content, message_type } = request.body as MessageBody
      const type = MESSAGE_TYPES.get(message_type) ?? 'Text'
      const result = await chat.ask('send', { senderId: request.userId, content, type })
      if (!result.ok) return refusal(reply, result)
      return sendCreated(reply, HTTP_TEXT.messageSent, `{"id":${result.id}}`)
    },

    async listTypists(request, reply) {
      const result = await chatOf(request)?.ask('typists')
      if (result === undefined) return sendFailure(reply, 404, TEXT.chatUnknown)
      if (!result.ok) return refusal(reply, result)
      return sendData(reply, `[${result.typists.map(typistJson).join(',')}]`)
    },

    async createUser(request, reply) {
      const { username } = request.body as UserBody
      try {
        const { id } = await store.createUser({ name: username })
        return sendCreated(reply, null, `{"id":${id}}`)
      } catch (error) {
        // The only thing a name can contradict is the same name.
        const isTaken = error instanceof PolyloopError && error.code === 'STORE_CONSTRAINT'
        if (isTaken) return sendFailure(reply, 409, HTTP_TEXT.nameTaken)
        throw error
      }
    },
  }
}

function chatIdOf(request: ApiRequest): number | undefined {
  return positiveInteger((request.params as { readonly id?: unknown }).id)
}

function refusal(reply: FastifyReply, problem: ChatProblem): FastifyReply {
  if (problem.chatUnknown) return sendFailure(reply, 404, TEXT.chatUnknown)
  throw new ProblemError(problem.text)
}

function pageProblem(member: string): string {
  return `invalid query: ${member} must be an integer of at least 1`
}
