// What one connection has to send at the end of the turn: a run of bytes in the loop's arena, buffers of their own, or
// both in order. Knows sockets only to write to them.
import type { Socket } from 'node:net'
import { copyBytes } from '../lib/bytes.ts'
import { COALESCE_BYTES_MAX, type Outbox } from './outbox.ts'

export class PendingOutput {
  bytes = 0
  #runArena: Buffer | undefined
  #runStart = 0
  #runEnd = 0
  #chunks: Uint8Array[] | undefined

  /** Room for `length` ≤ COALESCE_BYTES_MAX bytes in the arena: the offset to write them at, now. */
  reserve(outbox: Outbox, length: number): number {
    const at = outbox.reserve(length)
    if (this.#runArena !== outbox.arena || this.#runEnd !== at) {
      this.#closeRun()
      this.#runArena = outbox.arena
      this.#runStart = at
    }
    this.#runEnd = at + length
    outbox.offset = at + length
    this.bytes += length
    return at
  }

  /** Bytes that are only valid now. */
  copy(outbox: Outbox, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (length > COALESCE_BYTES_MAX) {
      const copy = Buffer.allocUnsafe(length)
      copy.set(bytes.subarray(start, end))
      this.push(copy)
    } else {
      const at = this.reserve(outbox, length)
      copyBytes(bytes, start, end, outbox.arena, at)
    }
  }

  /** Bytes that stay as they are until they are sent. */
  push(bytes: Uint8Array): void {
    this.#closeRun()
    this.#chunks ??= []
    this.#chunks.push(bytes)
    this.bytes += bytes.byteLength
  }

  /**
   * Writes everything in one system call, if the kernel takes it. `behind`: the socket has a backlog. `written` is
   * called when bytes that had to wait are gone. Answers whether the socket may still read from the arena.
   */
  writeTo(socket: Socket, behind: boolean, written: (() => void) | undefined): boolean {
    const bytes = this.bytes
    const arena = this.#runArena
    const chunks = this.#chunks
    if (chunks === undefined && arena !== undefined) {
      const run = arena.subarray(this.#runStart, this.#runEnd)
      this.clear()
      // Behind a backlog the bytes would keep the whole arena alive for as long as the peer is slow.
      write(socket, behind ? Buffer.from(run) : run, written)
      return !behind
    }
    this.#closeRun()
    const all = this.#chunks ?? []
    this.clear()
    if (all.length > 1 && bytes <= COALESCE_BYTES_MAX) {
      write(socket, Buffer.concat(all, bytes), written)
      return false
    }
    if (all.length > 1) socket.cork()
    for (const chunk of all) write(socket, chunk, written)
    if (all.length > 1) socket.uncork()
    return true
  }

  clear(): void {
    this.bytes = 0
    this.#chunks = undefined
    this.#runArena = undefined
  }

  #closeRun(): void {
    const arena = this.#runArena
    if (arena === undefined) return
    this.#chunks ??= []
    this.#chunks.push(arena.subarray(this.#runStart, this.#runEnd))
    this.#runArena = undefined
  }
}

// A write without a callback costs no tick of its own.
function write(socket: Socket, bytes: Uint8Array, written: (() => void) | undefined): void {
  if (written === undefined) socket.write(bytes)
  else socket.write(bytes, written)
}
