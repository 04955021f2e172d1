// Messages as chat shows them: over TCP with types in Pascal case, over HTTP in lower case; dates in UTC.
import type { MessageType, StoredMessage } from '../../store/store.ts'

/** Of the content, UTF-8. */
export const CONTENT_BYTES_MAX = 4_000
/** Bytes of one UTF-16 unit in UTF-8, at most. */
const UNIT_BYTES_MAX = 3

export type Dialect = 'tcp' | 'http'

/** Every type of a message, and what HTTP calls it. */
export const HTTP_TYPES = {
  Text: 'text',
  Image: 'image',
  File: 'file',
  System: 'system',
} as const satisfies Record<MessageType, string>

/** Whether text has at most so many bytes in UTF-8. */
export function fits(text: string, bytesMax: number): boolean {
  if (text.length * UNIT_BYTES_MAX <= bytesMax) return true
  return text.length <= bytesMax && Buffer.byteLength(text) <= bytesMax
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
