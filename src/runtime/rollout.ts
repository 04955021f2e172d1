// What moves shards: a reload, another number of shards, a hot shard relieved, a full one replaced. One at a time. New
// threads first, then the slots with all that is on them, then the connections; old threads end when they are empty.

import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../lib/clock.ts'
import { PolyloopError } from '../lib/errors.ts'
import { SHARDS_MAX, shardOfSeat, threadOfSeat } from '../lib/thread.ts'
import type { ActionAnswer } from '../observe/admin-server.ts'
import { errorFields, type Logger } from '../observe/logger.ts'
import { type MigrationReport, NO_MIGRATION } from '../observe/report.ts'
import type { SlotTable, SlotTransfer } from '../placement/slots.ts'
import type { MoveProgress } from './connection-mover.ts'
import type { SeatBook } from './seat-book.ts'
import type { SlotMover } from './slot-mover.ts'

/** How often the shards are asked how far they are. */
const FOLLOW_MS = 100
/** Connections that could move and have not after so long are treated as those that cannot. */
const FOLLOW_MS_MAX = 120_000
/** A shard that does not answer so often in a row is gone: a busy one is not empty, and must not be ended as such. */
const UNANSWERED_MAX = 10
/** How long connections that are closed because they cannot move have for their good-bye. */
const GOODBYE_MS = 6_000

/** For as long as a shard takes to come back, a few times. */
const MOVE_ATTEMPTS = 20
const MOVE_RETRY_MS = 1_000

/** What a rollout does to threads. */
export interface RolloutThreads {
  /** Settles when the thread is ready and the acceptor gives connections to it. */
  start(seat: number): Promise<void>
  /** The acceptor gives nothing to it any more, and what it gave has arrived. */
  leave(seat: number): Promise<void>
  retire(seat: number): Promise<unknown>
  /** Undefined: it has died, or does not answer in time. */
  progress(seat: number): Promise<MoveProgress | undefined>
  /** Connections of a shard on as few slots as possible. */
  slotsWith(seat: number, connections: number): Promise<Uint16Array | undefined>
  /** Closes what is left with 1012. */
  drain(seat: number, graceMs: number): Promise<unknown>
  end(seat: number): Promise<void>
  /** It is not replaced when it dies. */
  letGo(seat: number): void
}

export interface RolloutOptions {
  readonly book: SeatBook
  readonly mover: SlotMover
  readonly slots: SlotTable
  readonly threads: RolloutThreads
  readonly clock: Clock
  readonly log: Logger
  readonly graceMs: () => number
  /** Reads configuration and code anew; threads that start from then on run with them. Throws RELOAD_REFUSED. */
  readonly renew: () => Promise<{ readonly shards: number }>
  /** The same for the acceptor, when the shards are done. */
  readonly renewAcceptor: () => Promise<void>
  readonly setShardCount: (count: number) => void
}

type Kind = Exclude<MigrationReport['kind'], null>

export class Rollout {
  readonly #options: RolloutOptions
  #report: MigrationReport = NO_MIGRATION
  #busy = false
  /** Ends the grace of seats that linger. */
  #hurry = Promise.withResolvers<void>()
  readonly #lingering = new Map<number, Promise<void>>()
  /** By seat: connections that cannot move. */
  readonly #staying = new Map<number, number>()
  #closed = false
  /** What each seat had moved and failed to when it was last followed to the end. */
  readonly #counted = new Map<number, MoveProgress>()

  constructor(options: RolloutOptions) {
    this.#options = options
  }

  get report(): MigrationReport {
    return this.#report
  }

  /** No further rollout; the runtime ends. */
  close(): void {
    this.#closed = true
    this.#hurry.resolve()
  }

  /** New threads with new code and configuration take over from all shards. */
  async reload(): Promise<ActionAnswer> {
    if (this.#busy || this.#closed) return { outcome: 'refused', reason: 'another move is under way' }
    this.#busy = true
    let shards: number
    try {
      shards = (await this.#options.renew()).shards
    } catch (error) {
      this.#busy = false
      if (!(error instanceof PolyloopError)) throw error
      this.#options.log.warn('runtime.reload_refused', errorFields(error))
      return { outcome: 'refused', reason: reasonOf(error) }
    }
    this.#run('reload', async () => {
      await this.#replaceAll(shards)
      await this.#options.renewAcceptor()
    })
    return { outcome: 'accepted' }
  }

  /** The number of shards becomes `count`. */
  setShards(count: number): ActionAnswer {
    if (this.#busy || this.#closed) return { outcome: 'refused', reason: 'another move is under way' }
    if (count < 1 || count > SHARDS_MAX) return { outcome: 'refused', reason: `there are 1 to ${SHARDS_MAX} shards` }
    this.#busy = true
    this.#run('shards', () => this.#resize(count))
    return { outcome: 'accepted' }
  }

  /** So many connections of a shard, with all that is on their slots, go to another one. */
  migrate(from: number, to: number, connections: number): ActionAnswer {
    const { book } = this.#options
    const [fromSeat, toSeat] = [book.seatOf(from), book.seatOf(to)]
    if (fromSeat === undefined || toSeat === undefined) return { outcome: 'unknown_shard' }
    if (this.#busy || this.#closed) return { outcome: 'refused', reason: 'another move is under way' }
    this.#busy = true
    this.#run('rebalance', async () => {
      const slots = await this.#options.threads.slotsWith(fromSeat, connections)
      if (slots === undefined || slots.length === 0) return
      await this.#options.mover.move(slots, fromSeat, toSeat)
      await this.#follow([fromSeat])
    })
    return { outcome: 'accepted' }
  }

  /** A shard's heap is too full: a fresh thread takes over. False: not now. */
  replace(shard: number): boolean {
    if (this.#busy || this.#closed) return false
    this.#busy = true
    // It cannot wait for those that cannot move: its heap is full.
    this.#run('replace', () => this.#replaceSome([shard], 0))
    return true
  }

  #run(kind: Kind, work: () => Promise<void>): void {
    const { clock, log } = this.#options
    this.#report = { ...NO_MIGRATION, state: 'moving', kind, started_ms: clock.wallMs() }
    const startMs = clock.nowMs()
    log.info('runtime.move_started', { move: kind })
    void work().then(
      () => {
        this.#busy = false
        const { moved, failed, lingering } = this.#report
        this.#report = {
          ...this.#report,
          remaining: 0,
          state: lingering > 0 ? 'lingering' : 'idle',
          finished_ms: clock.wallMs(),
        }
        const seconds = Number(((clock.nowMs() - startMs) / 1000).toFixed(3))
        log.info('runtime.move_done', { move: kind, seconds, connections: moved, failed, lingering })
      },
      (error: unknown) => {
        this.#busy = false
        if (this.#closed) return
        const text = error instanceof Error ? error.message : String(error)
        this.#report = { ...this.#report, state: 'idle', error: text, finished_ms: clock.wallMs() }
        log.error('runtime.rollout_failed', { move: kind, ...errorFields(error) })
      },
    )
  }

  async #replaceAll(count: number): Promise<void> {
    const { book } = this.#options
    const kept = Math.min(count, book.count)
    await this.#replaceSome(Array.from({ length: kept }, (_, shard) => shard))
    if (count !== book.count) await this.#resize(count)
  }

  /** Fresh threads for these shards. */
  async #replaceSome(shards: readonly number[], graceMs = this.#options.graceMs()): Promise<void> {
    const { book, slots } = this.#options
    await this.#clearSeats(shards)
    const pairs = shards.map((shard) => ({
      shard,
      from: book.seatOf(shard) as number,
      to: book.freeSeat(shard) as number,
    }))
    await this.#startAll(pairs.map(({ to }) => to))
    for (const { shard, to } of pairs) book.take(shard, to)
    await this.#transfer(pairs.map(({ from, to }) => ({ from, to, slots: slots.slotsOf(from) })))
    await this.#retireAll(
      pairs.map(({ from }) => from),
      graceMs,
    )
  }

  async #resize(count: number): Promise<void> {
    const { book, slots, setShardCount } = this.#options
    setShardCount(count)
    if (count > book.count) {
      const added = Array.from({ length: count - book.count }, (_, index) => book.count + index)
      await this.#clearSeats(added)
      const seats = added.map((shard) => book.freeSeat(shard) as number)
      await this.#startAll(seats)
      for (const [index, shard] of added.entries()) book.take(shard, seats[index] as number)
      await this.#transfer(slots.plan(book.seats))
      await this.#follow(book.seats)
    } else if (count < book.count) {
      const ending = book.seats.slice(count)
      book.shrink(count)
      await this.#transfer(slots.plan(book.seats))
      await this.#retireAll(ending, this.#options.graceMs())
    }
  }

  /** A predecessor that still lingers on the seat a shard needs has had its time. */
  async #clearSeats(shards: readonly number[]): Promise<void> {
    if (shards.every((shard) => this.#options.book.freeSeat(shard) !== undefined)) return
    this.#hurry.resolve()
    await Promise.all(this.#lingering.values())
    this.#hurry = Promise.withResolvers()
    // Left over by a rollout that failed: its connections had every chance.
    const left = this.#options.book.retiring.filter((seat) => shards.includes(shardOfSeat(seat)))
    await Promise.all(left.map((seat) => this.#endLater(seat, 0)))
  }

  async #startAll(seats: readonly number[]): Promise<void> {
    const { threads } = this.#options
    const results = await Promise.allSettled(seats.map((seat) => threads.start(seat)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed === undefined) return
    // As before: nothing has moved yet.
    await Promise.all(seats.map((seat) => threads.end(seat)))
    throw failed.reason
  }

  async #transfer(transfers: readonly SlotTransfer[]): Promise<void> {
    await Promise.all(transfers.map((transfer) => this.#move(transfer)))
  }

  /** A move that could not begin, because one of the two had died, is tried again with its successor. */
  async #move({ slots, from, to }: SlotTransfer): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#options.mover.move(slots, from, to)
      // The slots are where they should be; what a dead thread had is lost, and its death was logged.
      if (outcome === 'cut') this.#report = { ...this.#report, error: 'a shard died while its slots moved' }
      if (outcome !== 'dropped' || this.#closed) return
      if (attempt === MOVE_ATTEMPTS) throw new PolyloopError('THREAD_FAILED', { reason: 'slots could not be moved' })
      await pause(MOVE_RETRY_MS)
    }
  }

  async #retireAll(seats: readonly number[], graceMs: number): Promise<void> {
    const { book, mover, threads, log } = this.#options
    for (const seat of seats) {
      threads.letGo(seat)
      // A connection may be at home on any shard, not only on the successor of the one it is on.
      for (const other of book.seats) mover.join(threadOfSeat(seat), threadOfSeat(other))
    }
    await Promise.all(seats.map((seat) => threads.leave(seat)))
    await Promise.all(seats.map((seat) => threads.retire(seat)))
    const left = await this.#follow(seats)
    for (const seat of seats) {
      const lingering = left.get(seat) ?? 0
      if (lingering > 0)
        log.info('runtime.shard_lingers', { of: shardOfSeat(seat), connections: lingering, grace_ms: graceMs })
      this.#staying.set(seat, lingering)
      const ended = this.#endLater(seat, lingering > 0 ? graceMs : 0).finally(() => this.#lingering.delete(seat))
      this.#lingering.set(seat, ended)
      if (lingering === 0 || graceMs === 0) await ended
    }
  }

  /** Waits until nothing is left on these seats that can move; answers what is left on them. */
  async #follow(seats: readonly number[]): Promise<Map<number, number>> {
    const { clock } = this.#options
    const untilMs = clock.nowMs() + FOLLOW_MS_MAX
    const before = this.#report
    for (;;) {
      const progress = await Promise.all(seats.map((seat) => this.#progressOf(seat)))
      const sum = (of: keyof MoveProgress): number => progress.reduce((total, one) => total + (one?.[of] ?? 0), 0)
      const counted = (of: 'moved' | 'failed'): number =>
        seats.reduce((total, seat) => total + (this.#counted.get(seat)?.[of] ?? 0), 0)
      const remaining = sum('remaining')
      this.#report = {
        ...this.#report,
        moved: before.moved + sum('moved') - counted('moved'),
        failed: before.failed + sum('failed') - counted('failed'),
        lingering: before.lingering + sum('lingering'),
        remaining,
      }
      if (remaining === 0 || clock.nowMs() > untilMs || this.#closed) {
        for (const [index, seat] of seats.entries()) if (progress[index]) this.#counted.set(seat, progress[index])
        return new Map(
          seats.map((seat, index) => [seat, (progress[index]?.lingering ?? 0) + (progress[index]?.remaining ?? 0)]),
        )
      }
      await pause(FOLLOW_MS)
    }
  }

  /** Undefined: it is gone. */
  async #progressOf(seat: number): Promise<MoveProgress | undefined> {
    for (let unanswered = 0; unanswered < UNANSWERED_MAX && !this.#closed; unanswered++) {
      const progress = await this.#options.threads.progress(seat)
      if (progress !== undefined) return progress
      await pause(FOLLOW_MS)
    }
    return undefined
  }

  /** Ends a seat: at once if it is empty, else when it is, or when its grace is over. */
  async #endLater(seat: number, graceMs: number): Promise<void> {
    const { threads, book, clock } = this.#options
    const untilMs = clock.nowMs() + graceMs
    let hurried = false
    void this.#hurry.promise.then(() => {
      hurried = true
    })
    while (!hurried && clock.nowMs() < untilMs) {
      const progress = await this.#progressOf(seat)
      if (progress === undefined || progress.remaining + progress.lingering === 0) break
      this.#staying.set(seat, progress.lingering)
      this.#report = { ...this.#report, lingering: [...this.#staying.values()].reduce((sum, count) => sum + count, 0) }
      await Promise.race([pause(FOLLOW_MS * 10), this.#hurry.promise])
    }
    if (this.#closed) return
    await threads.drain(seat, GOODBYE_MS)
    await threads.end(seat)
    book.gone(seat)
    this.#staying.delete(seat)
    this.#counted.delete(seat)
    if (this.#report.state === 'lingering' && this.#lingering.size <= 1) {
      this.#report = { ...this.#report, state: 'idle', lingering: 0 }
    }
  }
}

function reasonOf(error: PolyloopError): string {
  const { problems, reason } = error.details
  if (Array.isArray(problems)) return problems.map(String).join('; ')
  return reason === undefined ? error.message : `${error.message}: ${String(reason)}`
}
