// A message on its way to the store, and what it became on the way back: numbers at fixed places instead of packed
// objects, a fifth of their time. Its content goes one way only: whoever sent it has it.
import { PolyloopError } from '../lib/errors.ts'
import { CALL_HEAD_BYTES, OUTCOME, writeHead } from '../ring/call-record.ts'
import type { StoredMessage, StoreOperations } from './store.ts'
import { MESSAGE_AT, STORE_TAG, STORED_AT, TYPES } from './store-record.ts'

export type NewMessage = Parameters<StoreOperations['addMessage']>[0]

/** Longer contents are packed like any other value. */
const SCRATCH_BYTES = 16 * 1024
/** Of one UTF-16 unit in UTF-8, at most. */
const UNIT_BYTES_MAX = 3

export class MessageWriter {
  /** What was written last: valid until the next `write`. */
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES)

  /** Answers its length; -1: it is none that has this layout. */
  write({ chatId, senderId, content, type, createSender, announce }: NewMessage): number {
    const typeNumber = TYPES.indexOf(type)
    if (typeNumber < 0 || announce !== undefined || typeof content !== 'string') return -1
    if (typeof chatId !== 'number' || typeof senderId !== 'number') return -1
    if (MESSAGE_AT.content + content.length * UNIT_BYTES_MAX > SCRATCH_BYTES) return -1
    const { bytes } = this
    bytes.writeDoubleLE(chatId, MESSAGE_AT.chatId)
    bytes.writeDoubleLE(senderId, MESSAGE_AT.senderId)
    bytes[MESSAGE_AT.type] = typeNumber
    bytes[MESSAGE_AT.createSender] = createSender ? 1 : 0
    return MESSAGE_AT.content + bytes.write(content, MESSAGE_AT.content)
  }
}

/** The message of a call. Throws VALUE_INVALID. */
export function messageIn(record: Buffer): NewMessage {
  const start = CALL_HEAD_BYTES
  const type = TYPES[record[start + MESSAGE_AT.type] ?? TYPES.length]
  if (type === undefined) throw new PolyloopError('VALUE_INVALID', { problem: 'it is no message' })
  return {
    chatId: record.readDoubleLE(start + MESSAGE_AT.chatId),
    senderId: record.readDoubleLE(start + MESSAGE_AT.senderId),
    content: record.toString('utf8', start + MESSAGE_AT.content),
    type,
    createSender: record[start + MESSAGE_AT.createSender] === 1,
  }
}

/** Makes `answer` the answer that this is stored. */
export function writeStored(answer: Buffer, number: number, { id, sequence, createdAt }: StoredMessage): void {
  writeHead(answer, number, OUTCOME.ok, STORE_TAG.stored)
  answer.writeDoubleLE(id, CALL_HEAD_BYTES + STORED_AT.id)
  answer.writeDoubleLE(sequence, CALL_HEAD_BYTES + STORED_AT.sequence)
  answer.writeDoubleLE(createdAt, CALL_HEAD_BYTES + STORED_AT.createdAt)
}

/** What the message became that was answered with this. */
export function storedIn(answer: Buffer, { chatId, senderId, content, type }: NewMessage): StoredMessage {
  return {
    id: answer.readDoubleLE(CALL_HEAD_BYTES + STORED_AT.id),
    sequence: answer.readDoubleLE(CALL_HEAD_BYTES + STORED_AT.sequence),
    chatId,
    senderId,
    // As it came out of UTF-8.
    content: content.toWellFormed(),
    type,
    createdAt: answer.readDoubleLE(CALL_HEAD_BYTES + STORED_AT.createdAt),
  }
}
