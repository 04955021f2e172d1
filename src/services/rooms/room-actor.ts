// The actor that the room is, and the topic it speaks through. Both are in one slot, so they live on one thread: either
// both are there, in order, or the room begins anew and every shard notices by its epoch.
import { randomInt } from 'node:crypto'
import type { ActorContext } from '../../actor/context.ts'
import { type ActorDefinition, defineActor } from '../../actor/definition.ts'
import { defineTopic } from '../../actor/topic-definition.ts'
import { errorFields, type LimitedLogger } from '../../observe/logger.ts'
import type { RoomsConfig } from './config.ts'
import { type FrozenRoom, Room, type RoomOutput } from './room.ts'
import { SpoolDirectory } from './spool-directory.ts'
import type { Turn, TurnAnswer } from './turn.ts'

export const ROOM_KIND = 'rooms-room'
export const ROOM_ID = 'main'
/** Its number makes `topic/…` hash to the slot of `rooms-room/main`; a test finds it. */
export const FEED = 'rooms-feed.9228'

const EPOCH_MAX = 2 ** 32
const LOOK_EVERY_MS = 1_000
const FLUSH_EVERY_MS = 5
const LOGGED_PER_SECOND = 5
/** Without a shard that has members; with one a timer keeps it. */
const IDLE_MS = 60_000

/** What shards hear. Nothing is kept, and hosts do not share it: a room is one host's. */
export const feed = defineTopic<Uint8Array>({ kind: 'rooms-feed', slow: 'disconnect', scope: 'host' })

export type RoomHandlers = {
  readonly turn: (state: RoomState, turn: Turn, context: ActorContext) => TurnAnswer | Promise<TurnAnswer>
}

interface FrozenState {
  readonly room: FrozenRoom
  readonly unsent: readonly Uint8Array[]
  readonly isPrepared: boolean
}

/** Of this thread, for the metric; one that has moved away is empty. */
let latest: RoomState | undefined

export function spoolBytesHere(): number {
  return latest?.room.ledger.bytes ?? 0
}

export class RoomState {
  readonly room: Room
  /** Records that the way to the topic had no room for, which holds up all turns. */
  unsent: Uint8Array[] = []
  /** The directory of the spool is there. */
  isPrepared = false
  lookedMs = 0
  failed: LimitedLogger | undefined

  constructor(room: Room) {
    this.room = room
    latest = this
  }
}

export function roomActor(config: RoomsConfig): ActorDefinition<RoomState, RoomHandlers> {
  const directory = new SpoolDirectory(config.spoolDirectory, process.pid)
  return defineActor({
    kind: ROOM_KIND,
    create: () => stateOf(randomInt(1, EPOCH_MAX)),
    idleAfter: IDLE_MS,
    on: {
      turn: (state, turn: Turn, context) => {
        // The first that needs the disk; the others wait for it.
        const needsDisk = !state.isPrepared && turn.items.some(({ kind }) => kind === 'spool')
        return needsDisk ? prepare(state, context).then(() => take(state, turn, context)) : take(state, turn, context)
      },
      look: (state, _none: undefined, context) => look(state, context),
      flush: (state, _none: undefined, context) => flush(state, context),
    },
    freeze: (state): FrozenState => ({
      room: state.room.freeze(),
      unsent: state.unsent,
      isPrepared: state.isPrepared,
    }),
    thaw: (frozen: FrozenState) => {
      const state = stateOf(frozen.room.epoch, frozen.room)
      state.unsent = [...frozen.unsent]
      state.isPrepared = frozen.isPrepared
      return state
    },
    passivated: (state) => (state.isPrepared ? directory.close() : undefined),
  }) as unknown as ActorDefinition<RoomState, RoomHandlers>

  function stateOf(epoch: number, frozen?: FrozenRoom): RoomState {
    return new RoomState(new Room(epoch, config.maxSpoolBytes, (file) => directory.pathOf(epoch, file), frozen))
  }

  function take(state: RoomState, turn: Turn, context: ActorContext): TurnAnswer {
    const hadLives = state.room.lives > 0
    const answer = state.room.turn(turn, outputOf(state, context))
    if (!hadLives && state.room.lives > 0) {
      state.lookedMs = context.clock.nowMs()
      context.every('look', LOOK_EVERY_MS, 'look')
      // Contents of others, perhaps private ones: not to wait until somebody needs the disk.
      directory.sweep().catch((error: unknown) => spoolFailed(state, context, error))
    }
    tidy(state, context)
    return answer
  }

  async function prepare(state: RoomState, context: ActorContext): Promise<void> {
    try {
      await directory.prepare()
      state.isPrepared = true
    } catch (error) {
      // Opening a file will fail then, and is answered to the sender.
      context.log.error('rooms.spool_failed', errorFields(error))
    }
  }

  function look(state: RoomState, context: ActorContext): void {
    const nowMs = context.clock.nowMs()
    // It was stopped itself, or on its way: nobody could be heard.
    const wasAway = nowMs - state.lookedMs > 2 * LOOK_EVERY_MS
    state.lookedMs = nowMs
    if (wasAway) return
    const members = state.room.look(outputOf(state, context))
    if (members > 0) context.log.warn('rooms.members_lost', { members })
    if (state.room.lives === 0) context.cancel('look')
    tidy(state, context)
  }

  function tidy(state: RoomState, context: ActorContext): void {
    for (const path of state.room.ledger.takeUnneeded()) {
      directory.remove(path).catch((error: unknown) => spoolFailed(state, context, error))
    }
  }
}

function spoolFailed(state: RoomState, context: ActorContext, error: unknown): void {
  state.failed ??= context.log.limited('rooms.spool_failed', LOGGED_PER_SECOND)
  state.failed.error(errorFields(error))
}

function outputOf(state: RoomState, context: ActorContext): RoomOutput {
  return {
    nowMs: context.clock.nowMs(),
    wallMs: context.clock.wallMs(),
    get blocked(): boolean {
      return state.unsent.length > 0
    },
    publish(record) {
      if (state.unsent.length === 0 && context.publish(FEED, record)) return
      state.unsent.push(record)
      context.after('flush', FLUSH_EVERY_MS, 'flush')
    },
  }
}

function flush(state: RoomState, context: ActorContext): void {
  let sent = 0
  while (sent < state.unsent.length && context.publish(FEED, state.unsent[sent])) sent++
  state.unsent = state.unsent.slice(sent)
  if (state.unsent.length > 0) context.after('flush', FLUSH_EVERY_MS, 'flush')
}
