// What the scripts of the store answer, as its values; and a message as Redis keeps it:
//
//   the entry of a stream    <sequence>-<id>   field `m`: <type> <whole seconds since 1970> <sender> <content>
import type { ChatType, MessageType, StoredChat, StoredMessage } from './store.ts'

/** As XRANGE answers it. */
export type MessageRow = readonly [place: Buffer, fields: readonly [name: Buffer, entry: Buffer]]
type Text = Buffer | number
export type ChatRow = readonly [
  id: Text,
  name: Buffer,
  type: Buffer,
  creatorId: Buffer,
  createdAt: Buffer,
  participants: number,
  last: MessageRow | null,
]

const BLANK = 0x20
const MINUS = 0x2d

export function entryOf(message: Pick<StoredMessage, 'type' | 'createdAt' | 'senderId' | 'content'>): string {
  return `${message.type} ${message.createdAt} ${message.senderId} ${message.content}`
}

export function messageOf(chatId: number, [place, [, entry]]: MessageRow): StoredMessage {
  const minus = place.indexOf(MINUS)
  const time = entry.indexOf(BLANK) + 1
  const sender = entry.indexOf(BLANK, time) + 1
  const content = entry.indexOf(BLANK, sender) + 1
  return {
    id: Number(place.toString('latin1', minus + 1)),
    sequence: Number(place.toString('latin1', 0, minus)),
    chatId,
    senderId: Number(entry.toString('latin1', sender, content - 1)),
    content: entry.toString('utf8', content),
    type: entry.toString('latin1', 0, time - 1) as MessageType,
    createdAt: Number(entry.toString('latin1', time, sender - 1)),
  }
}

export function chatOf([chatId, name, type, creatorId, createdAt, participants, last]: ChatRow): StoredChat {
  const id = Number(chatId)
  const lastMessage = last === null ? null : messageOf(id, last)
  return {
    id,
    name: name.toString(),
    type: type.toString() as ChatType,
    creatorId: Number(creatorId),
    createdAt: Number(createdAt),
    updatedAt: lastMessage?.createdAt ?? Number(createdAt),
    participants,
    lastMessage,
  }
}
