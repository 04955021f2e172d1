// Messages as chat shows them: over TCP with types in Pascal case, over HTTP in lower case; dates in UTC.
import type { MessageType, StoredMessage } from '../../store/store.ts'

/** Of the content, UTF-8. */
export const CONTENT_BYTES_MAX = 4_000

export type Dialect = 'tcp' | 'http'

const HTTP_TYPES: Readonly<Record<MessageType, string>> = {
  Text: 'text',
  Image: 'image',
  File: 'file',
  System: 'system',
}

/** A message as JSON, members in the order of the protocol. */
export function messageJson(message: StoredMessage, dialect: Dialect): string {
  const { id, chatId, senderId, content, type, createdAt } = message
  const name = dialect === 'tcp' ? type : HTTP_TYPES[type]
  return `{"id":${id},"chat_id":${chatId},"sender_id":${senderId},"content":${JSON.stringify(content)},"message_type":"${name}","created_at":"${dateText(createdAt)}","is_edited":false,"edited_at":null}`
}

// Messages of one second come together.
let lastSeconds = Number.NaN
let lastText = ''

/** `YYYY-MM-DD HH:MM:SS` UTC of whole seconds since 1970. */
export function dateText(seconds: number): string {
  if (seconds === lastSeconds) return lastText
  lastText = new Date(seconds * 1_000).toISOString().slice(0, 19).replace('T', ' ')
  lastSeconds = seconds
  return lastText
}
