// One open socket on one event loop, as protocol and service code see it. Owns reading (with backpressure), writing
// (one system call per turn), the idle timeout and the way to close; knows no thread and no placement.
import type { Socket } from 'node:net'
import { copyBytes } from '../lib/bytes.ts'
import type { CloseReason } from '../observe/family.ts'
import { add, FIGURE } from '../observe/figure.ts'
import type { TimerHandle } from '../timer/wheel.ts'
import type { EventLoop } from './event-loop.ts'
import type { Framing } from './framing.ts'
import type { ConnectionIdentity, RemoteAddress } from './identity.ts'
import { COALESCE_BYTES_MAX, type Flushable } from './outbox.ts'

/**
 *   open ──finish()──▶ ending ──both sides ended, or net.closeTimeout──▶ closed
 *     └────────────────destroy(), reset by the peer──────────────────────▶┘
 */
type Phase = 'open' | 'ending' | 'closed'

export class Connection<State = unknown> implements Flushable {
  readonly id: number
  readonly serial: number
  readonly remote: RemoteAddress
  readonly session: string
  readonly service: number
  /** What the handler's `open` returned. */
  state!: State
  /** Served from a queue with a budget per turn (`net.lowPriorityBudget`), after everybody else. */
  lowPriority = false

  readonly #loop: EventLoop
  readonly #socket: Socket
  #framing: Framing | undefined
  #phase: Phase = 'open'
  #closeReason: CloseReason | undefined

  #paused = false
  #unparsed: Buffer | undefined
  #inQueue = false
  #peerEnded = false

  #runArena: Buffer | undefined
  #runStart = 0
  #runEnd = 0
  #chunks: Uint8Array[] | undefined
  #pendingBytes = 0
  #backlogBytes = 0
  #congested = false

  #timer: TimerHandle | undefined
  #timeoutMs = 0
  #activeMs: number

  constructor(loop: EventLoop, socket: Socket, identity: ConnectionIdentity) {
    this.#loop = loop
    this.#socket = socket
    this.id = identity.id
    this.serial = identity.serial
    this.remote = identity.remote
    this.session = identity.session
    this.service = identity.service
    this.#activeMs = loop.nowMs
  }

  // ---- what service code uses -------------------------------------------------------------------------------------

  /**
   * Queues one message (WebSocket) or some bytes (TCP). `payload` is copied. False: more than `net.sendBuffer.high` is
   * waiting now; `writable` will be called. Above `net.sendBuffer.max` the connection closes with 1008.
   */
  send(payload: Uint8Array | string, isBinary = typeof payload !== 'string'): boolean {
    if (this.#phase === 'open') this.#framing?.send(payload, isBinary)
    return !this.#congested
  }

  /** Queues bytes that are framed already; they are not copied and must not change. The same frame may go to many. */
  sendFrame(frame: Uint8Array): boolean {
    if (this.#phase === 'open') this.writeShared(frame)
    return !this.#congested
  }

  /** Ends the connection after everything queued was sent. `code` and `reason` go into a WebSocket's close frame. */
  close(code = 1000, reason = ''): void {
    if (this.#phase === 'open') this.closeFor('server', code, reason)
  }

  /** Ends the connection as silent: WebSocket 1001 `idle timeout`, TCP FIN. What happens without a `timeout` handler. */
  closeIdle(): void {
    if (this.#phase === 'open') this.#framing?.closeIdle()
  }

  /** Stops reading; bytes that already arrived are kept. A paused peer still has its idle timeout. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#phase === 'closed') return
    if (this.#unparsed === undefined) this.#socket.resume()
    else this.#loop.defer(this)
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Bytes queued that the kernel has not taken. */
  get bufferedBytes(): number {
    return this.#pendingBytes + this.#backlogBytes
  }

  /** More than `net.sendBuffer.high` was unsent, and it is not down to a quarter of that yet. */
  get congested(): boolean {
    return this.#congested
  }

  get open(): boolean {
    return this.#phase === 'open'
  }

  /** The handler's `timeout` is called when no byte went either way for `ms`; 0 turns it off. */
  setTimeout(ms: number): void {
    this.#timeoutMs = ms
    if (this.#phase === 'open') this.#armTimer(ms)
  }

  // ---- what framings use ------------------------------------------------------------------------------------------

  /** Attaches the protocol and lets bytes in. `head` are bytes that came before; they are handled first. */
  start(framing: Framing, head: Uint8Array | undefined): void {
    this.#framing = framing
    const loop = this.#loop
    loop.enterTurn()
    try {
      framing.opened()
    } catch (error) {
      this.#failed(error)
    }
    if (head !== undefined && head.byteLength > 0) {
      const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
      this.receive(bytes, bytes.length)
    }
    loop.leaveTurn()
    if (!this.#paused && this.#phase !== 'closed') this.#socket.resume()
  }

  /** Bytes from the socket, `bytes[0, length)`. False stops reading. */
  receive(bytes: Buffer, length: number): boolean {
    const loop = this.#loop
    add(loop.figures, FIGURE.bytesIn, length)
    // Behind our FIN bytes are read into nothing.
    if (this.#phase !== 'open') return this.#phase === 'ending'
    if (this.#unparsed !== undefined) {
      bytes = Buffer.concat([this.#unparsed, bytes.subarray(0, length)])
      length = bytes.length
      this.#unparsed = undefined
    }
    if (this.#paused || (this.lowPriority && !loop.takeLowPriorityTurn())) {
      this.#unparsed = Buffer.from(bytes.subarray(0, length))
      if (!this.#paused) this.#waitInQueue()
      return false
    }
    return this.#parse(bytes, length)
  }

  /** Writes bytes that are only valid now: they are copied. */
  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): void {
    const length = end - start
    if (length > COALESCE_BYTES_MAX) {
      const copy = Buffer.allocUnsafe(length)
      copy.set(bytes.subarray(start, end))
      this.writeShared(copy)
      return
    }
    const at = this.reserve(length)
    copyBytes(bytes, start, end, this.#loop.outbox.arena, at)
  }

  /** Room for `length` ≤ COALESCE_BYTES_MAX bytes of output in the loop's arena: the offset to write them at, now. */
  reserve(length: number): number {
    const outbox = this.#loop.outbox
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

  get arena(): Buffer {
    return this.#loop.outbox.arena
  }

  /** Writes bytes that stay as they are until sent: they are not copied. */
  writeShared(bytes: Uint8Array): void {
    this.#closeRun()
    this.#chunks ??= []
    this.#chunks.push(bytes)
    this.#queued(bytes.byteLength)
  }

  /** Closes for a reason of ours, through the framing (a WebSocket says why first). */
  closeFor(reason: CloseReason, code: number, text: string): void {
    if (this.#phase !== 'open') return
    this.#closeReason ??= reason
    if (this.#framing === undefined) this.finish(reason)
    else this.#framing.close(code, text)
  }

  /** Sends what is queued, then FIN; drops the connection if the peer does not end its side in `net.closeTimeout`. */
  finish(reason: CloseReason): void {
    if (this.#phase !== 'open') return
    this.#closeReason ??= reason
    this.#phase = 'ending'
    this.#loop.outbox.flushNow(this)
    this.#unparsed = undefined
    this.#paused = false
    this.#socket.end()
    if (this.#peerEnded) return
    this.#armTimer(this.#loop.limits.closeTimeoutMs)
    // Reading goes on, into nothing: an unread byte would turn our FIN into a reset and could destroy what we sent.
    this.#socket.resume()
  }

  /** Notes why the connection is about to end; the first reason counts. */
  blame(reason: CloseReason): void {
    this.#closeReason ??= reason
  }

  /** After `finish`: does not wait for the peer's FIN. */
  destroySoon(): void {
    if (this.#phase === 'ending') this.#socket.destroySoon()
  }

  /** Waits no longer than `net.closeTimeout` for the peer's part of a close handshake. */
  expectClose(): void {
    this.#timeoutMs = 0
    this.#armTimer(this.#loop.limits.closeTimeoutMs)
  }

  /** Drops the connection now; what is queued is lost. */
  destroy(reason: CloseReason): void {
    if (this.#phase === 'closed') return
    this.#closeReason ??= reason
    this.#socket.destroy()
  }

  countReceived(): void {
    this.#loop.countMessage(this.service, 0)
  }

  countSent(): void {
    this.#loop.countMessage(this.service, 1)
  }

  get loop(): EventLoop {
    return this.#loop
  }

  // ---- what the event loop calls ----------------------------------------------------------------------------------

  flush(): boolean {
    this.#inQueue = false
    if (this.#pendingBytes === 0) return false
    const bytes = this.#pendingBytes
    this.#pendingBytes = 0
    if (this.#phase === 'closed' || this.#socket.destroyed) {
      this.#dropPending()
      return false
    }
    const loop = this.#loop
    const socket = this.#socket
    const before = this.#backlogBytes
    add(loop.figures, FIGURE.bytesOut, bytes)
    let lent = false
    if (this.#chunks === undefined) {
      const arena = this.#runArena as Buffer
      const run = arena.subarray(this.#runStart, this.#runEnd)
      this.#runArena = undefined
      // Behind a backlog the bytes would keep the whole arena alive for as long as the peer is slow.
      this.#writeOut(before > 0 ? Buffer.from(run) : run, before)
      lent = before === 0
    } else {
      this.#closeRun()
      const chunks = this.#chunks
      this.#chunks = undefined
      const [only] = chunks
      if (bytes <= COALESCE_BYTES_MAX || (chunks.length === 1 && only !== undefined)) {
        this.#writeOut(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, bytes), before)
      } else {
        socket.cork()
        for (const chunk of chunks) this.#writeOut(chunk, 1)
        socket.uncork()
      }
      lent = true
    }
    this.#backlogBytes = socket.writableLength
    loop.unsentBytes += this.#backlogBytes - before
    this.#activeMs = loop.nowMs
    if (this.#backlogBytes === 0) return false
    if (this.#backlogBytes > loop.limits.sendBufferMaxBytes) this.#tooSlow()
    else loop.checkMemory()
    return lent
  }

  /** Handles bytes that were kept back by `pause()` or low priority. */
  feed(): void {
    if (this.#phase !== 'open' || this.#paused) return
    const bytes = this.#unparsed
    if (bytes === undefined) return
    this.#unparsed = undefined
    if (this.#parse(bytes, bytes.length)) this.#socket.resume()
  }

  peerEnded(): void {
    this.#peerEnded = true
    if (this.#phase !== 'open') return
    this.#loop.enterTurn()
    try {
      this.#framing?.ended()
    } catch (error) {
      this.#failed(error)
    }
    this.#loop.leaveTurn()
  }

  closed(failed: boolean): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    const loop = this.#loop
    loop.unsentBytes -= this.#backlogBytes
    this.#backlogBytes = 0
    this.#dropPending()
    if (this.#timer !== undefined) loop.wheel.cancel(this.#timer)
    this.#timer = undefined
    this.#unparsed = undefined
    const reason = this.#closeReason ?? (failed ? 'error' : 'client')
    loop.removed(this, reason)
    loop.enterTurn()
    try {
      this.#framing?.lost(reason)
    } catch (error) {
      loop.handlerFailed(this, error)
    }
    loop.leaveTurn()
  }

  /** The kernel took bytes that had been waiting. */
  written(): void {
    if (this.#phase === 'closed') return
    const loop = this.#loop
    const before = this.#backlogBytes
    this.#backlogBytes = this.#socket.writableLength
    loop.unsentBytes += this.#backlogBytes - before
    this.#activeMs = loop.readClock()
    if (!this.#congested || this.bufferedBytes > loop.limits.sendBufferLowBytes) return
    this.#congested = false
    if (this.#phase !== 'open') return
    loop.enterTurn()
    try {
      this.watch(this.#framing?.writable())
    } catch (error) {
      this.#failed(error)
    }
    loop.leaveTurn()
  }

  timerFired(): void {
    this.#timer = undefined
    if (this.#phase === 'closed') return
    if (this.#phase === 'ending' || this.#timeoutMs === 0) {
      this.destroy('server')
      return
    }
    // Traffic only notes the time; the timer moves when it fires. That makes a re-arm one store instead of a wheel
    // operation per message, and is never early.
    const leftMs = this.#activeMs + this.#timeoutMs - this.#loop.nowMs
    if (leftMs > 0) {
      this.#armTimer(leftMs)
      return
    }
    this.#activeMs = this.#loop.nowMs
    this.#armTimer(this.#timeoutMs)
    try {
      this.watch(this.#framing?.timedOut())
    } catch (error) {
      this.#failed(error)
    }
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  #parse(bytes: Buffer, length: number): boolean {
    const loop = this.#loop
    loop.enterTurn()
    this.#activeMs = loop.nowMs
    let taken = length
    try {
      taken = this.#framing === undefined ? length : this.#framing.push(bytes, 0, length)
    } catch (error) {
      this.#failed(error)
    }
    if (taken < length && this.#phase === 'open') {
      if (length - taken > loop.limits.receiveBufferBytes) this.closeFor('too_large', 1009, 'message too large')
      else this.#unparsed = Buffer.from(bytes.subarray(taken, length))
    }
    loop.leaveTurn()
    return !this.#paused
  }

  #waitInQueue(): void {
    this.#socket.pause()
    this.#loop.queueLowPriority(this)
  }

  #queued(bytes: number): void {
    this.#pendingBytes += bytes
    if (this.#pendingBytes + this.#backlogBytes > this.#loop.limits.sendBufferHighBytes) this.#congested = true
    if (this.#inQueue) return
    this.#inQueue = true
    this.#loop.outbox.add(this)
  }

  #closeRun(): void {
    const arena = this.#runArena
    if (arena === undefined) return
    this.#chunks ??= []
    this.#chunks.push(arena.subarray(this.#runStart, this.#runEnd))
    this.#runArena = undefined
  }

  #dropPending(): void {
    this.#pendingBytes = 0
    this.#chunks = undefined
    this.#runArena = undefined
  }

  #writeOut(bytes: Uint8Array, before: number): void {
    // A write that the kernel takes at once needs no callback (it would cost a tick); only writes that may have to
    // wait carry one.
    if (before > 0 || bytes.byteLength > COALESCE_BYTES_MAX) this.#socket.write(bytes, () => this.written())
    else this.#socket.write(bytes)
  }

  #tooSlow(): void {
    this.closeFor('too_slow', 1008, 'client too slow')
    // The peer does not read: there is no use in waiting for it.
    this.destroy('too_slow')
  }

  /** What a handler threw or rejected with ends its connection, and only it. */
  #failed(error: unknown): void {
    this.#loop.handlerFailed(this, error)
    this.closeFor('handler_error', 1011, 'internal error')
  }

  /** Takes what a handler returned: a promise is watched, so that an async handler fails like a sync one. */
  watch(result: unknown): void {
    if (result instanceof Promise) result.catch((error: unknown) => this.#failed(error))
  }

  #armTimer(ms: number): void {
    const wheel = this.#loop.wheel
    if (ms === 0) {
      if (this.#timer !== undefined) wheel.cancel(this.#timer)
      this.#timer = undefined
    } else if (this.#timer === undefined || !wheel.rearm(this.#timer, ms)) {
      this.#timer = wheel.schedule(ms, fireTimer, this)
    }
  }
}

function fireTimer(connection: Connection): void {
  connection.timerFired()
}
