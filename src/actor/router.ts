// Brings what is addressed to a slot to the thread that owns it, also while the slot moves: nothing is lost, nothing
// handled twice, and what one thread sends to one slot arrives in the order it was sent. Knows rings only as a function
// that sends, and the content of records not at all.
//
//   a move of slots from A to B, as every thread S sees it
//
//     main → B       expect      B holds what comes for the slots directly, sender by sender
//     main → all S   shift       S sends to B from now on, and a fence to A behind what it sent there before
//     A → B, port    what A still gets for the slots, in order; S's fence in its turn
//     B              at the fence of S lets go of what it held of S
//     A              when every fence has passed, and its own: it is out of the game
//
// Each thread has a table of its own, so that the shift and the fence are one step; the shared table is only where it
// begins.
import { assert } from '../lib/assert.ts'
import { SLOTS } from '../placement/slots.ts'
import { ACTOR_RECORD } from './record.ts'

/** Copies what it is given. False: overloaded, nothing was taken. */
export type Send = (
  kind: number,
  head: Uint8Array,
  headBytes: number,
  body?: Uint8Array,
  bodyStart?: number,
  bodyBytes?: number,
) => boolean

/** To a given thread. */
export type ToThread = (thread: number, ...message: Parameters<Send>) => boolean

/** To the owner of a slot, with which the head begins. */
export type Route = (slot: number, ...message: Parameters<Send>) => boolean

export interface SlotMove {
  readonly id: number
  readonly from: number
  readonly to: number
  readonly slots: Uint16Array
  /** Threads that may have sent something to the slots, `from` and `to` among them. */
  readonly sources: readonly number[]
}

/** From the old owner to the new one, in this order on one port. */
export type MoveMessage =
  | { readonly kind: 'record'; readonly source: number; readonly record: number; readonly bytes: Uint8Array }
  | { readonly kind: 'fence'; readonly source: number }

export interface RouterOptions {
  /** This thread. */
  readonly self: number
  /** Thread by slot, to begin with; copied. */
  readonly owners: (slot: number) => number
  readonly toThread: ToThread
  /**
   * What this thread owns. The record begins with its slot and is valid only during the call. `now`: it may be handled
   * on this stack.
   */
  readonly deliver: (kind: number, source: number, record: Buffer, now: boolean) => void
  /** A record for a slot that is leaving: true if what it is for is still here and has taken it. */
  readonly stays: (kind: number, source: number, record: Buffer) => boolean
  /** A record that will not be delivered: left over by a thread that died, or held beyond the limit. */
  readonly reject: (kind: number, source: number, record: Buffer, reason: 'left_over' | 'held_too_much') => void
  /** Called again and again until it answers true: there was no room for a fence. */
  readonly retry: (attempt: () => boolean) => void
  /** The move is over for this thread, which is its `from` or its `to`. */
  readonly ended: (move: SlotMove) => void
  /** `holds` may answer otherwise. */
  readonly released?: () => void
  /** Bytes held for one move. */
  readonly heldBytesMax: number
}

interface Held {
  readonly kind: number
  readonly bytes: Buffer
}

interface Incoming {
  readonly move: SlotMove
  /** Whose fence has not come, each with what it sent directly. */
  readonly held: Map<number, Held[]>
  heldBytes: number
  /** The old owner has let go of the slots. Before that a thread that is no source, because it started later, waits too. */
  begun: boolean
}

interface Outgoing {
  readonly move: SlotMove
  readonly post: (message: MoveMessage) => void
  /** Whose fence has not passed. */
  readonly open: Set<number>
  /** Something of the slots is still here, and will be told by `emptied`. */
  occupied: boolean
}

const HEAD_BYTES = 4
const NO_BODY = new Uint8Array(0)
const SCRATCH_BYTES = 4096
/** Moves with early fences that are remembered: many times what main does at once. */
const EARLY_MOVES_MAX = 1024

export class Router {
  readonly #options: RouterOptions
  readonly #self: number
  readonly #owners: Uint16Array
  /** By slot; only while slots move. */
  readonly #incoming = new Map<number, Incoming>()
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #incomingMoves = new Map<number, Incoming>()
  readonly #outgoingMoves = new Map<number, Outgoing>()
  /**
   * Fences that were faster than main's word to this thread, their sources by move. Those for a predecessor that died
   * stay, until there are too many.
   */
  readonly #early = new Map<number, Set<number>>()
  /** Moves that ended with their new owner, each with the sources whose fences are still to come. */
  readonly #fading = new Map<number, Set<number>>()
  /** New owners of moves that this thread has heard of: what it sent to the old one may come there. */
  readonly newOwners = new Set<number>()
  #scratch = Buffer.alloc(SCRATCH_BYTES)
  #scratchTaken = false
  /** Records delivered here without a ring, forwarded to a new owner, held, rejected. */
  readonly stats = { local: 0, forwarded: 0, held: 0, rejected: 0 }

  constructor(options: RouterOptions) {
    this.#options = options
    this.#self = options.self
    this.#owners = new Uint16Array(SLOTS)
    for (let slot = 0; slot < SLOTS; slot++) this.#owners[slot] = options.owners(slot)
  }

  ownerOf(slot: number): number {
    return this.#owners[slot] as number
  }

  /** True: this thread may handle what is addressed to the slot without asking the router. */
  isHome(slot: number): boolean {
    return (
      this.#owners[slot] === this.#self &&
      (this.#incoming.size === 0 || !this.#incoming.has(slot)) &&
      (this.#outgoing.size === 0 || !this.#outgoing.has(slot))
    )
  }

  /** Whether a move of this slot to or from this thread is under way. */
  isMoving(slot: number): boolean {
    return this.#incoming.has(slot) || this.#outgoing.has(slot)
  }

  /** Whether any slot is on its way to this thread or away from it. */
  get moving(): boolean {
    return this.#incomingMoves.size + this.#outgoingMoves.size > 0
  }

  /** Bytes that wait for a fence. */
  get heldBytes(): number {
    let bytes = 0
    for (const { heldBytes } of this.#incomingMoves.values()) bytes += heldBytes
    return bytes
  }

  /** Whether something of that thread may be on its way through a move: its fence has not passed here. */
  holds(source: number): boolean {
    for (const { held } of this.#incomingMoves.values()) if (held.has(source)) return true
    for (const { open } of this.#outgoingMoves.values()) if (open.has(source)) return true
    return false
  }

  /** Sends a record whose head begins with the slot. False: overloaded. */
  route(
    slot: number,
    kind: number,
    head: Uint8Array,
    headBytes: number,
    body: Uint8Array = NO_BODY,
    bodyStart = 0,
    bodyBytes = body.byteLength - bodyStart,
  ): boolean {
    const owner = this.#owners[slot] as number
    const isLeaving = this.#outgoing.size > 0 && this.#outgoing.has(slot)
    if (owner !== this.#self && !isLeaving) {
      return this.#options.toThread(owner, kind, head, headBytes, body, bodyStart, bodyBytes)
    }
    this.stats.local++
    const bytes = headBytes + bodyBytes
    // A handler that is called here may route in turn: only the outermost call uses the scratch buffer.
    const isScratch = !this.#scratchTaken && bytes <= SCRATCH_BYTES
    const record = isScratch ? this.#scratch.subarray(0, bytes) : Buffer.allocUnsafe(bytes)
    record.set(headBytes === head.byteLength ? head : head.subarray(0, headBytes))
    if (bodyBytes > 0) record.set(body.subarray(bodyStart, bodyStart + bodyBytes), headBytes)
    if (isScratch) this.#scratchTaken = true
    try {
      return this.#take(kind, this.#self, slot, record)
    } finally {
      if (isScratch) this.#scratchTaken = false
    }
  }

  /** A routed record from another thread. */
  receive(kind: number, source: number, record: Buffer): void {
    this.#take(kind, source, record.readUInt16LE(0), record)
  }

  #take(kind: number, source: number, slot: number, record: Buffer): boolean {
    let isOwn = this.#owners[slot] === this.#self
    if (this.#incoming.size > 0 || this.#outgoing.size > 0) {
      const incoming = this.#incoming.get(slot)
      if (incoming !== undefined && (!incoming.begun || incoming.held.has(source)))
        return this.#hold(incoming, kind, source, record)
      const outgoing = this.#outgoing.get(slot)
      if (outgoing !== undefined) {
        if (!this.#options.stays(kind, source, record)) this.#forward(outgoing, kind, source, record)
        return true
      }
      // The notice of the shift may still be on its way to this thread.
      isOwn ||= incoming !== undefined
    }
    if (isOwn) this.#options.deliver(kind, source, record, true)
    else {
      // Nobody sends here any more: it was in the ring when the thread before this one died.
      this.stats.rejected++
      this.#options.reject(kind, source, record, 'left_over')
    }
    return true
  }

  #hold(incoming: Incoming, kind: number, source: number, record: Buffer): boolean {
    if (incoming.heldBytes + record.length > this.#options.heldBytesMax) {
      this.stats.rejected++
      if (source === this.#self) return false
      this.#options.reject(kind, source, record, 'held_too_much')
      return true
    }
    incoming.heldBytes += record.length
    this.stats.held++
    const held = incoming.held.get(source)
    if (held === undefined) incoming.held.set(source, [{ kind, bytes: Buffer.from(record) }])
    else held.push({ kind, bytes: Buffer.from(record) })
    return true
  }

  #forward(outgoing: Outgoing, kind: number, source: number, record: Buffer): void {
    this.stats.forwarded++
    outgoing.post({ kind: 'record', source, record: kind, bytes: Uint8Array.from(record) })
  }

  // ---- moves ------------------------------------------------------------------------------------------------------

  /** First step, on the new owner. */
  expect(move: SlotMove): void {
    assert(move.to === this.#self, 'only the new owner expects a move')
    const held = new Map<number, Held[]>(move.sources.map((source) => [source, []]))
    const incoming: Incoming = { move, held, heldBytes: 0, begun: false }
    this.#incomingMoves.set(move.id, incoming)
    for (const slot of move.slots) this.#incoming.set(slot, incoming)
  }

  /**
   * Second step, on every thread. The old owner gets `post`, the way to the new one, and says in `emptied` when nothing
   * of the slots is left that could still take a record. `gone`: sources that
   * died since the first step.
   */
  shift(move: SlotMove, post?: (message: MoveMessage) => void, gone: readonly number[] = []): void {
    for (const slot of move.slots) this.#owners[slot] = move.to
    if (move.to !== this.#self) this.newOwners.add(move.to)
    if (post === undefined) {
      this.#sendFence(move)
      return
    }
    assert(move.from === this.#self, 'only the old owner has something to post')
    const open = new Set(move.sources)
    open.delete(this.#self)
    const outgoing: Outgoing = { move, post, open, occupied: true }
    this.#outgoingMoves.set(move.id, outgoing)
    for (const slot of move.slots) this.#outgoing.set(slot, outgoing)
    const early = [...(this.#early.get(move.id) ?? []), ...gone]
    this.#early.delete(move.id)
    if (early.length === 0) return
    // Behind what the caller is about to post: the new owner must know which actors to wait for before it lets go.
    queueMicrotask(() => {
      for (const source of early) this.fence(move.id, source)
    })
  }

  /** On the old owner: everything of the slots has left. */
  emptied(moveId: number): void {
    const outgoing = this.#outgoingMoves.get(moveId)
    if (outgoing === undefined) return
    outgoing.occupied = false
    this.#endIfPassed(outgoing)
  }

  /** On the old owner: a fence that came through the ring of its sender. */
  fence(moveId: number, source: number): void {
    const outgoing = this.#outgoingMoves.get(moveId)
    if (outgoing === undefined) {
      if (this.#fades(moveId, source)) return
      this.#keepEarly(moveId, source)
      return
    }
    if (!outgoing.open.delete(source)) return
    outgoing.post({ kind: 'fence', source })
    this.#endIfPassed(outgoing)
    this.#options.released?.()
  }

  #keepEarly(moveId: number, source: number): void {
    const early = this.#early.get(moveId)
    if (early !== undefined) {
      early.add(source)
      return
    }
    const [oldest] = this.#early.keys()
    if (oldest !== undefined && this.#early.size >= EARLY_MOVES_MAX) this.#early.delete(oldest)
    this.#early.set(moveId, new Set([source]))
  }

  /** On the new owner: what the old one posted. */
  arrived(moveId: number, message: MoveMessage): void {
    const incoming = this.#incomingMoves.get(moveId)
    if (message.kind === 'fence') {
      if (incoming === undefined) return
      if (!incoming.begun) this.#begin(incoming)
      this.#release(incoming, message.source)
      return
    }
    const record = Buffer.from(message.bytes.buffer, message.bytes.byteOffset, message.bytes.byteLength)
    const slot = record.readUInt16LE(0)
    const isOwn = this.#owners[slot] === this.#self || this.#incoming.has(slot)
    if (isOwn) this.#options.deliver(message.record, message.source, record, true)
    else this.#options.reject(message.record, message.source, record, 'left_over')
  }

  /** A thread is gone, and whatever it had not sent or passed on with it. */
  threadDown(thread: number): void {
    this.newOwners.delete(thread)
    for (const moveId of [...this.#fading.keys()]) this.#fades(moveId, thread)
    // What has come early stays: it may be of the successor, which was faster than the word of this death.
    for (const outgoing of [...this.#outgoingMoves.values()]) {
      if (outgoing.move.to === thread) this.#endOutgoing(outgoing)
      else if (outgoing.open.delete(thread)) {
        outgoing.post({ kind: 'fence', source: thread })
        this.#endIfPassed(outgoing)
      }
    }
    for (const incoming of [...this.#incomingMoves.values()]) {
      if (incoming.move.from !== thread) continue
      incoming.begun = true
      for (const source of [...incoming.held.keys()]) this.#release(incoming, source)
    }
  }

  #sendFence(move: SlotMove): void {
    const fence = Buffer.alloc(HEAD_BYTES)
    fence.writeUInt32LE(move.id, 0)
    const attempt = (): boolean => this.#options.toThread(move.from, ACTOR_RECORD.fence, fence, HEAD_BYTES)
    if (!attempt()) this.#options.retry(attempt)
  }

  #begin(incoming: Incoming): void {
    incoming.begun = true
    const { sources } = incoming.move
    for (const source of [...incoming.held.keys()]) if (!sources.includes(source)) this.#release(incoming, source)
  }

  #release(incoming: Incoming, source: number): void {
    const held = incoming.held.get(source)
    if (held === undefined) return
    // In turn, and what comes for them meanwhile stays behind: a handler may send to the same slot. That is not handled
    // here as well: an actor that always tells itself something would never let this end.
    const before = held.length
    for (let index = 0; index < held.length; index++) {
      const { kind, bytes } = held[index] as Held
      incoming.heldBytes -= bytes.length
      this.#options.deliver(kind, source, bytes, index < before)
    }
    incoming.held.delete(source)
    if (incoming.held.size === 0) {
      const { move } = incoming
      this.#incomingMoves.delete(move.id)
      for (const slot of move.slots) if (this.#incoming.get(slot) === incoming) this.#incoming.delete(slot)
      this.#options.ended(move)
    }
    this.#options.released?.()
  }

  #endIfPassed(outgoing: Outgoing): void {
    if (outgoing.occupied || outgoing.open.size > 0) return
    // Behind everything: from here on what this thread sends to the slots goes through the ring.
    outgoing.post({ kind: 'fence', source: this.#self })
    this.#endOutgoing(outgoing)
  }

  #endOutgoing(outgoing: Outgoing): void {
    const { move, open } = outgoing
    this.#outgoingMoves.delete(move.id)
    for (const slot of move.slots) if (this.#outgoing.get(slot) === outgoing) this.#outgoing.delete(slot)
    if (open.size > 0) this.#fading.set(move.id, open)
    this.#options.ended(move)
    this.#options.released?.()
  }

  /** A source of a move that ended early sends nothing more for it. False: there is no such move. */
  #fades(moveId: number, source: number): boolean {
    const open = this.#fading.get(moveId)
    if (open === undefined) return false
    open.delete(source)
    if (open.size === 0) this.#fading.delete(moveId)
    return true
  }
}
