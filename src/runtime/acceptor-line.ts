// Main's side of the acceptor: its life, the ports that join it to the shards, and how a new one takes over from it.
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { shardOfSeat, THREAD, threadOfSeat } from '../lib/thread.ts'
import type { ListeningAddress } from '../net/listener-spec.ts'
import type { FigureTable } from '../observe/figure.ts'
import type { Logger } from '../observe/logger.ts'
import { lineOf } from './acceptor.ts'
import { controlOf, moving, type Remote } from './control.ts'
import type { Supervisor } from './supervisor.ts'
import type { AcceptorControl, ShardControl } from './thread-data.ts'
import { type ThreadSpawner, tryCall } from './thread-spawner.ts'

/** Nobody accepts while the listening sockets change hands: after so long they are given up, and opened anew. */
const TAKE_MS = 5_000
/** A predecessor that holds connections longer than this loses them. */
const LEAVE_MS = 20_000

export interface AcceptorLineOptions {
  readonly table: FigureTable
  readonly log: Logger
  readonly spawner: ThreadSpawner
  readonly supervisor: () => Supervisor
  readonly timeoutMs: () => number
  /** By seat. */
  readonly shards: ReadonlyMap<number, Remote<ShardControl>>
}

export class AcceptorLine {
  addresses: readonly ListeningAddress[] = []
  #thread: number = THREAD.acceptor
  #control: Remote<AcceptorControl> | undefined
  /** The successor, until it has taken over. */
  #next: { readonly thread: number; readonly control: Remote<AcceptorControl> } | undefined
  readonly #options: AcceptorLineOptions

  constructor(options: AcceptorLineOptions) {
    this.#options = options
  }

  get thread(): number {
    return this.#thread
  }

  get control(): Remote<AcceptorControl> | undefined {
    return this.#control
  }

  /** Has a thread begin that was spawned; the first one, or after a crash, it opens the listeners itself. */
  async start(thread: number, port: MessagePort): Promise<void> {
    const control = controlOf<AcceptorControl>(port)
    const addresses = await control.start()
    if (addresses.length > 0) this.addresses = addresses
    // First of all: a shard that becomes ready while the others are joined is joined by `connect`.
    if (thread === this.#thread) this.#control = control
    else this.#next = { thread, control }
    await Promise.all([...this.#options.shards].map(([seat, shard]) => this.#join(seat, shard, control, thread)))
  }

  /** A shard is there. */
  async connect(seat: number, shard: Remote<ShardControl>): Promise<void> {
    const joins: Promise<void>[] = []
    if (this.#control !== undefined) joins.push(this.#join(seat, shard, this.#control, this.#thread))
    if (this.#next !== undefined) joins.push(this.#join(seat, shard, this.#next.control, this.#next.thread))
    await Promise.all(joins)
  }

  down(thread: number): void {
    if (thread === this.#thread) this.#control = undefined
  }

  shardDown(seat: number): void {
    void this.#call('shardDown', this.#control?.shardDown(seat))
  }

  async shardLeaving(seat: number): Promise<void> {
    await this.#call('shardLeaving', this.#control?.shardLeaving(seat))
  }

  async stop(): Promise<void> {
    await this.#call('stop', this.#control?.stop())
  }

  /**
   * A new acceptor, with configuration and code as they are now, takes the listening sockets. What connects meanwhile
   * waits in the kernel; what the old one still reads goes its way from there.
   */
  async renew(): Promise<void> {
    const { spawner, supervisor, log } = this.#options
    const before = this.#control
    if (before === undefined || !spawner.rawHandoff) return
    const old = this.#thread
    const next = old === THREAD.acceptor ? THREAD.nextAcceptor : THREAD.acceptor
    spawner.inherits = true
    try {
      await supervisor().start(next)
    } catch (error) {
      // The old one goes on; this one would be started again and again, and open the listeners itself.
      this.#next = undefined
      await supervisor().end(next)
      throw error
    } finally {
      spawner.inherits = false
    }
    const after = this.#next?.control
    if (after === undefined) return
    this.#next = undefined
    supervisor().letGo(old)
    this.#thread = next
    this.#control = after
    const { port1, port2 } = new MessageChannel()
    const given = before.giveListeners(moving(port1, [port1]))
    const taking = after.takeListeners(moving(port2, [port2])).then(() => true)
    const isTaken = await tryCall(log, 'takeListeners', 'acceptor', TAKE_MS, taking)
    if (isTaken === undefined) {
      // One of the two died or hangs, and the sockets with it: who comes next opens them anew. That the old one did not
      // give them is no news then.
      given.catch(() => {})
      await supervisor().end(old)
      if (this.#control === after) supervisor().restart(next)
    }
    for (const thread of spawner.shards) spawner.notify(thread, { kind: 'acceptor', thread: next })
    if (isTaken === undefined) return
    await tryCall(log, 'giveListeners', 'acceptor', LEAVE_MS, given)
    await supervisor().end(old)
  }

  async #join(seat: number, to: Remote<ShardControl>, from: Remote<AcceptorControl>, acceptor: number): Promise<void> {
    const { table, log, timeoutMs } = this.#options
    // A hung one may come back: until then the acceptor sees its state and goes round it.
    const state = table.state(threadOfSeat(seat))
    if (state !== 'ready' && state !== 'hung') return
    const { port1, port2 } = new MessageChannel()
    const accepting = to.acceptFrom(moving(port2, [port2]), lineOf(acceptor))
    await Promise.all([
      tryCall(log, 'acceptFrom', `shard ${shardOfSeat(seat)}`, timeoutMs(), accepting),
      this.#call('shardUp', from.shardUp(seat, moving(port1, [port1]))),
    ])
  }

  #call<T>(call: string, answer: Promise<T> | undefined): Promise<T | undefined> {
    return tryCall(this.#options.log, call, 'acceptor', this.#options.timeoutMs(), answer)
  }
}
