// What a shard and the room say to each other: turns. A shard has one open at a time, with all that its connections have
// said since the last one; so order is kept, the room is never flooded, and a turn that may have been lost is asked
// again under the same number and done once. Types only.
import type { MessageScope } from './counter.ts'
import type { SpooledContent } from './room-record.ts'

/** One thing that a connection wants. `id`: the connection. */
export type TurnItem =
  | { readonly kind: 'login'; readonly id: number; readonly name: string }
  /** Its leave is announced, and its name is free. It still gets what was said before. */
  | { readonly kind: 'leave'; readonly id: number }
  /** Behind its leave: it gets nothing any more. */
  | { readonly kind: 'over'; readonly id: number }
  | SaidItem
  /** A text of the server for this member alone, in its place among all messages. */
  | { readonly kind: 'answer'; readonly id: number; readonly text: string }
  /** A spool file for what this member is about to send. */
  | { readonly kind: 'spool'; readonly id: number; readonly bytes: number }
  /** More room for it. */
  | { readonly kind: 'grow'; readonly id: number; readonly file: number; readonly bytes: number }
  /** It will not be sent. */
  | { readonly kind: 'abandon'; readonly id: number; readonly file: number }
  /** This member has a spool file, or needs it no more. */
  | { readonly kind: 'read'; readonly id: number; readonly file: number }
  /** This member's connection leaves the shard that says so; another says when it is there. */
  | { readonly kind: 'away'; readonly id: number }
  /** This member's connection is on the shard that says so from now on. */
  | { readonly kind: 'moved'; readonly id: number }

export interface SaidItem {
  readonly kind: 'say'
  readonly id: number
  readonly type: number
  readonly to?: string | undefined
  readonly fileName?: string | undefined
  /** Either this, or what is on disk. */
  readonly content?: Uint8Array | undefined
  readonly spooled?: SpooledContent | undefined
}

/**
 * What became of an item. `gone`: the room does not know this member. `full`: there is no room in the spool. For `spool`
 * the file, which has room for `bytes`.
 */
export type TurnResult = 'done' | 'accepted' | 'exists' | 'gone' | 'full' | 'recipient' | MessageScope | SpooledContent

export interface Turn {
  /** Names a shard's thread, in one of its lives. */
  readonly life: string
  /** Where it is: a thread that takes another's place makes that one suspect. */
  readonly shard: number
  /** Of the room, as this life knows it; 0: it does not know one. */
  readonly epoch: number
  /** 1 for the first of a life in an epoch. */
  readonly sequence: number
  /** Position of the last record that came here; beyond all of them from a thread without members. */
  readonly consumed: number
  readonly items: readonly TurnItem[]
}

/**
 * `published`: position of the room's last record; what a turn did is told up to there. `busy`: nothing was done, ask again. `lost`: nothing was done, and members of this life are not in the room any more:
 * it began anew, or had not heard of the life for too long.
 */
export type TurnAnswer =
  | {
      readonly state: 'done'
      readonly epoch: number
      readonly results: readonly TurnResult[]
      readonly published: number
    }
  | { readonly state: 'busy' | 'lost'; readonly epoch: number }
