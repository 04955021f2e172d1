// What travels in rings for actors: kinds from 16 on, never reused. The first two are addressed to a slot: routed.
//
//   tell, ask   u16 slot | u16 flags | u32 hash | u32 check | u32 method | u16 key bytes | u8 kind bytes | u8 chain | u8 tag |
//               ask only: u32 index | u32 sequence | f64 deadline, ms |
//               chain × (u32 hash | u32 check) | key | value
//   reply       u32 index | u32 sequence | u8 failed | u8 tag | value
//   fence       u32 move
//   barrier     u32 number
//   passed      u32 number, the answer
//
// The value is last, so that it is never copied into the head. Methods are numbers, the hash of their names: what a
// shard with older code sent still finds its handler.
import { hashString } from '../placement/hash.ts'

export const ACTOR_RECORD = { tell: 16, ask: 17, reply: 18, fence: 19, barrier: 20, passed: 21 } as const

/** Actors that wait for each other in a row; one more is refused. */
export const CHAIN_MAX = 32

export const TELL_HEAD_BYTES = 21
export const ASK_HEAD_BYTES = TELL_HEAD_BYTES + 16
export const LINK_BYTES = 8
export const REPLY_HEAD_BYTES = 10

/** Where the fields of a head are. */
export const AT = {
  slot: 0,
  flags: 2,
  hash: 4,
  check: 8,
  method: 12,
  keyBytes: 16,
  kindBytes: 18,
  chain: 19,
  tag: 20,
  index: 21,
  sequence: 25,
  deadline: 29,
} as const

/** And where those of a reply are. */
export const REPLY_AT = { index: 0, sequence: 4, failed: 8, tag: 9 } as const

const numbers = new Map<string, number>()

/** The number of a method's name, an int32. */
export function methodNumber(method: string): number {
  let number = numbers.get(method)
  if (number === undefined) {
    number = hashString(method) | 0
    numbers.set(method, number)
  }
  return number
}
