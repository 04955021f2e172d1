// Who is online: one table for the whole process, with a time to live, in one actor.
import type { ActorContext } from '../../actor/context.ts'
import { type ActorDefinition, defineActor } from '../../actor/definition.ts'
import type { DoneResult } from './chat-actor.ts'
import type { ChatConfig } from './config.ts'

/** The one actor of the kind. */
export const PRESENCE_ID = 'all'
/** Entries in the table; the oldest goes first. */
export const PRESENCE_MAX = 100_000
/** Entries in one answer of `list`. */
export const PRESENCE_LISTED_MAX = 5_000

/** `updatedAt`: whole seconds since 1970. `expiresIn`: whole seconds, rounded up. */
export interface Present {
  readonly userId: number
  readonly status: string
  readonly updatedAt: number
  readonly expiresIn: number
}

export interface PresenceState {
  readonly size: number
}

/** Handlers of `chat-presence/all`. */
export type PresenceHandlers = {
  /** FOREIGN_KEY_FAILED in `text` (after storeText) for an unknown user. */
  readonly status: (
    state: PresenceState,
    argument: { readonly userId: number; readonly status: string },
    context: ActorContext,
  ) => DoneResult | Promise<DoneResult>
  /** Entries from `after` (a user id; 0 from the start) in ascending order of user id, at most PRESENCE_LISTED_MAX. */
  readonly list: (
    state: PresenceState,
    argument: { readonly after: number },
    context: ActorContext,
  ) => readonly Present[]
}

export function presenceActor(_config: ChatConfig): ActorDefinition<PresenceState, PresenceHandlers> {
  // The contract; the handlers follow.
  return defineActor({ kind: 'chat-presence', create: () => ({ size: 0 }), on: {} }) as never
}
