// Who is online: one table for the whole process, with a time to live, in one actor. A renewal stays in here; whatever
// changes is told to the feeds of the user's chats, which the store knows. One user's changes are done in their order:
// the store answers in the order it is asked, and a renewal behind a change that is still open is asked about, too.
import type { ActorContext } from '../../actor/context.ts'
import { type ActorDefinition, defineActor } from '../../actor/definition.ts'
import type { DoneResult } from './chat-actor.ts'
import type { ChatConfig } from './config.ts'
import { Feeds, feedOf, secondsUntil, statusLine } from './feed.ts'
import { type FrozenPresence, PresenceState } from './presence-state.ts'
import { problemOf, USER_UNKNOWN } from './problem.ts'

export type { PresenceState }

/** The one actor of the kind. */
export const PRESENCE_ID = 'all'
/** Entries in the table; the oldest goes first. */
export const PRESENCE_MAX = 100_000
/** Entries in one answer of `list`. */
export const PRESENCE_LISTED_MAX = 5_000
/** Users whose time is over and whose chats the store is asked for at once; the others follow. */
const EXPIRED_MAX = 64
/** Without an entry; with one a timer keeps it. */
const IDLE_MS = 300_000
/** The status that is none. */
const OFFLINE = 'offline'

/** `updatedAt`: whole seconds since 1970. `expiresIn`: whole seconds, rounded up. */
export interface Present {
  readonly userId: number
  readonly status: string
  readonly updatedAt: number
  readonly expiresIn: number
}

export interface StatusArgument {
  readonly userId: number
  readonly status: string
}

/** Handlers of `chat-presence/all`. */
export type PresenceHandlers = {
  /** FOREIGN_KEY_FAILED in `text` (after storeText) for an unknown user. */
  readonly status: (
    state: PresenceState,
    argument: StatusArgument,
    context: ActorContext,
  ) => DoneResult | Promise<DoneResult>
  /** Entries above `after` (a user id; 0 from the start) in ascending order of user id, at most PRESENCE_LISTED_MAX. */
  readonly list: (
    state: PresenceState,
    argument: { readonly after: number },
    context: ActorContext,
  ) => readonly Present[]
}

const DONE: DoneResult = { ok: true }

/** Tests make the table small, to fill it. */
export function presenceActor(
  config: ChatConfig,
  entriesMax: number = PRESENCE_MAX,
): ActorDefinition<PresenceState, PresenceHandlers> {
  const feeds = new Feeds()
  const limits = { ttlMs: config.presenceTtl, entriesMax }
  const expiresIn = Math.ceil(config.presenceTtl / 1_000)
  return defineActor({
    kind: 'chat-presence',
    create: () => new PresenceState(limits),
    idleAfter: IDLE_MS,
    on: {
      status: (presence, argument: StatusArgument, context) => setStatus(presence, argument, context),
      list: (presence, { after }: { readonly after: number }, context) => list(presence, after, context),
      /** The timer's. */
      expire: (presence, _none: undefined, context) => expire(presence, context),
    },
    freeze: (presence) => presence.freeze(),
    thaw: (frozen: FrozenPresence) => {
      const presence = new PresenceState(limits)
      presence.thaw(frozen)
      return presence
    },
  })

  function setStatus(
    presence: PresenceState,
    { userId, status }: StatusArgument,
    context: ActorContext,
  ): DoneResult | Promise<DoneResult> {
    if (!presence.isChanging(userId) && status !== OFFLINE && presence.statusOf(userId) === status) {
      presence.set(userId, statusNow(status, context), context.clock.nowMs())
      return DONE
    }
    return presence.calls.run<readonly number[] | undefined, DoneResult>(
      context,
      () => {
        presence.changing(userId)
        return context.store.chatIdsOf({ userId })
      },
      (chatIds) => {
        presence.changed(userId)
        if (chatIds === undefined) return USER_UNKNOWN
        return status === OFFLINE
          ? remove(presence, userId, chatIds, context)
          : change(presence, userId, status, chatIds, context)
      },
      () => presence.changed(userId),
    )
  }

  function remove(
    presence: PresenceState,
    userId: number,
    chatIds: readonly number[],
    context: ActorContext,
  ): DoneResult {
    if (presence.delete(userId)) tell(chatIds, statusLine(userId, OFFLINE, 0), context)
    return DONE
  }

  function change(
    presence: PresenceState,
    userId: number,
    status: string,
    chatIds: readonly number[],
    context: ActorContext,
  ): DoneResult | Promise<DoneResult> {
    const before = presence.statusOf(userId)
    const goneId = presence.set(userId, statusNow(status, context), context.clock.nowMs())
    if (!presence.isArmed) arm(presence, context)
    if (before !== status) tell(chatIds, statusLine(userId, status, expiresIn), context)
    return goneId === undefined ? DONE : tellGone(presence, goneId, context).then(() => DONE)
  }

  // What is over but not dropped waits in the table, where lists leave it out: a move takes it along.
  function expire(presence: PresenceState, context: ActorContext): Promise<unknown> | undefined {
    const nowMs = context.clock.nowMs()
    const told: Promise<void>[] = []
    for (let next = presence.oldest; next !== undefined && next.deadlineMs <= nowMs; next = presence.oldest) {
      if (told.length === EXPIRED_MAX) break
      presence.delete(next.key)
      told.push(tellGone(presence, next.key, context))
    }
    if (told.length > 0) return context.interleave(Promise.all(told).finally(() => arm(presence, context)))
    arm(presence, context)
    return undefined
  }

  function arm(presence: PresenceState, context: ActorContext): void {
    const next = presence.oldest
    presence.isArmed = next !== undefined
    if (next === undefined) return
    context.after('expire', Math.max(0, Math.ceil(next.deadlineMs - context.clock.nowMs())), 'expire')
  }

  async function tellGone(presence: PresenceState, userId: number, context: ActorContext): Promise<void> {
    try {
      const chatIds = await context.store.chatIdsOf({ userId })
      // A change that was open when its time was over has told that the user is here.
      if (presence.statusOf(userId) === undefined) tell(chatIds ?? [], statusLine(userId, OFFLINE, 0), context)
    } catch (error) {
      // Nobody waits for an answer, and nobody is told: a list shows it.
      feeds.untold(context, { problem: problemOf(error).text })
    }
  }

  function tell(chatIds: readonly number[], line: string, context: ActorContext): void {
    for (const chatId of chatIds) feeds.publish(context, feedOf(chatId), line)
  }
}

function list(presence: PresenceState, after: number, context: ActorContext): readonly Present[] {
  const nowMs = context.clock.nowMs()
  return presence.list(after, nowMs, PRESENCE_LISTED_MAX).map(({ key: userId, value, deadlineMs }) => ({
    userId,
    status: value.status,
    updatedAt: value.updatedAt,
    expiresIn: secondsUntil(deadlineMs, nowMs),
  }))
}

function statusNow(status: string, { clock }: ActorContext): { status: string; updatedAt: number } {
  return { status, updatedAt: Math.floor(clock.wallMs() / 1_000) }
}
