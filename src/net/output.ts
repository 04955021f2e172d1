// What one connection has to send: what was queued in this turn (a run of bytes in the loop's arena, buffers of their own,
// or both in order), and what the kernel has not taken. Knows when its peer is slow, and nothing of protocols.
import type { Socket } from 'node:net'
import { copyBytes } from '../lib/bytes.ts'
import { add, FIGURE } from '../observe/figure.ts'
import type { EventLoop } from './event-loop.ts'
import { unsentBytesOf } from './handoff.ts'
import { COALESCE_BYTES_MAX, type Flushable } from './outbox.ts'
import type { Patience } from './patience.ts'

/** Written behind bytes that wait, to be told when they are gone. */
const NOTHING = Buffer.alloc(0)
/** The part of `net.sendBuffer.max` above which a client is reported as slow. */
const SLOW_SHARE = 0.8

/** Whose output it is. */
export interface Sender {
  readonly loop: EventLoop
  readonly patience: Patience
  /** Nothing is sent any more: what is still queued goes nowhere. */
  readonly hasEnded: boolean
  readonly service: number
  readonly id: number
  /** Everything queued was given to the socket, or the kernel took some of what waited. */
  outputMoved(): void
  /** No longer congested. */
  relieved(): void
  /** More than `net.sendBuffer.max` is unsent. */
  tooSlow(): void
}

/**
 *   free ──more than net.sendBuffer.high unsent──▶ congested ──80 % of net.sendBuffer.max──▶ slow
 *     ▲────────────────────────down to a quarter of high──────┴──────────────────────────────┘
 */
type Pressure = 'free' | 'congested' | 'slow'

export class Output implements Flushable {
  /** Queued in this turn. */
  #pendingBytes = 0
  /** Given to the socket, not to the kernel. */
  #backlogBytes = 0
  #pressure: Pressure = 'free'
  #inQueue = false
  #runArena: Buffer | undefined
  #runStart = 0
  #runEnd = 0
  #chunks: Uint8Array[] | undefined
  readonly #sender: Sender
  readonly #loop: EventLoop
  readonly #socket: Socket
  readonly #encrypted: boolean

  constructor(sender: Sender, socket: Socket) {
    this.#sender = sender
    this.#loop = sender.loop
    this.#socket = socket
    this.#encrypted = 'encrypted' in socket
  }

  get bytes(): number {
    return this.#pendingBytes + this.#backlogBytes
  }

  get congested(): boolean {
    return this.#pressure !== 'free'
  }

  /** The kernel has taken everything. */
  get isEmpty(): boolean {
    const socket = this.#socket
    return this.bytes === 0 && !this.congested && socket.writableLength === 0 && unsentBytesOf(socket) === 0
  }

  /** What the kernel has not taken; it shrinks while one large write drains. */
  get unsentBytes(): number {
    return this.#backlogBytes === 0 ? 0 : unsentBytesOf(this.#socket) + this.#backlogBytes
  }

  // ---- queueing ---------------------------------------------------------------------------------------------------

  /** Room for `length` ≤ COALESCE_BYTES_MAX bytes in the arena: the offset to write them at, now. */
  reserve(length: number): number {
    const { outbox } = this.#loop
    const at = outbox.reserve(length)
    if (this.#runArena !== outbox.arena || this.#runEnd !== at) {
      this.#closeRun()
      this.#runArena = outbox.arena
      this.#runStart = at
    }
    this.#runEnd = at + length
    outbox.offset = at + length
    this.#queued(length)
    return at
  }

  /** Bytes that are only valid now. */
  copy(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (length > COALESCE_BYTES_MAX) {
      const copy = Buffer.allocUnsafe(length)
      copy.set(bytes.subarray(start, end))
      this.push(copy)
    } else {
      const at = this.reserve(length)
      copyBytes(bytes, start, end, this.#loop.outbox.arena, at)
    }
  }

  /** Bytes that stay as they are until they are sent. */
  push(bytes: Uint8Array): void {
    this.#closeRun()
    this.#chunks ??= []
    this.#chunks.push(bytes)
    this.#queued(bytes.byteLength)
  }

  /** Has itself flushed at the end of the turn, also when there is nothing to send. */
  queue(): void {
    if (this.#inQueue) return
    this.#inQueue = true
    this.#loop.outbox.add(this)
  }

  #queued(bytes: number): void {
    this.#pendingBytes += bytes
    if (this.#pressure === 'free' && this.bytes > this.#loop.limits.sendBufferHighBytes) this.#pressure = 'congested'
    this.queue()
  }

  #closeRun(): void {
    const arena = this.#runArena
    if (arena === undefined) return
    this.#chunks ??= []
    this.#chunks.push(arena.subarray(this.#runStart, this.#runEnd))
    this.#runArena = undefined
  }

  // ---- sending ----------------------------------------------------------------------------------------------------

  flush(): boolean {
    this.#inQueue = false
    const lent = this.#pendingBytes > 0 && this.#write()
    this.#sender.outputMoved()
    return lent
  }

  #write(): boolean {
    const bytes = this.#pendingBytes
    const socket = this.#socket
    const sender = this.#sender
    if (sender.hasEnded || socket.destroyed) {
      this.#clear()
      return false
    }
    const loop = this.#loop
    const before = this.#backlogBytes
    add(loop.figures, FIGURE.bytesOut, bytes)
    // A write that the kernel takes at once needs no callback, which would cost a tick; a small one usually is, but one
    // through TLS never.
    const told = this.#encrypted || before > 0 || bytes > COALESCE_BYTES_MAX || this.#pressure !== 'free'
    const lent = this.#writeAll(before > 0, told ? () => this.#written() : undefined)
    this.#backlogBytes = socket.writableLength
    loop.unsentBytes += this.#backlogBytes - before
    if (sender.patience.timeoutMs > 0) sender.patience.activeMs = loop.readClock()
    if (this.#backlogBytes === 0) return false
    if (!told) socket.write(NOTHING, () => this.#written())
    sender.patience.outputMoves()
    const maxBytes = loop.limits.sendBufferMaxBytes
    if (this.#backlogBytes > SLOW_SHARE * maxBytes && this.#pressure !== 'slow') {
      this.#pressure = 'slow'
      loop.onSlow?.(sender.service, sender.id, this.#backlogBytes)
    }
    // What is queued stays, up to `net.closeTimeout`: a peer that comes back reads it, and then why it was closed.
    if (this.#backlogBytes > maxBytes) sender.tooSlow()
    loop.checkMemory()
    return lent
  }

  /**
   * Writes everything in one system call, if the kernel takes it. `written` is called when bytes that had to wait are
   * gone. Answers whether the socket may still read from the arena.
   */
  #writeAll(behind: boolean, written: (() => void) | undefined): boolean {
    const socket = this.#socket
    const bytes = this.#pendingBytes
    const arena = this.#runArena
    if (this.#chunks === undefined && arena !== undefined) {
      const run = arena.subarray(this.#runStart, this.#runEnd)
      this.#clear()
      // Behind a backlog the bytes would keep the whole arena alive for as long as the peer is slow.
      write(socket, behind ? Buffer.from(run) : run, written)
      return !behind
    }
    this.#closeRun()
    const all = this.#chunks ?? []
    this.#clear()
    if (all.length > 1 && bytes <= COALESCE_BYTES_MAX) {
      write(socket, Buffer.concat(all, bytes), written)
      return false
    }
    if (all.length > 1) socket.cork()
    for (const chunk of all) write(socket, chunk, written)
    if (all.length > 1) socket.uncork()
    return true
  }

  /** The kernel took bytes that had been waiting. */
  #written(): void {
    const socket = this.#socket
    if (socket.destroyed) return
    const loop = this.#loop
    const before = this.#backlogBytes
    this.#backlogBytes = socket.writableLength
    loop.unsentBytes += this.#backlogBytes - before
    this.#sender.patience.activeMs = loop.readClock()
    if (this.#pressure !== 'free' && this.bytes <= loop.limits.sendBufferLowBytes) {
      this.#pressure = 'free'
      this.#sender.relieved()
    }
    this.#sender.outputMoved()
  }

  /** Nothing is sent any more, and its bytes count no longer. */
  release(): void {
    this.#loop.unsentBytes -= this.#backlogBytes
    this.#backlogBytes = 0
    this.#clear()
  }

  #clear(): void {
    this.#pendingBytes = 0
    this.#chunks = undefined
    this.#runArena = undefined
  }
}

// A write without a callback costs no tick of its own.
function write(socket: Socket, bytes: Uint8Array, written: (() => void) | undefined): void {
  if (written === undefined) socket.write(bytes)
  else socket.write(bytes, written)
}
