// What travels between topic homes and relays: kinds from 32 on, never reused, and their byte layouts.
//
// To the home, routed by slot; all begin with  u16 slot | u16 flags, the router's  and end with the name, unless said:
//
//   publish   u8 form | u8 name bytes | u16 key bytes | name | key | payload
//   join      u32 feed | u32 request | u16 generation | u8 name bytes | name            answered: joined
//   leave     u32 feed | u8 name bytes | name
//   pull      u32 feed | u32 request | f64 epoch | f64 after | u8 right | u8 name bytes | name      answered: pulled
//   enter     f64 member | u16 generation | u8 name bytes | name | JSON
//   exit      f64 member | u16 0 | u8 name bytes | name
//   depart    f64 member | u16 0 | u8 name bytes | name                it moves to another shard
//   ask       u32 request | u8 name bytes | name                       answered: present, once or more
//   stray     u32 feed | f64 epoch                                     the relay has no such feed
//
// From the home to a relay's thread:
//
//   message   u32 feed | u16 slot | u16 key bytes | f64 epoch | f64 offset | u8 text | key | payload
//   joined    u32 feed | u32 request | f64 epoch | f64 offset | u8 outcome
//   here      u32 feed | u16 slot | u16 0 | f64 epoch | f64 offset     the home has moved
//   pulled    u32 feed | u32 request | f64 epoch | f64 first | f64 offset | u8 right | entries
//   lost      u32 feed | f64 epoch | f64 from | f64 to
//   present   u32 request | u32 count | u8 last | (u16 bytes | JSON) …
//
// The generation is the low half of the number of the sender's life: what a dead thread left in a ring may come after the
// news of its death, and must not bring it back.
//
// A feed is a topic as one relay has it, by a number that the relay gives: no name is looked up per message.

export const TOPIC_RECORD = {
  publish: 32,
  join: 33,
  leave: 34,
  pull: 35,
  enter: 36,
  exit: 37,
  ask: 38,
  stray: 39,
  depart: 40,
  message: 48,
  joined: 49,
  here: 50,
  pulled: 51,
  lost: 52,
  present: 53,
} as const

/** Whether a record belongs to `TopicHomes.receive`: routed by slot. */
export function isForHome(kind: number): boolean {
  return kind >= TOPIC_RECORD.publish && kind <= TOPIC_RECORD.depart
}

/** Whether a record belongs to `TopicRelay.receive`: sent to its thread. */
export function isForRelay(kind: number): boolean {
  return kind >= TOPIC_RECORD.message && kind <= TOPIC_RECORD.present
}

/** How the payload of a publish is to be taken. A `value` is encoded by its kind, at home; its tag is added to the form. */
export const FORM = { binary: 0, text: 1, value: 2 } as const

/** What a pull may read: what its kind keeps for subscribers, or also what is kept for repairs within the process. */
export const RIGHT = { history: 0, repair: 1 } as const
export type Right = (typeof RIGHT)[keyof typeof RIGHT]

export const JOINED = { known: 0, fresh: 1, refused: 2 } as const

/** Where fields are, and where the first of variable length begins. */
export const PUBLISH = { form: 4, nameBytes: 5, keyBytes: 6, name: 8 } as const
export const JOIN = { feed: 4, request: 8, generation: 12, nameBytes: 14, name: 15 } as const
export const LEAVE = { feed: 4, nameBytes: 8, name: 9 } as const
export const PULL = { feed: 4, request: 8, epoch: 12, after: 20, right: 28, nameBytes: 29, name: 30 } as const
export const ENTER = { member: 4, generation: 12, nameBytes: 14, name: 15 } as const
export const ASK = { request: 4, nameBytes: 8, name: 9 } as const
export const STRAY = { feed: 4, epoch: 8, end: 16 } as const
export const MESSAGE = { feed: 0, slot: 4, keyBytes: 6, epoch: 8, offset: 16, text: 24, key: 25 } as const
export const JOINED_AT = { feed: 0, request: 4, epoch: 8, offset: 16, outcome: 24, end: 25 } as const
export const HERE = { feed: 0, slot: 4, epoch: 8, offset: 16, end: 24 } as const
export const PULLED = { feed: 0, request: 4, epoch: 8, first: 16, offset: 24, right: 32, entries: 33 } as const
export const LOST = { feed: 0, epoch: 4, from: 12, to: 20, end: 28 } as const
export const PRESENT = { request: 0, count: 4, last: 8, members: 9 } as const

/** No head of a record is longer: fixed fields, name and key. */
export const TOPIC_HEAD_BYTES_MAX = 1024

/** Writes the length of a name at `lengthAt` and the name at `nameAt`; answers where it ends. */
export function writeName(head: Buffer, lengthAt: number, nameAt: number, name: Uint8Array): number {
  head[lengthAt] = name.length
  for (let index = 0; index < name.length; index++) head[nameAt + index] = name[index] as number
  return nameAt + name.length
}

export function readName(record: Buffer, lengthAt: number, nameAt: number): string {
  return record.toString('utf8', nameAt, nameEnd(record, lengthAt, nameAt))
}

export function nameEnd(record: Buffer, lengthAt: number, nameAt: number): number {
  return nameAt + (record[lengthAt] as number)
}
