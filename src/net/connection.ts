// One open socket on one event loop, as protocol and service code see it. Owns reading (with backpressure), writing
// (one system call per turn), the idle timeout and the way to close; knows no thread and no placement.
import type { Socket } from 'node:net'
import { copyBytes } from '../lib/bytes.ts'
import type { CloseReason } from '../observe/family.ts'
import { add, FIGURE } from '../observe/figure.ts'
import type { TimerHandle } from '../timer/wheel.ts'
import type { EventLoop } from './event-loop.ts'
import type { Framing } from './framing.ts'
import { unsentBytesOf } from './handoff.ts'
import type { ConnectionIdentity, RemoteAddress } from './identity.ts'
import { COALESCE_BYTES_MAX, type Flushable } from './outbox.ts'
import { PendingOutput } from './pending-output.ts'
import { isWireCloseCode } from './websocket/close-code.ts'

/**
 *   open ──closeFor()──▶ closing ──finish()──▶ ending ──both sides ended, or net.closeTimeout──▶ closed
 *     ├──────────────────finish()────────────▶┘                                                 ▲
 *     └──────────────────destroy(), reset by the peer ──────────────────────────────────────────┘
 * closing: the service can send no more; a WebSocket's close frame is out, the peer's has not come.
 */
type Phase = 'open' | 'closing' | 'ending' | 'closed'

/** Written behind bytes that wait, to be told when they are gone. */
const NOTHING = Buffer.alloc(0)

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
  readonly #encrypted: boolean
  #framing: Framing | undefined
  #phase: Phase = 'open'
  #closeReason: CloseReason | undefined

  #paused = false
  #unparsed: Buffer | undefined
  #peerEnded = false

  readonly #pending = new PendingOutput()
  #inQueue = false
  #backlogBytes = 0
  #congested = false

  #timer: TimerHandle | undefined
  #timeoutMs = 0
  #activeMs: number
  /** What was unsent when the timer last fired. */
  #unsentBytes = 0

  constructor(loop: EventLoop, socket: Socket, identity: ConnectionIdentity) {
    this.#loop = loop
    this.#socket = socket
    this.#encrypted = 'encrypted' in socket
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

  /**
   * Ends the connection after everything queued was sent. `code` and `reason` go into a WebSocket's close frame. Throws a
   * RangeError on a code that may not stand in one.
   */
  close(code = 1000, reason = ''): void {
    if (!isWireCloseCode(code))
      throw new RangeError(`${code} is no close code to send: 1000 to 1003, 1007 to 1014, 3000 to 4999`)
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
    return this.#pending.bytes + this.#backlogBytes
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

  /** What is spoken on it; once, before `start`. */
  speak(framing: Framing): void {
    this.#framing = framing
  }

  /** Opens the connection and lets bytes in. `head` are bytes that came before; they are handled first. */
  start(head: Uint8Array | undefined): void {
    const loop = this.#loop
    loop.enterTurn()
    try {
      this.#framing?.opened()
      this.watch(this.state)
    } catch (error) {
      this.#failed(error)
    }
    if (head !== undefined && head.byteLength > 0) {
      const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
      this.receive(bytes, bytes.length)
    }
    loop.leaveTurn()
    if (!this.#paused && this.#unparsed === undefined && this.#phase !== 'closed') this.#socket.resume()
  }

  /** Bytes from the socket, `bytes[0, length)`. False stops reading. */
  receive(bytes: Buffer, length: number): boolean {
    const loop = this.#loop
    add(loop.figures, FIGURE.bytesIn, length)
    // Behind our FIN bytes are read into nothing.
    if (this.#hasEnded()) return this.#phase === 'ending'
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
    const at = this.#pending.reserve(this.#loop.outbox, length)
    this.#queued()
    return at
  }

  get arena(): Buffer {
    return this.#loop.outbox.arena
  }

  /** Writes bytes that stay as they are until sent: they are not copied. */
  writeShared(bytes: Uint8Array): void {
    this.#pending.push(bytes)
    this.#queued()
  }

  /** Closes for a reason of ours, through the framing (a WebSocket says why first). */
  closeFor(reason: CloseReason, code: number, text: string): void {
    if (this.#phase !== 'open') return
    this.#closeReason ??= reason
    this.#phase = 'closing'
    if (this.#framing === undefined) this.finish(reason)
    else this.#framing.close(code, text)
    // What the peer still says must be read to find its good-bye.
    this.resume()
  }

  /** Sends what is queued, then FIN; drops the connection if the peer does not end its side in `net.closeTimeout`. */
  finish(reason: CloseReason): void {
    if (this.#hasEnded()) return
    this.#closeReason ??= reason
    this.#loop.outbox.flushNow(this)
    // The flush may have found the peer too slow, and ended the connection by itself.
    if (this.#hasEnded()) return
    this.#phase = 'ending'
    this.#unparsed = undefined
    this.#paused = false
    this.#socket.end()
    // Also when the peer has ended its side: it may never read what waits for it.
    this.#outputMoves()
    this.#armTimer(this.#loop.limits.closeTimeoutMs)
    if (this.#peerEnded) return
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
    this.#outputMoves()
    this.#armTimer(this.#loop.limits.closeTimeoutMs)
  }

  /** Drops the connection now; what is queued is lost. */
  destroy(reason: CloseReason): void {
    if (this.#phase === 'closed') return
    this.#closeReason ??= reason
    this.#socket.destroy()
    // Not only in 'close', which comes later: who holds the loop to `net.memory` in this turn must see what it freed.
    this.#releaseOutput()
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
    const pending = this.#pending
    const bytes = pending.bytes
    if (bytes === 0) return false
    if (this.#hasEnded() || this.#socket.destroyed) {
      pending.clear()
      return false
    }
    const loop = this.#loop
    const before = this.#backlogBytes
    add(loop.figures, FIGURE.bytesOut, bytes)
    // A write that the kernel takes at once needs no callback, which would cost a tick; a small one usually is, but one
    // through TLS never.
    const told = this.#encrypted || before > 0 || bytes > COALESCE_BYTES_MAX || this.#congested
    const lent = pending.writeTo(this.#socket, before > 0, told ? this.#onWritten() : undefined)
    this.#backlogBytes = this.#socket.writableLength
    loop.unsentBytes += this.#backlogBytes - before
    if (this.#timeoutMs > 0) this.#activeMs = loop.readClock()
    if (this.#backlogBytes === 0) return false
    if (!told) this.#socket.write(NOTHING, this.#onWritten())
    this.#outputMoves()
    // What is queued stays, up to `net.closeTimeout`: a peer that comes back reads it, and then why it was closed.
    if (this.#backlogBytes > loop.limits.sendBufferMaxBytes) this.closeFor('too_slow', 1008, 'client too slow')
    loop.checkMemory()
    return lent
  }

  /** Handles bytes that were kept back by `pause()` or low priority. */
  feed(): void {
    if (this.#hasEnded() || this.#paused) return
    const bytes = this.#unparsed
    if (bytes === undefined) return
    this.#unparsed = undefined
    if (this.#parse(bytes, bytes.length)) this.#socket.resume()
  }

  peerEnded(): void {
    this.#peerEnded = true
    if (this.#hasEnded()) return
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
    const loop = this.#loop
    this.#phase = 'closed'
    this.#releaseOutput()
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
    if (this.#phase === 'closed' || this.#socket.destroyed) return
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
    const moves = this.#outputMoves()
    if (this.#phase === 'ending' || this.#timeoutMs === 0) {
      // Output that still moves is not cut off: the peer is slow, but it reads.
      if (moves) this.#armTimer(this.#loop.limits.closeTimeoutMs)
      else {
        if (this.bufferedBytes > 0) this.#loop.cutOff++
        this.destroy('server')
      }
      return
    }
    // Traffic only notes the time; the timer moves when it fires. That makes a re-arm one store instead of a wheel
    // operation per message, and is never early.
    const nowMs = this.#loop.readClock()
    if (moves) this.#activeMs = nowMs
    const leftMs = this.#activeMs + this.#timeoutMs - nowMs
    if (leftMs > 0) {
      this.#armTimer(leftMs)
      return
    }
    this.#activeMs = nowMs
    this.#armTimer(this.#timeoutMs)
    try {
      this.watch(this.#framing?.timedOut())
    } catch (error) {
      this.#failed(error)
    }
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  #releaseOutput(): void {
    this.#loop.unsentBytes -= this.#backlogBytes
    this.#backlogBytes = 0
    this.#pending.clear()
  }

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
    if (taken < length && !this.#hasEnded()) {
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

  #queued(): void {
    if (this.bufferedBytes > this.#loop.limits.sendBufferHighBytes) this.#congested = true
    if (this.#inQueue) return
    this.#inQueue = true
    this.#loop.outbox.add(this)
  }

  #hasEnded(): boolean {
    return this.#phase === 'ending' || this.#phase === 'closed'
  }

  /** What a handler threw or rejected with ends its connection, and only it. */
  #failed(error: unknown): void {
    this.#loop.handlerFailed(this, error)
    // Behind its close frame a connection has nothing left to say.
    if (this.#phase === 'closing') this.destroy('handler_error')
    else this.closeFor('handler_error', 1011, 'internal error')
  }

  #onWritten(): () => void {
    return () => this.written()
  }

  /** Whether the kernel took some of a backlog since this was last asked. */
  #outputMoves(): boolean {
    const unsentBytes = this.#backlogBytes === 0 ? 0 : unsentBytesOf(this.#socket) + this.#backlogBytes
    const moved = unsentBytes > 0 && unsentBytes !== this.#unsentBytes
    this.#unsentBytes = unsentBytes
    return moved
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
