// What travels in rings for the store, laid out as in ring/call-record.ts: kinds from 64 on, never reused.
import type { StoreOperation } from './store.ts'

export const STORE_RECORD = { call: 64, answer: 65 } as const

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
