// Messages to connections by reference, wherever they are: to the owner of the connection's slot, which has it, holds
// what comes while it is on its way, or knows where it is.
import type { Router, ToThread } from '../actor/router.ts'
import { seatOfThread, threadOfSeat } from '../lib/thread.ts'
import type { Connection } from '../net/connection.ts'
import type { ConnectionRef } from '../net/connection-ref.ts'
import type { EventLoop } from '../net/event-loop.ts'
import { RECORD } from '../net/record.ts'
import { slotOf } from '../placement/slots.ts'

export interface ConnectionPostOptions {
  readonly self: number
  readonly loop: EventLoop
  readonly router: Router
  readonly toThread: ToThread
}

interface Held {
  readonly kind: number
  readonly record: Buffer
}

interface HeldForOne {
  /** The thread it comes from. */
  readonly from: number
  readonly records: Held[]
  bytes: number
  overflowed: boolean
}

interface Elsewhere {
  readonly slot: number
  readonly thread: number
}

/** What is held for one connection; beyond it the connection is closed as too slow, as if it had been there. */
const HELD_BYTES_MAX = 1024 * 1024
/** How soon an owner is told again whose ring was full. */
const TELL_RETRY_MS = 20
const SEND_HEAD_BYTES = 13
const CLOSE_HEAD_BYTES = 14
const ELSEWHERE_BYTES = 15
const HERE: Readonly<Record<number, number>> = {
  [RECORD.send]: RECORD.sendHere,
  [RECORD.close]: RECORD.closeHere,
}

export class ConnectionPost {
  readonly #options: ConnectionPostOptions
  readonly #head = Buffer.alloc(ELSEWHERE_BYTES)
  /** Connections of slots owned here that live on another thread. */
  readonly #elsewhere = new Map<number, Elsewhere>()
  /** Connections here whose slot's owner was told so. */
  readonly #told = new Set<number>()
  /** What came for connections that are on their way here. */
  readonly #held = new Map<number, HeldForOne>()

  constructor(options: ConnectionPostOptions) {
    this.#options = options
  }

  refOf(connection: Connection): ConnectionRef {
    const slot = slotOf(connection.session)
    this.tellOwner(connection.id, slot)
    return { slot, id: connection.id, shard: seatOfThread(this.#options.self) }
  }

  /** The owner of the slot learns that this connection is here, if that is not the owner itself. */
  tellOwner(id: number, slot: number): void {
    const { router, loop, self } = this.#options
    // One that has ended tells nothing any more, and would never be forgotten.
    if (router.ownerOf(slot) === self || this.#told.has(id) || loop.get(id) === undefined) return
    this.#told.add(id)
    this.#tell(id, slot, false)
  }

  /** A connection of this thread has ended, or is another's now. */
  ended(id: number, session: string): void {
    if (this.#told.delete(id)) this.#tell(id, slotOf(session), true)
  }

  send(ref: ConnectionRef, payload: Uint8Array | string, isBinary: boolean): boolean {
    const here = this.#options.loop.get(ref.id)
    // One that is just being frozen is not open: it would send its output here again.
    if (here?.open === true && !this.#options.router.isMoving(ref.slot)) {
      here.send(payload, isBinary)
      return true
    }
    if (this.#isGone(ref)) return false
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    this.#writeHead(ref)
    this.#head[12] = isBinary ? 1 : 0
    return this.#options.router.route(ref.slot, RECORD.send, this.#head, SEND_HEAD_BYTES, bytes)
  }

  close(ref: ConnectionRef, code: number, reason: string): boolean {
    const here = this.#options.loop.get(ref.id)
    if (here?.open === true && !this.#options.router.isMoving(ref.slot)) {
      here.close(code, reason)
      return true
    }
    if (this.#isGone(ref)) return false
    this.#writeHead(ref)
    this.#head.writeUInt16LE(code, 12)
    return this.#options.router.route(ref.slot, RECORD.close, this.#head, CLOSE_HEAD_BYTES, Buffer.from(reason))
  }

  /** Known only to the owner of the slot; other shards find out nothing. */
  #isGone({ slot, id, shard }: ConnectionRef): boolean {
    const { router, loop, self } = this.#options
    if (!router.isHome(slot) || loop.get(id) !== undefined) return false
    return !this.#held.has(id) && !this.#elsewhere.has(id) && threadOfSeat(shard) === self
  }

  /** A routed record whose slot is owned here: `send`, `close` or `elsewhere`. */
  deliver(kind: number, record: Buffer): void {
    const id = record.readDoubleLE(4)
    if (kind === RECORD.elsewhere) {
      if (record[14] === 1) this.#elsewhere.delete(id)
      else this.#elsewhere.set(id, { slot: record.readUInt16LE(0), thread: record.readUInt16LE(12) })
      return
    }
    if (this.here(kind, record) || this.#hold(id, kind, record)) return
    const thread = this.#elsewhere.get(id)?.thread ?? threadOfSeat(record.readUInt16LE(2))
    const { self, toThread } = this.#options
    if (thread !== self) toThread(thread, HERE[kind] as number, record, record.length)
  }

  /** True if the connection is on this thread, and has it. */
  here(kind: number, record: Buffer): boolean {
    const connection = this.#options.loop.get(record.readDoubleLE(4))
    if (connection === undefined) return false
    if (kind === RECORD.send || kind === RECORD.sendHere)
      connection.send(record.subarray(SEND_HEAD_BYTES), record[12] === 1)
    else connection.close(record.readUInt16LE(12), record.toString('utf8', CLOSE_HEAD_BYTES))
    return true
  }

  // ---- moves ------------------------------------------------------------------------------------------------------

  /** The slots leave: who owns them next has to know where their connections are, those that are still here too. */
  leave(slots: ReadonlySet<number>): { slot: number; id: number; thread: number }[] {
    const { loop, self } = this.#options
    const connections: { slot: number; id: number; thread: number }[] = []
    for (const [id, { slot, thread }] of this.#elsewhere) {
      if (!slots.has(slot)) continue
      this.#elsewhere.delete(id)
      connections.push({ slot, id, thread })
    }
    for (const { id, session } of loop.connections()) {
      const slot = slotOf(session)
      if (!slots.has(slot)) continue
      this.#told.add(id)
      connections.push({ slot, id, thread: self })
    }
    return connections
  }

  learn(connections: readonly { readonly slot: number; readonly id: number; readonly thread: number }[]): void {
    const { loop, self } = this.#options
    for (const { slot, id, thread } of connections) {
      if (thread !== self && loop.get(id) === undefined) this.#elsewhere.set(id, { slot, thread })
      // It is home now, and its end is nobody else's business.
      else this.#told.delete(id)
    }
  }

  /** These are on their way here. What is held for one since an earlier attempt stays first. */
  hold(ids: readonly number[], from: number): void {
    for (const id of ids) {
      if (!this.#held.has(id)) this.#held.set(id, { from, records: [], bytes: 0, overflowed: false })
    }
  }

  /** The connection is here, or will not come: what was held goes to it, wherever that is. */
  release(id: number): void {
    const held = this.#held.get(id)
    if (held === undefined) return
    this.#held.delete(id)
    const connection = this.#options.loop.get(id)
    if (connection !== undefined) this.#elsewhere.delete(id)
    for (const { kind, record } of held.records) this.deliver(kind, record)
    if (held.overflowed) connection?.closeFor('too_slow', 1008, 'client too slow')
  }

  /** A thread is gone, and its connections with it. */
  threadDown(thread: number): void {
    for (const [id, elsewhere] of this.#elsewhere) if (elsewhere.thread === thread) this.#elsewhere.delete(id)
    for (const [id, { from }] of this.#held) if (from === thread) this.#held.delete(id)
  }

  #hold(id: number, kind: number, record: Buffer): boolean {
    const held = this.#held.get(id)
    if (held === undefined) return false
    if (held.bytes + record.length > HELD_BYTES_MAX) held.overflowed = true
    else {
      held.bytes += record.length
      held.records.push({ kind, record: Buffer.from(record) })
    }
    return true
  }

  #tell(id: number, slot: number, gone: boolean): void {
    const head = this.#head
    head.writeUInt16LE(slot, 0)
    head.writeUInt16LE(0, 2)
    head.writeDoubleLE(id, 4)
    head.writeUInt16LE(this.#options.self, 12)
    head[14] = gone ? 1 : 0
    if (this.#options.router.route(slot, RECORD.elsewhere, head, ELSEWHERE_BYTES)) return
    // No room: later, unless it has ended by then and the owner never knew.
    this.#options.loop.after(TELL_RETRY_MS, () => {
      if (gone || this.#told.has(id)) this.#tell(id, slot, gone)
    })
  }

  #writeHead({ slot, id, shard }: ConnectionRef): void {
    this.#head.writeUInt16LE(slot, 0)
    this.#head.writeUInt16LE(shard, 2)
    this.#head.writeDoubleLE(id, 4)
  }
}
