// Brings open connections to the shard that owns their slot, a few at a time: the new shard holds what it has for them,
// the old one lets their output drain, freezes them and posts their handles. What cannot move stays until it ends.
//
//     old                                  new
//      │ ── will-move, port ──────────────▶ │  from here it holds what is sent to them
//      │ ◀──────────── holding, ring ────── │  behind what it had passed on before
//      │  output drains, freeze             │
//      │ ── connection + handle, port ────▶ │  thaw, then what was held
//      │ ◀─────────────── took, port ────── │
import type { MessagePort } from 'node:worker_threads'
import type { Gates } from '../actor/gate.ts'
import type { Router } from '../actor/router.ts'
import type { Connection } from '../net/connection.ts'
import type { EventLoop } from '../net/event-loop.ts'
import type { FrozenConnection } from '../net/frozen-connection.ts'
import type { TcpHandle } from '../net/handoff.ts'
import { RECORD } from '../net/record.ts'
import { countArrived } from '../observe/figure.ts'
import { errorFields, type LimitedLogger } from '../observe/logger.ts'
import type { Cell, HistogramCell } from '../observe/metrics.ts'
import { slotOf } from '../placement/slots.ts'
import type { ConnectionPost } from './connection-post.ts'
import type { ArrivingConnection, ConnectionMoveMessage, Luggage } from './move-message.ts'

/** Connections on their way to one shard at a time: what arrives at once waits for each other. */
const BATCH_MAX = 32
/** A connection whose output does not drain in this time is tried again later. */
const DRAIN_MS = 100
/** How often is looked for connections that should not be here. */
const LOOK_MS = 250
/** How soon a record that found its ring full is tried again. */
const RETRY_MS = 5
/** An answer that does not come in this time will not: Node drops a handle when no descriptor is left. */
const TOOK_MS = 5_000

export interface ConnectionMoverOptions {
  readonly self: number
  readonly loop: EventLoop
  readonly router: Router
  readonly post: ConnectionPost
  readonly portTo: (thread: number) => MessagePort | undefined
  readonly toThread: (thread: number, kind: number, head: Uint8Array, headBytes: number) => boolean
  readonly gates: Gates
  readonly thaw: (
    frozen: FrozenConnection,
    handle: TcpHandle,
    unpack: (connection: Connection) => void,
  ) => Connection | undefined
  /** What travels with a connection, and how it is taken up again. */
  readonly pack: (connection: Connection) => Luggage
  readonly unpack: (connection: Connection, luggage: Luggage) => void
  readonly onMoved: (id: number, to: number) => void
  readonly moved: Cell
  readonly failed: Cell
  readonly lingered: Cell
  readonly pause: HistogramCell
  readonly log: LimitedLogger
}

export interface MoveProgress {
  readonly moved: number
  readonly failed: number
  /** Should be elsewhere, and can still move. */
  readonly remaining: number
  /** Should be elsewhere, and cannot move. */
  readonly lingering: number
}

interface Batch {
  readonly to: number
  readonly left: Set<number>
  /** Of those left: what was posted, by id, with its service. */
  readonly posted: Map<number, number>
  readonly giveUp: () => void
}

export class ConnectionMover {
  readonly #options: ConnectionMoverOptions
  readonly #batches = new Map<number, Batch>()
  /** Threads to which a batch is on its way. */
  readonly #busy = new Set<number>()
  /** Their state cannot be cloned: they are not tried again. */
  readonly #stuck = new WeakSet<Connection>()
  readonly #lingered = new WeakSet<Connection>()
  #cancelLook: (() => void) | undefined
  #batchCount = 0
  #retiring = false
  #moved = 0
  #failed = 0

  constructor(options: ConnectionMoverOptions) {
    this.#options = options
  }

  /** Slots have moved: their connections follow. */
  start(): void {
    if (this.#cancelLook === undefined) this.#look()
  }

  /** Everything has to leave this shard. */
  retire(): void {
    this.#retiring = true
    this.start()
  }

  get progress(): MoveProgress {
    const { remaining, lingering } = this.#sort()
    return { moved: this.#moved, failed: this.#failed, remaining: remaining.length + this.#onTheWay(), lingering }
  }

  /** The new shard of a batch holds what it has for it. */
  holding(number: number): void {
    const batch = this.#batches.get(number)
    if (batch === undefined) return
    for (const id of [...batch.left]) {
      const connection = this.#options.loop.get(id)
      if (connection === undefined || !connection.movable) this.#wontMove(number, id)
      else {
        connection.drain(DRAIN_MS, (drained) => {
          if (drained) this.#send(number, connection)
          else this.#wontMove(number, id)
        })
      }
    }
  }

  receive(from: number, message: ConnectionMoveMessage): void {
    switch (message.kind) {
      case 'will-move': {
        this.#options.post.hold(message.ids, from)
        this.#sayHolding(from, message.batch)
        break
      }
      case 'connection': {
        const { arriving, gate } = message
        // At once, not when its gate opens: a third shard that hangs holds that up, and nothing gets lost here any more.
        this.#options
          .portTo(from)
          ?.postMessage({ kind: 'took', id: arriving.frozen.id } satisfies ConnectionMoveMessage)
        this.#options.gates.wait(from, gate, () => this.#take(arriving))
        break
      }
      case 'wont-move':
        this.#options.post.release(message.id)
        break
      case 'took':
        for (const [number, batch] of this.#batches) if (batch.to === from) this.#settle(number, message.id)
    }
  }

  /** What was on its way there is lost with it; the rest is tried again with its successor. */
  threadDown(thread: number): void {
    for (const [number, batch] of [...this.#batches])
      if (batch.to === thread) this.#lost(number, batch, 'its new shard died')
  }

  /** Until there is room for it in the ring. */
  #sayHolding(to: number, batch: number): void {
    const { loop, portTo, toThread } = this.#options
    if (portTo(to) === undefined) return
    const head = Buffer.alloc(4)
    head.writeUInt32LE(batch, 0)
    if (!toThread(to, RECORD.holding, head, head.length)) loop.after(RETRY_MS, () => this.#sayHolding(to, batch))
  }

  #look(): void {
    this.#cancelLook = undefined
    const { remaining } = this.#sort()
    const byTarget = new Map<number, number[]>()
    for (const connection of remaining) {
      const to = this.#options.router.ownerOf(slotOf(connection.session))
      const ids = byTarget.get(to)
      if (ids === undefined) byTarget.set(to, [connection.id])
      else if (ids.length < BATCH_MAX) ids.push(connection.id)
    }
    for (const [to, ids] of byTarget) this.#begin(to, ids)
    if (remaining.length === 0 && this.#batches.size === 0 && !this.#retiring) return
    this.#cancelLook = this.#options.loop.after(LOOK_MS, () => this.#look())
  }

  #lookNow(): void {
    this.#cancelLook?.()
    this.#look()
  }

  /** Connections that should be elsewhere: those that can go now, and how many cannot. */
  #sort(): { remaining: Connection[]; lingering: number } {
    const { loop, router, self, portTo, lingered } = this.#options
    const remaining: Connection[] = []
    let lingering = 0
    for (const connection of loop.connections()) {
      const to = router.ownerOf(slotOf(connection.session))
      const misplaced = to !== self && portTo(to) !== undefined
      if (misplaced && connection.movable && !this.#stuck.has(connection)) {
        if (!this.#isOnTheWay(connection.id)) remaining.push(connection)
      } else if (this.#retiring) {
        lingering++
        if (!this.#lingered.has(connection)) {
          this.#lingered.add(connection)
          lingered.value++
          if (!connection.movable) connection.retire()
        }
      }
    }
    return { remaining, lingering }
  }

  #begin(to: number, ids: readonly number[]): void {
    const port = this.#options.portTo(to)
    if (port === undefined || this.#busy.has(to)) return
    this.#busy.add(to)
    const number = ++this.#batchCount
    const cancel = this.#options.loop.after(TOOK_MS, () => {
      const batch = this.#batches.get(number)
      if (batch === undefined) return
      this.#lost(number, batch, 'no answer')
    })
    this.#batches.set(number, { to, left: new Set(ids), posted: new Map(), giveUp: cancel })
    port.postMessage({ kind: 'will-move', batch: number, ids } satisfies ConnectionMoveMessage)
  }

  #send(number: number, connection: Connection): void {
    const { gates, portTo } = this.#options
    const batch = this.#batches.get(number)
    const port = batch && portTo(batch.to)
    if (batch === undefined || port === undefined) return
    const { id, session } = connection
    const luggage = this.#options.pack(connection)
    const frozen = connection.freeze()
    if (frozen === undefined) {
      this.#options.unpack(connection, luggage)
      this.#wontMove(number, id)
      return
    }
    try {
      const arriving: ArrivingConnection = { ...frozen, luggage }
      // What its handler sent from here must arrive before what it will send from there.
      const gate = gates.close(batch.to, (message) => port.postMessage(message))
      port.postMessage({ kind: 'connection', arriving, gate } satisfies ConnectionMoveMessage, [
        frozen.handle as unknown as MessagePort,
      ])
      batch.posted.set(id, connection.service)
      this.#options.post.ended(id, session)
      this.#options.onMoved(id, batch.to)
    } catch (error) {
      // What its service wants to take along cannot be cloned: it stays, as one that cannot move.
      this.#options.log.error({ connection: id, ...errorFields(error) })
      this.#options.thaw(frozen.frozen, frozen.handle, (again) => {
        this.#stuck.add(again)
        this.#options.unpack(again, luggage)
      })
      this.#wontMove(number, id)
    }
  }

  #wontMove(number: number, id: number): void {
    const batch = this.#batches.get(number)
    if (batch === undefined) return
    this.#options.portTo(batch.to)?.postMessage({ kind: 'wont-move', id } satisfies ConnectionMoveMessage)
    batch.left.delete(id)
    if (batch.left.size === 0) this.#end(number, batch)
  }

  #settle(number: number, id: number): void {
    const batch = this.#batches.get(number)
    if (batch === undefined || !batch.left.delete(id)) return
    batch.posted.delete(id)
    this.#moved++
    this.#options.moved.value++
    if (batch.left.size > 0) return
    this.#end(number, batch)
    this.#lookNow()
  }

  /** What was posted will not be heard of again: it is booked as closed, here, where it was last. */
  #lost(number: number, batch: Batch, reason: string): void {
    const { loop, failed, log } = this.#options
    for (const [id, service] of batch.posted) {
      if (service >= 0) countArrived(loop.figures, service)
      loop.ended(service, id, 'error')
    }
    this.#failed += batch.posted.size
    failed.value += batch.posted.size
    if (batch.posted.size > 0) log.error({ to: batch.to, connections: batch.posted.size, reason })
    // What was not posted stays, and gets what is held for it there.
    for (const id of [...batch.left]) if (!batch.posted.has(id)) this.#wontMove(number, id)
    if (this.#batches.has(number)) this.#end(number, batch)
  }

  #end(number: number, batch: Batch): void {
    batch.giveUp()
    this.#batches.delete(number)
    this.#busy.delete(batch.to)
  }

  #take({ frozen, handle, luggage }: ArrivingConnection): void {
    const { loop, post, pause } = this.#options
    const connection = this.#options.thaw(frozen, handle, (arrived) => this.#options.unpack(arrived, luggage))
    pause.observe((loop.readClock() - frozen.frozenMs) / 1000)
    if (connection !== undefined) post.tellOwner(connection.id, slotOf(connection.session))
    post.release(frozen.id)
  }

  #isOnTheWay(id: number): boolean {
    for (const { left } of this.#batches.values()) if (left.has(id)) return true
    return false
  }

  #onTheWay(): number {
    let count = 0
    for (const { left } of this.#batches.values()) count += left.size
    return count
  }
}
