// The lines that chat answers over TCP, members in the order of the protocol.
import type { StoredMessage } from '../../store/store.ts'
import { messageJson } from './message.ts'

export const PONG_LINE = '"pong"\n'
/** What had no message to number. */
export const DONE_LINE = '{"message_id":0,"success":true,"error":null}\n'

export function ackLine(messageId: number): string {
  return `{"message_id":${messageId},"success":true,"error":null}\n`
}

export function errorLine(text: string): string {
  return `{"message_id":0,"success":false,"error":${JSON.stringify(text)}}\n`
}

/** `total`: messages of the chat, on all pages. */
export function pageLine(
  page: { readonly chatId: number; readonly page: number; readonly perPage: number },
  total: number,
  messages: readonly StoredMessage[],
): string {
  const pages = Math.ceil(total / page.perPage)
  const list = messages.map((message) => messageJson(message, 'tcp')).join(',')
  return `{"packet_type":"GetMessages","chat_id":${page.chatId},"page":${page.page},"per_page":${page.perPage},"messages":[${list}],"total":${total},"total_pages":${pages},"success":true,"error":null}\n`
}

export function subscriptionLine(type: 'Subscribe' | 'Unsubscribe', chatId: number): string {
  return `{"packet_type":"${type}","chat_id":${chatId},"success":true,"error":null}\n`
}
