// The packets of chat as tests send them, and its answers as the protocol writes them.
import assert from 'node:assert/strict'
import type { LineClient } from './line-client.ts'

export const PING = '{"packet_type":"Ping"}'
export const PONG = '"pong"'
export const DONE = '{"message_id":0,"success":true,"error":null}'
/** What the store says about a chat, sender or user that does not exist. */
export const FOREIGN_KEY = 'Ошибка БД: FOREIGN KEY constraint failed'
export const CHAT_UNKNOWN = 'Чат не найден'
export const CONTENT_EMPTY = 'Содержимое сообщения не может быть пустым'
export const CONTENT_TOO_LONG = 'Сообщение не может быть длиннее 4000 символов'

const ACK = /^\{"message_id":([1-9]\d*),"success":true,"error":null\}$/
const PAGE_MAX = 200

export interface ChatMessage {
  readonly id: number
  readonly chat_id: number
  readonly sender_id: number
  readonly content: string
  readonly message_type: string
  readonly created_at: string
  readonly is_edited: boolean
  readonly edited_at: null
}

interface PageLine {
  readonly messages: readonly ChatMessage[]
  readonly total: number
  readonly total_pages: number
}

export function messagePacket(content: string, chatId = 1, senderId = 1): string {
  const message = { chat_id: chatId, sender_id: senderId, content, message_type: 'Text' }
  return JSON.stringify({ packet_type: 'SendMessage', message })
}

export function packet(type: string, members: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ packet_type: type, ...members })
}

/** The error line with this text. */
export function failure(error: string): string {
  return JSON.stringify({ message_id: 0, success: false, error })
}

/** The id of an ACK, undefined for every other line. */
export function ackIdOf(line: string | undefined): number | undefined {
  const [, id] = ACK.exec(line ?? '') ?? []
  return id === undefined ? undefined : Number(id)
}

/** The id of what has to be an ACK. */
export function ackId(line: string | undefined): number {
  const id = ackIdOf(line)
  assert.ok(id !== undefined, `an ACK: ${line}`)
  return id
}

/** What answers Subscribe and Unsubscribe. */
export function subscribed(chatId: number, type: 'Subscribe' | 'Unsubscribe' = 'Subscribe'): string {
  return JSON.stringify({ packet_type: type, chat_id: chatId, success: true, error: null })
}

/** All messages of a chat over TCP, page by page; fails unless ids rise. */
export async function historyOf(client: LineClient, chatId: number): Promise<ChatMessage[]> {
  const messages: ChatMessage[] = []
  for (let page = 1, pages = 1; page <= pages; page++) {
    const line = await client.ask(packet('GetMessages', { chat_id: chatId, page, per_page: PAGE_MAX }))
    const answer = JSON.parse(line ?? 'null') as PageLine
    messages.push(...answer.messages)
    pages = answer.total_pages
    assert.equal(pages, Math.ceil(answer.total / PAGE_MAX))
    if (page === pages) assert.equal(messages.length, answer.total, 'pages give the whole')
  }
  for (const [index, { id }] of messages.entries())
    assert.ok(id > (messages[index - 1]?.id ?? 0), `message ${index} of chat ${chatId}: ids rise`)
  return messages
}
