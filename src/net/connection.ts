// One open socket on one event loop, as protocol and service code see it. Owns reading (with backpressure), writing
// (one system call per turn), the idle timeout and the way to close; knows no thread and no placement.
import type { Socket } from 'node:net'
import { assert } from '../lib/assert.ts'
import type { CloseReason } from '../observe/family.ts'
import { add, FIGURE } from '../observe/figure.ts'
import { type Departing, Departure } from './departure.ts'
import type { EventLoop, FramingFactory } from './event-loop.ts'
import type { Framing, Wire } from './framing.ts'
import { type FrozenConnection, frozenOf } from './frozen-connection.ts'
import { detach, type TcpHandle } from './handoff.ts'
import type { ConnectionIdentity, RemoteAddress } from './identity.ts'
import { Output, type Sender } from './output.ts'
import { Patience, type Patient } from './patience.ts'
import type { Phase } from './phase.ts'
import { checkCloseCode } from './websocket/close-code.ts'

/** Ends of which the service knows: it asked for them, or failed. */
const KNOWN: readonly CloseReason[] = ['server', 'handler_error']

export class Connection<State = unknown> implements Sender, Patient, Departing {
  readonly id: number
  readonly serial: number
  readonly remote: RemoteAddress
  readonly session: string
  readonly service: number
  /** What the handler's `open` returned. */
  state!: State
  /** Served from a queue with a budget per turn (`net.lowPriorityBudget`), after everybody else. */
  lowPriority = false

  readonly loop: EventLoop
  readonly #socket: Socket
  #framing: Framing
  #phase: Phase = 'open'
  #closeReason: CloseReason | undefined

  #paused = false
  #unparsed: Buffer | undefined
  #peerEnded = false

  readonly #output: Output
  readonly patience: Patience
  /** While it tries to leave. Its input is held back then. */
  #departure: Departure | undefined

  constructor(loop: EventLoop, socket: Socket, identity: ConnectionIdentity, framing: FramingFactory) {
    this.loop = loop
    this.#socket = socket
    this.id = identity.id
    this.serial = identity.serial
    this.remote = identity.remote
    this.session = identity.session
    this.service = identity.service
    this.patience = new Patience(this, loop.nowMs)
    this.#output = new Output(this, socket)
    this.#framing = framing(this as Connection)
  }

  // ---- what service code uses -------------------------------------------------------------------------------------

  /**
   * Queues one message (WebSocket) or some bytes (TCP). `payload` is copied. False: more than `net.sendBuffer.high` is
   * waiting now; `writable` will be called. Above `net.sendBuffer.max` the connection closes with 1008.
   */
  send(payload: Uint8Array | string, isBinary = typeof payload !== 'string'): boolean {
    if (this.#phase === 'open') this.#framing.send(payload, isBinary)
    else if (this.#phase === 'moved') this.loop.onMoved?.send(this, payload, isBinary)
    return !this.#output.congested
  }

  /** Queues bytes that are framed already; they are not copied and must not change. The same frame may go to many. */
  sendFrame(frame: Uint8Array): boolean {
    if (this.#phase === 'open') this.writeShared(frame)
    else if (this.#phase === 'moved') this.#framing.unframe(frame, (payload, isBinary) => this.send(payload, isBinary))
    return !this.#output.congested
  }

  /**
   * As `sendFrame`, for bytes that hold several messages: frames on a WebSocket, whatever was agreed on a stream. The
   * handler's `shared` may take them over, unless `pass`.
   */
  sendShared(bytes: Uint8Array, messages: number, pass = false): void {
    if (this.#phase !== 'open' || (!pass && this.#takenOver(bytes, messages))) return
    this.loop.countMessage(this.service, 1, messages)
    this.writeShared(bytes)
  }

  /** What `sendShared` takes here. */
  get wire(): Wire {
    return this.#framing.wire
  }

  /**
   * Ends the connection after everything queued was sent. `code` and `reason` go into a WebSocket's close frame. Throws a
   * RangeError on a code that may not stand in one.
   */
  close(code = 1000, reason = ''): void {
    checkCloseCode(code)
    if (this.#phase === 'open' || this.#phase === 'moved') this.closeFor('server', code, reason)
  }

  /** Sends a WebSocket's ping with up to 125 bytes (a RangeError if more); the handler's `pong` gets the answer. */
  ping(payload?: Uint8Array): void {
    if (this.#phase === 'open') this.#framing.sendPing?.(payload)
  }

  /** Ends the connection as silent: WebSocket 1001 `idle timeout`, TCP FIN. What happens without a `timeout` handler. */
  closeIdle(): void {
    if (this.#phase !== 'open') return
    this.sayLastWords('idle_timeout')
    if (this.#phase === 'open') this.#framing.closeIdle()
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
    this.#goOnReading()
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Bytes queued that the kernel has not taken. */
  get bufferedBytes(): number {
    return this.#output.bytes
  }

  /** More than `net.sendBuffer.high` was unsent, and it is not down to a quarter of that yet. */
  get congested(): boolean {
    return this.#output.congested
  }

  get encrypted(): boolean {
    return 'encrypted' in this.#socket
  }

  get open(): boolean {
    return this.#phase === 'open'
  }

  /** The handler's `timeout` is called when no byte went either way for `ms`; 0 turns it off. */
  setTimeout(ms: number): void {
    this.patience.timeoutMs = ms
    if (this.#phase === 'open' && this.#departure === undefined) this.patience.start()
  }

  /** Whether it could: its handler can go on elsewhere, and it is an accepted socket that is not encrypted. */
  get movable(): boolean {
    return this.#phase === 'open' && this.id > 0 && this.loop.adopted(this.#socket) && this.#framing.movable
  }

  /**
   * Holds input back until everything queued has left and its handler is settled. Then `done(true)`, the one moment to call
   * `freeze`; `done(false)` if it ends, if its peer takes nothing for `net.closeTimeout`, or after `timeoutMs`: it is served as
   * before. Never called before this returns.
   */
  drain(timeoutMs: number, done: (drained: boolean) => void): void {
    if (this.#phase !== 'open' || this.#departure !== undefined) {
      queueMicrotask(() => done(false))
      return
    }
    this.#socket.pause()
    this.patience.stop()
    this.#departure = new Departure(this, timeoutMs, done)
    this.#output.queue()
  }

  /** Takes the connection out of its loop; only inside of `done(true)`. Undefined: it has ended. */
  freeze(): { readonly frozen: FrozenConnection; readonly handle: TcpHandle } | undefined {
    const departure = this.#departure
    if (departure?.ready !== true || !this.movable || this.#socket.destroyed) return undefined
    // Before the handler's last word: what it sends now goes after the connection.
    this.#phase = 'moved'
    let frozen: FrozenConnection
    try {
      const timeout = { timeoutMs: this.patience.timeoutMs, idleMs: this.patience.silentMs(departure.startMs) }
      frozen = frozenOf(this as Connection, timeout, this.#peerEnded, this.#unparsed, this.#framing.freeze())
    } catch (error) {
      this.#phase = 'open'
      this.#failed(error)
      return undefined
    }
    this.loop.departed(this, this.#socket)
    const handle = detach(this.#socket)
    assert(handle !== undefined, 'a socket that is not destroyed has a handle')
    return { frozen, handle }
  }

  /** Goes on where `freeze` stopped, instead of `start`. */
  thaw(frozen: FrozenConnection): void {
    this.lowPriority = frozen.lowPriority
    this.#peerEnded = frozen.peerEnded
    this.patience.timeoutMs = frozen.timeoutMs
    this.#unparsed = frozen.unparsed && Buffer.from(frozen.unparsed)
    if (frozen.paused) this.pause()
    this.#tell((framing) => framing.thawed(frozen))
    this.patience.goOn(frozen.idleMs)
    if (this.#unparsed === undefined || this.#paused || this.hasEnded) return
    this.#socket.pause()
    if (this.lowPriority) this.loop.queueLowPriority(this)
    else this.feed()
  }

  get drained(): boolean {
    return this.#output.isEmpty && this.settled
  }

  /** No answer is on its way to it. */
  get settled(): boolean {
    try {
      return this.#framing.settled
    } catch (error) {
      this.#failed(error)
      return false
    }
  }

  /** A close lets it finish what it is in the middle of. */
  get finishesItself(): boolean {
    return this.#framing.retire !== undefined
  }

  /** What kept it from leaving may be over. */
  lookAgain(): void {
    this.#departure?.look()
  }

  /** It should leave, and cannot move: it ends as soon as nobody loses anything by it. */
  retire(): void {
    if (this.#phase === 'open') this.#tell((framing) => framing.retire?.())
  }

  release(heldMs: number): void {
    this.#departure = undefined
    if (this.hasEnded) return
    this.patience.goOn(this.patience.silentMs(heldMs))
    if (!this.#paused) this.#goOnReading()
  }

  // ---- what framings use ------------------------------------------------------------------------------------------

  /** Opens the connection and lets bytes in. `head` are bytes that came before; they are handled first. */
  start(head: Uint8Array | undefined): void {
    const loop = this.loop
    loop.enterTurn()
    this.#tell((framing) => framing.opened())
    if (head !== undefined && head.byteLength > 0) {
      const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
      this.receive(bytes, bytes.length)
    }
    loop.leaveTurn()
    if (!this.#paused && this.#unparsed === undefined) this.#read()
  }

  /** Speaks something else from now on, as a WebSocket that began as HTTP. Answers the framing that bytes go to now. */
  reframe(factory: FramingFactory, value: unknown): Framing {
    this.#framing = factory(this as Connection)
    this.#tell((framing) => framing.opened(value))
    return this.#framing
  }

  /** Bytes from the socket, `bytes[0, length)`. False stops reading. */
  receive(bytes: Buffer, length: number): boolean {
    const loop = this.loop
    add(loop.figures, FIGURE.bytesIn, length)
    // Behind our FIN bytes are read into nothing.
    if (this.hasEnded) return this.#phase === 'ending'
    if (this.#unparsed !== undefined) {
      bytes = Buffer.concat([this.#unparsed, bytes.subarray(0, length)])
      length = bytes.length
      this.#unparsed = undefined
    }
    if (this.#paused || (this.lowPriority && !loop.takeLowPriorityTurn())) {
      this.#unparsed = Buffer.from(bytes.subarray(0, length))
      if (!this.#paused) {
        this.#socket.pause()
        loop.queueLowPriority(this)
      }
      return false
    }
    return this.#parse(bytes, length)
  }

  /** Writes bytes that are only valid now: they are copied. */
  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): void {
    this.#output.copy(bytes, start, end)
  }

  /** Room for `length` ≤ COALESCE_BYTES_MAX bytes of output in the loop's arena: the offset to write them at, now. */
  reserve(length: number): number {
    return this.#output.reserve(length)
  }

  /** Writes bytes that stay as they are until sent: they are not copied. */
  writeShared(bytes: Uint8Array): void {
    this.#output.push(bytes)
  }

  /** Closes for a reason of ours, through the framing (a WebSocket says why first). */
  closeFor(reason: CloseReason, code: number, text: string): void {
    if (this.#phase === 'moved') this.loop.onMoved?.close(this, code, text)
    if (this.#phase !== 'open') return
    this.#departure?.fail()
    this.sayLastWords(reason)
    if (this.#phase !== 'open') return // they may have been its end
    this.#phase = 'closing'
    this.#framing.close(code, text, reason)
    // What the peer still says must be read to find its good-bye.
    this.resume()
  }

  /**
   * Lets the handler say something before the good-bye. Not a turn of its own: being too slow is found out in the middle
   * of a flush.
   */
  sayLastWords(reason: CloseReason): void {
    const first = this.#closeReason === undefined
    this.#closeReason ??= reason
    if (!first || KNOWN.includes(reason)) return
    try {
      this.#framing.closing(reason)
    } catch (error) {
      this.loop.handlerFailed(this, error)
    }
  }

  /** Sends what is queued, then FIN; drops the connection if the peer does not end its side in `net.closeTimeout`. */
  finish(reason: CloseReason): void {
    if (this.hasEnded) return
    this.#departure?.fail()
    this.#closeReason ??= reason
    this.loop.outbox.flushNow(this.#output)
    if (this.hasEnded) return // the flush may have found the peer too slow, and ended the connection by itself
    this.#phase = 'ending'
    this.#unparsed = undefined
    this.#paused = false
    this.#socket.end()
    // Also when the peer has ended its side: it may never read what waits for it.
    this.patience.expectEnd()
    if (this.#socket.readableEnded) return // a socket on a handle that has moved may not have seen the FIN again
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
    this.patience.expectEnd()
  }

  /** Drops the connection now; what is queued is lost. */
  destroy(reason: CloseReason): void {
    if (this.#phase === 'closed' || this.#phase === 'moved') return
    this.#closeReason ??= reason
    this.#socket.destroy()
    // Not only in 'close', which comes later: who holds the loop to `net.memory` in this turn must see what it freed.
    this.#output.release()
  }

  // ---- what the event loop, its output and its patience call ------------------------------------------------------

  /** Handles bytes that were kept back by `pause()` or low priority. */
  feed(): void {
    if (this.hasEnded || this.#paused || this.#departure !== undefined) return
    const bytes = this.#unparsed
    if (bytes === undefined) return
    this.#unparsed = undefined
    if (this.#parse(bytes, bytes.length)) this.#read()
  }

  peerEnded(): void {
    // A connection that was moved reads the FIN again.
    if (this.#peerEnded) return
    this.#peerEnded = true
    if (!this.hasEnded) this.#tell((framing) => framing.ended())
  }

  closed(failed: boolean): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#departure?.fail()
    this.#output.release()
    this.patience.stop()
    this.#unparsed = undefined
    const reason = this.#closeReason ?? (failed ? 'error' : 'client')
    this.loop.removed(this, reason)
    this.#tell((framing) => framing.lost(reason))
  }

  outputMoved(): void {
    if (this.#departure !== undefined) this.#departure.look()
  }

  relieved(): void {
    if (!this.hasEnded) this.#tell((framing) => framing.writable())
  }

  tooSlow(): void {
    this.closeFor('too_slow', 1008, 'client too slow')
  }

  unsentBytes(): number {
    return this.#output.unsentBytes
  }

  silent(): void {
    this.#tell((framing) => framing.timedOut())
  }

  abandoned(): void {
    if (this.bufferedBytes > 0) this.loop.cutOff++
    this.destroy('server')
  }

  #parse(bytes: Buffer, length: number): boolean {
    const loop = this.loop
    loop.enterTurn()
    this.patience.received(loop.nowMs)
    let taken = length
    try {
      taken = this.#framing.push(bytes, 0, length)
    } catch (error) {
      this.#failed(error)
    }
    if (taken < length && !this.hasEnded) {
      if (length - taken > loop.limits.receiveBufferBytes) this.closeFor('too_large', 1009, 'message too large')
      else this.#unparsed = Buffer.from(bytes.subarray(taken, length))
    }
    loop.leaveTurn()
    return !this.#paused
  }

  /** One call of the framing that is no input, in a turn of its own. */
  #tell(call: (framing: Framing) => unknown): void {
    this.loop.enterTurn()
    try {
      this.watch(call(this.#framing))
    } catch (error) {
      this.#failed(error)
    }
    this.loop.leaveTurn()
  }

  #read(): void {
    if (this.#phase !== 'closed' && this.#phase !== 'moved' && this.#departure === undefined) this.#socket.resume()
  }

  /** Nothing holds its input back any more. */
  #goOnReading(): void {
    if (this.#unparsed === undefined) this.#read()
    else this.loop.defer(this)
  }

  /** Nothing comes in or goes out any more. */
  get hasEnded(): boolean {
    return this.#phase === 'ending' || this.#phase === 'closed' || this.#phase === 'moved'
  }

  #takenOver(bytes: Uint8Array, messages: number): boolean {
    try {
      return this.#framing.shared(bytes, messages)
    } catch (error) {
      this.#failed(error)
      return true
    }
  }

  /** What a handler threw or rejected with ends its connection, and only it. */
  #failed(error: unknown): void {
    this.loop.handlerFailed(this, error)
    // Behind its close frame a connection has nothing left to say.
    if (this.#phase === 'closing') this.destroy('handler_error')
    else this.closeFor('handler_error', 1011, 'internal error')
  }

  /** Takes what a handler returned: a promise is watched, so that an async handler fails like a sync one. */
  watch(result: unknown): void {
    if (result instanceof Promise) result.catch((error: unknown) => this.#failed(error))
  }
}
