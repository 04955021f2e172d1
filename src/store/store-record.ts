// What travels in rings for the store: kinds from 64 on, never reused.
//
//   call     u32 number | u8 operation | u8 tag | argument
//   answer   u32 number | u8 outcome   | u8 tag | value, or code and problem of a failure
//
// Numbers are the caller's. The value is last, so that it is never copied into the head.
import type { StoreOperation } from './store.ts'

export const STORE_RECORD = { call: 64, answer: 65 } as const

export const STORE_HEAD_BYTES = 6
export const STORE_AT = { number: 0, operation: 4, outcome: 4, tag: 5 } as const
export const OUTCOME = { ok: 0, failed: 1 } as const

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

/** Sends one record of two parts, which are copied during the call. False: it was refused, and nothing was taken. */
export type SendRecord = (
  kind: number,
  head: Uint8Array,
  headBytes: number,
  body: Uint8Array,
  bodyStart: number,
  bodyBytes: number,
) => boolean
