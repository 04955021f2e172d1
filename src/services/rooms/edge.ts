// What the connections of one shard have in common: the way to the room, what comes from it, the files they read, and
// the look after those that do not read.
import { randomUUID } from 'node:crypto'
import type { Connection } from '../../net/connection.ts'
import { errorFields, type LimitedLogger } from '../../observe/logger.ts'
import type { ServiceContext } from '../service.ts'
import { Batch } from './batch.ts'
import type { RoomsConfig } from './config.ts'
import { type RoomsCounters, roomsCounters } from './counter.ts'
import type { Member } from './member.ts'
import { FEED, ROOM_ID, roomActor, spoolBytesHere } from './room-actor.ts'
import { RoomLink } from './room-link.ts'
import { SpoolReaders } from './spool-reader.ts'

export type EdgeContext = Pick<
  ServiceContext<RoomsConfig>,
  'config' | 'clock' | 'log' | 'metrics' | 'after' | 'actor' | 'subscribe' | 'shard'
>

/** How often members are asked whether they read. A stalled one is noticed so much later. */
const LOOK_EVERY_MS = 1_000
const LOGGED_PER_SECOND = 5

export class RoomsEdge {
  readonly context: EdgeContext
  readonly counters: RoomsCounters
  readonly link: RoomLink
  readonly readers = new SpoolReaders()
  /** What a client or a disk can provoke. */
  readonly logged: Readonly<Record<'dropped' | 'disk' | 'gap', LimitedLogger>>
  readonly #members = new Set<Member>()
  /** Accepted by the room, which waits for them from then on; their own join is on its way. */
  readonly #entering = new Set<Member>()
  /** What a subscription said to connections that are arriving: all within one call, so there is no limit of its own. */
  readonly #early = new Map<number, Uint8Array[]>()
  #batch: Batch | undefined
  #cancelLook: (() => void) | undefined

  constructor(context: EdgeContext) {
    this.context = context
    this.counters = roomsCounters(context.metrics, spoolBytesHere)
    const { log } = context
    this.logged = {
      dropped: log.limited('rooms.recipient_dropped', LOGGED_PER_SECOND),
      disk: log.limited('rooms.spool_failed', LOGGED_PER_SECOND),
      gap: log.limited('rooms.messages_missed', LOGGED_PER_SECOND),
    }
    const silent = log.limited('rooms.room_silent', LOGGED_PER_SECOND)
    const room = context.actor(roomActor(context.config), ROOM_ID)
    this.link = new RoomLink({
      life: randomUUID(),
      shard: context.shard.id,
      ask: (turn) => room.ask('turn', turn),
      after: context.after,
      lost: () => this.lose(),
      failed: (error) => silent.warn(errorFields(error)),
      hasMembers: () => this.#members.size + this.#entering.size > 0,
    })
    this.link.hello()
  }

  subscribe(connection: Connection): ReturnType<EdgeContext['subscribe']> {
    return this.context.subscribe(connection, FEED)
  }

  /** The room has somebody who does not know yet. */
  accepted(member: Member): void {
    this.#entering.add(member)
    this.link.beat()
  }

  /** Somebody is in the room, on this shard. */
  add(member: Member): void {
    this.#entering.delete(member)
    this.#members.add(member)
    this.counters.members.value = this.#members.size
    this.link.beat()
    // What came while it was joining is not told yet, and somebody may wait for that.
    if (this.#members.size === 1) this.link.hello()
    this.#cancelLook ??= this.context.after(LOOK_EVERY_MS, () => this.#look())
  }

  remove(member: Member): void {
    this.#entering.delete(member)
    this.#members.delete(member)
    this.counters.members.value = this.#members.size
  }

  /** The records in `bytes`, which go to many connections one after the other. */
  batchOf(bytes: Uint8Array): Batch {
    if (this.#batch?.bytes === bytes) return this.#batch
    const batch = new Batch(bytes)
    this.#batch = batch
    const [first] = batch.records
    if (first !== undefined) this.link.begunAnew(first.epoch)
    this.link.consumed(batch.position)
    return batch
  }

  /** The connection has no member yet: it is on its way here. */
  keepEarly(connection: number, bytes: Uint8Array): void {
    const early = this.#early.get(connection)
    if (early === undefined) this.#early.set(connection, [bytes])
    else early.push(bytes)
  }

  takeEarly(connection: number): readonly Uint8Array[] {
    const early = this.#early.get(connection)
    this.#early.delete(connection)
    return early ?? []
  }

  /** The room is another one than they were in: nobody can know what they missed. */
  lose(): void {
    const members = [...this.#members, ...this.#entering]
    if (members.length === 0) return
    this.context.log.warn('rooms.room_lost', { members: members.length })
    for (const member of members) member.end()
  }

  stop(): Promise<void> {
    this.#cancelLook?.()
    this.#members.clear()
    this.#entering.clear()
    return this.link.stop()
  }

  #look(): void {
    this.#cancelLook = undefined
    if (this.#members.size === 0) return
    this.#cancelLook = this.context.after(LOOK_EVERY_MS, () => this.#look())
    const nowMs = this.context.clock.nowMs()
    for (const member of [...this.#members]) member.look(nowMs)
  }
}
