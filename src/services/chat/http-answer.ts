// The bodies of chat's HTTP answers, written member by member in the order of the protocol, and their texts.
import type { FastifyReply } from 'fastify'
import type { StoredChat, StoredMessage } from '../../store/store.ts'
import { dateText, messageJson } from './message.ts'
import type { Present } from './presence-actor.ts'

export const HTTP_TEXT = {
  chatCreated: 'Чат успешно создан',
  chatFailed: 'Ошибка при создании чата',
  messageSent: 'Сообщение отправлено',
  messageFailed: 'Ошибка при отправке сообщения',
  nameTaken: 'Имя пользователя уже занято',
  notFound: 'not found',
  methodWrong: 'method not allowed',
  bodyTooLarge: 'the body is larger than 2 MiB',
  bodyNotJson: 'Content-Type must be application/json',
  failed: 'internal error',
} as const

export const JSON_TYPE = 'application/json; charset=utf-8'

export function send(reply: FastifyReply, status: number, json: string): FastifyReply {
  return reply.code(status).header('content-type', JSON_TYPE).send(json)
}

/** A success; `data` is JSON. */
export function sendData(reply: FastifyReply, data: string): FastifyReply {
  return send(reply, 200, `{"success":true,"message":null,"data":${data}}`)
}

export function sendCreated(reply: FastifyReply, message: string | null, data: string): FastifyReply {
  return send(reply, 201, `{"success":true,"message":${JSON.stringify(message)},"data":${data}}`)
}

export function sendFailure(reply: FastifyReply, status: number, message: string): FastifyReply {
  return send(reply, status, failureJson(message))
}

export function failureJson(message: string): string {
  return `{"success":false,"message":${JSON.stringify(message)},"data":null}`
}

export function chatJson(chat: StoredChat): string {
  const { id, name, type, creatorId, createdAt, updatedAt, participants, lastMessage } = chat
  const last = lastMessage === null ? 'null' : messageJson(lastMessage, 'http')
  return `{"id":${id},"name":${JSON.stringify(name)},"chat_type":"${type}","creator_id":${creatorId},"created_at":"${dateText(createdAt)}","updated_at":"${dateText(updatedAt)}","participants_count":${participants},"last_message":${last}}`
}

export function pageJson(page: number, perPage: number, total: number, messages: readonly StoredMessage[]): string {
  const list = messages.map((message) => messageJson(message, 'http')).join(',')
  const pages = Math.ceil(total / perPage)
  return `{"success":true,"data":[${list}],"pagination":{"page":${page},"per_page":${perPage},"total":${total},"total_pages":${pages}}}`
}

export function typistJson({ userId, expiresIn }: { readonly userId: number; readonly expiresIn: number }): string {
  return `{"user_id":${userId},"expires_in":${expiresIn}}`
}

export function presentJson({ userId, status, updatedAt, expiresIn }: Present): string {
  return `{"user_id":${userId},"status_data":${JSON.stringify(status)},"updated_at":"${dateText(updatedAt)}","expires_in":${expiresIn}}`
}
