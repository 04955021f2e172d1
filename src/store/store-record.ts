// What travels in rings for the store, laid out as in ring/call-record.ts: kinds from 64 on, never reused. Messages, of
// which there are more than of all else together, have a layout of their own behind the head (message-record.ts):
//
//   message   f64 chat | f64 sender | u8 type | u8 creates the sender | content, UTF-8
//   stored    f64 id | f64 sequence | f64 seconds of creation
import type { MessageType, StoreOperation } from './store.ts'

export const STORE_RECORD = { call: 64, answer: 65 } as const

/** Tags of values, beside those of lib/codec.ts. */
export const STORE_TAG = { message: 128, stored: 129 } as const

/** Places behind the head of the call or answer. */
export const MESSAGE_AT = { chatId: 0, senderId: 8, type: 16, createSender: 17, content: 18 } as const
export const STORED_AT = { id: 0, sequence: 8, createdAt: 16, end: 24 } as const

/** By their numbers in records: append only. */
export const TYPES = ['Text', 'Image', 'File', 'System'] as const satisfies readonly MessageType[]

/** By their numbers in records: append only. */
export const OPERATIONS = [
  'addMessage',
  'messages',
  'recentMessages',
  'chat',
  'chatsOf',
  'chatIdsOf',
  'createChat',
  'createUser',
  'putState',
  'getState',
  'removeState',
] as const satisfies readonly StoreOperation[]
