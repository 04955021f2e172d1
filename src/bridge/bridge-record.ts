// What travels in rings between the bridge's thread and the others: kinds 66 to 79, never reused. Numbers and handles are
// the caller's; integers are unsigned and little-endian.
//
//   call, answer                                                           as in ring/call-record.ts
//   publish      u32 number | u16 bytes of channel | channel | payload     the one call that is worth its own layout
//   subscribe    u32 number | u32 handle | u16 generation | u32 life | f64 sequence | u32 round | channel     life 0: no `since`
//   unsubscribe  u32 handle | u8 is moving
//
//   subscribed   u32 number | u32 handle | u32 life | f64 sequence | u32 round | u8 is gap
//   replayed     u32 number | u32 life | f64 sequence | payload       kept for a subscriber that moved; `subscribed` follows
//   message      u32 handle | u32 life | f64 sequence | payload
//   gap          u32 handle | u32 life | f64 sequence
//
// `round` counts the ends of the bridge's thread that the caller has heard of: an answer of one that died since comes back
// with an older one.
import type { BridgeOperation } from './bridge.ts'

// 64 and 65 are the store's.
export const BRIDGE_RECORD = {
  call: 66,
  answer: 67,
  publish: 68,
  subscribe: 69,
  unsubscribe: 70,
  subscribed: 71,
  replayed: 72,
  message: 73,
  gap: 74,
} as const

export const PUBLISH_HEAD_BYTES = 6
export const PUBLISH_AT = { number: 0, channelBytes: 4 } as const

export const SUBSCRIBE_HEAD_BYTES = 26
export const SUBSCRIBE_AT = { number: 0, handle: 4, generation: 8, life: 10, sequence: 14, round: 22 } as const

export const UNSUBSCRIBE_HEAD_BYTES = 5
export const UNSUBSCRIBE_AT = { handle: 0, isMoving: 4 } as const

/** Of `message`, `replayed` and `gap`. */
export const MESSAGE_HEAD_BYTES = 16
export const MESSAGE_AT = { handle: 0, number: 0, life: 4, sequence: 8 } as const

export const SUBSCRIBED_HEAD_BYTES = 25
export const SUBSCRIBED_AT = { number: 0, handle: 4, life: 8, sequence: 12, round: 20, isGap: 24 } as const

/** Of a record that no promise waits for. */
export const NO_NUMBER = 0

/** What comes back with a head of its own must still fit into a record: a call that brings a payload leaves so much room. */
export const HEAD_ROOM_BYTES = 128

/** By their numbers in records: append only. */
export const OPERATIONS = [
  'publish',
  'get',
  'set',
  'expire',
  'take',
  'remove',
  'append',
  'read',
  'ping',
  'open',
  'script',
] as const satisfies readonly BridgeOperation[]
