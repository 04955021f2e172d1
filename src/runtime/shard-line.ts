// Main's side of the shards: their controls by seat, and what a rollout has them do. Every call has a deadline, because
// a dead shard never answers.
import type { MessagePort } from 'node:worker_threads'
import { shardOfSeat, threadOfSeat } from '../lib/thread.ts'
import type { Exposition } from '../observe/exposition.ts'
import type { FigureTable } from '../observe/figure.ts'
import type { Logger } from '../observe/logger.ts'
import type { AcceptorLine } from './acceptor-line.ts'
import type { MoveProgress } from './connection-mover.ts'
import { controlOf, type Remote } from './control.ts'
import type { RolloutThreads } from './rollout.ts'
import type { Supervisor } from './supervisor.ts'
import type { ShardControl } from './thread-data.ts'
import { type ThreadSpawner, tryCall } from './thread-spawner.ts'

export interface ShardLineOptions {
  readonly table: FigureTable
  readonly log: Logger
  readonly spawner: ThreadSpawner
  readonly supervisor: () => Supervisor
  readonly acceptor: () => AcceptorLine
  readonly exposition: () => Exposition
  readonly timeoutMs: () => number
}

export class ShardLine implements RolloutThreads {
  readonly #options: ShardLineOptions
  readonly #controls = new Map<number, Remote<ShardControl>>()
  /** By seat: settles when the acceptor gives it connections. */
  readonly #joining = new Map<number, Promise<void>>()

  constructor(options: ShardLineOptions) {
    this.#options = options
  }

  /** Of the shards that live, by seat. */
  get controls(): ReadonlyMap<number, Remote<ShardControl>> {
    return this.#controls
  }

  /** Has a thread begin that was spawned. */
  async begin(seat: number, port: MessagePort): Promise<void> {
    const control = controlOf<ShardControl>(port)
    await control.start()
    this.#controls.set(seat, control)
  }

  // In this order: the acceptor looks at the state of a shard, which the supervisor set just before.
  ready(seat: number): void {
    const control = this.#controls.get(seat)
    if (control !== undefined) this.#joining.set(seat, this.#options.acceptor().connect(seat, control))
  }

  down(seat: number): void {
    this.#controls.delete(seat)
  }

  /** A shard that joins the others while they run. */
  async start(seat: number): Promise<void> {
    await this.#options.supervisor().start(threadOfSeat(seat))
    await this.#joining.get(seat)
  }

  leave(seat: number): Promise<void> {
    return this.#options.acceptor().shardLeaving(seat)
  }

  retire(seat: number): Promise<unknown> {
    return this.#call(seat, 'retire', (shard) => shard.retire())
  }

  progress(seat: number): Promise<MoveProgress | undefined> {
    return this.#call(seat, 'progress', (shard) => shard.progress())
  }

  slotsWith(seat: number, connections: number): Promise<Uint16Array | undefined> {
    return this.#call(seat, 'slotsWith', (shard) => shard.slotsWith(connections))
  }

  /** Closes what is left, as for a restart, and stops. */
  async drain(seat: number, graceMs: number): Promise<void> {
    await this.close(seat, 1012, 'service restart', graceMs)
    await this.stop(seat, graceMs)
  }

  /** Stops its services and actors. */
  stop(seat: number, graceMs: number): Promise<unknown> {
    const { spawner } = this.#options
    return this.#call(seat, 'stop', (shard) => spawner.answerOf(threadOfSeat(seat), shard.stop(graceMs)), graceMs)
  }

  /** Closes its connections; how many were left. Undefined: it did not answer. */
  close(seat: number, code: number, reason: string, graceMs: number): Promise<number | undefined> {
    const ask = (shard: Remote<ShardControl>): Promise<number | undefined> =>
      this.#options.spawner.answerOf(threadOfSeat(seat), shard.drain(code, reason, graceMs))
    return this.#call(seat, 'drain', ask, graceMs)
  }

  async end(seat: number): Promise<void> {
    const { exposition, supervisor } = this.#options
    await exposition().keep(threadOfSeat(seat), this.#controls.get(seat)?.collect())
    await supervisor().end(threadOfSeat(seat))
  }

  letGo(seat: number): void {
    this.#options.table.setState(threadOfSeat(seat), 'draining')
    this.#options.supervisor().letGo(threadOfSeat(seat))
  }

  #call<T>(
    seat: number,
    call: string,
    ask: (shard: Remote<ShardControl>) => Promise<T>,
    extraMs = 0,
  ): Promise<T | undefined> {
    const { log, timeoutMs } = this.#options
    const control = this.#controls.get(seat)
    return tryCall(log, call, `shard ${shardOfSeat(seat)}`, extraMs + timeoutMs(), control && ask(control))
  }
}
