// One event loop's connections: the receive buffer they share, the outbox, the timer wheel, the low-priority queue and
// the books. A shard has one; a program of its own may make one without any thread (examples/event-loop.ts).
import { connect, type Socket } from 'node:net'
import type { Clock } from '../lib/clock.ts'
import type { CloseReason } from '../observe/family.ts'
import {
  add,
  closedColumn,
  countArrived,
  countClosed,
  countDeparted,
  FIGURE,
  SERVICES_MAX,
  serviceColumn,
} from '../observe/figure.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { Connection } from './connection.ts'
import type { Framing } from './framing.ts'
import type { FrozenConnection } from './frozen-connection.ts'
import { adopt, type TcpHandle } from './handoff.ts'
import type { ConnectionIdentity, RemoteAddress } from './identity.ts'
import { Outbox } from './outbox.ts'

/** The limits of `net.*` that connections obey; bytes and milliseconds. */
export interface NetLimits {
  readonly receiveBufferBytes: number
  readonly sendBufferHighBytes: number
  readonly sendBufferLowBytes: number
  readonly sendBufferMaxBytes: number
  /** All unsent bytes of the process. */
  readonly memoryBytes: number
  readonly closeTimeoutMs: number
  readonly headTimeoutMs: number
  readonly lowPriorityBudget: number
}

export const DEFAULT_LIMITS: NetLimits = {
  receiveBufferBytes: 512 * 1024,
  sendBufferHighBytes: 1024 * 1024,
  sendBufferLowBytes: 256 * 1024,
  sendBufferMaxBytes: 10 * 1024 * 1024,
  memoryBytes: 1024 ** 3,
  closeTimeoutMs: 5_000,
  headTimeoutMs: 10_000,
  lowPriorityBudget: 5,
}

export interface EventLoopOptions {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly limits: NetLimits
  /** This thread's row of the figure table. */
  readonly figures: Float64Array
  /** Which life of its thread this is: ids of outbound connections differ from those of an earlier life. Default 0. */
  readonly generation?: number
  /** Unsent bytes of all threads of the process. */
  readonly unsentBytesOfProcess: () => number
  /** Seconds one turn took. */
  readonly onTurn: (seconds: number) => void
  readonly onHandlerError: (connection: Connection, error: unknown) => void
  /** An accepted socket is gone. */
  readonly onEnded?: ((id: number) => void) | undefined
  /** A connection has ended here; one that moved has not. Before its handler's `close`. */
  readonly onRemoved?: ((connection: Connection) => void) | undefined
  /** Where that goes which is sent to connections after they moved away. Default: nowhere. */
  readonly onMoved?: MovedOutput | undefined
}

/** The way to connections that are in another loop now. */
export interface MovedOutput {
  send(connection: Connection, payload: Uint8Array | string, isBinary: boolean): void
  close(connection: Connection, code: number, reason: string): void
}

export type FramingFactory = (connection: Connection) => Framing

/** How far `unsentBytes` may grow before the process's sum is looked at again. */
const MEMORY_CHECK_STEP_BYTES = 1024 * 1024

const MESSAGE_COLUMNS = Uint16Array.from({ length: 2 * SERVICES_MAX }, (_, index) =>
  serviceColumn(index >> 1, index % 2 === 0 ? 'messagesIn' : 'messagesOut'),
)

/** Leaves two million lives before ids lose precision. */
const OUTBOUND_PER_LIFE = 2 ** 32

export class EventLoop {
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly limits: NetLimits
  readonly figures: Float64Array
  readonly outbox = new Outbox()
  /** When the clock was last read: at the begin of the turn or later. */
  nowMs: number
  unsentBytes = 0
  readonly onMoved: MovedOutput | undefined
  /** A client reads too slowly: so much is unsent. Once until it has caught up. */
  onSlow: ((service: number, connection: number, unsentBytes: number) => void) | undefined
  /** Connections that were dropped at their close timeout while output still waited for them. */
  cutOff = 0

  readonly #connections = new Map<number, Connection>()
  readonly #receiveBuffer: Buffer
  readonly #unsentBytesOfProcess: () => number
  readonly #onTurn: (seconds: number) => void
  readonly #onHandlerError: (connection: Connection, error: unknown) => void
  readonly #onEnded: ((id: number) => void) | undefined
  readonly #onRemoved: ((connection: Connection) => void) | undefined
  #depth = 0
  #turnStartMs = 0
  #memoryCheckBytes = MEMORY_CHECK_STEP_BYTES
  readonly #lowPriority: Connection[] = []
  #lowPriorityLeft: number
  #lowPriorityScheduled = false
  readonly #generation: number
  #outboundCount = 0

  constructor(options: EventLoopOptions) {
    this.clock = options.clock
    this.wheel = options.wheel
    this.limits = options.limits
    this.figures = options.figures
    this.nowMs = options.clock.nowMs()
    this.#receiveBuffer = Buffer.allocUnsafeSlow(options.limits.receiveBufferBytes)
    this.#unsentBytesOfProcess = options.unsentBytesOfProcess
    this.#onTurn = options.onTurn
    this.#onHandlerError = options.onHandlerError
    this.#onEnded = options.onEnded
    this.#onRemoved = options.onRemoved
    this.onMoved = options.onMoved
    this.#generation = options.generation ?? 0
    this.#lowPriorityLeft = options.limits.lowPriorityBudget
  }

  /** Builds the socket of a handle that came from elsewhere. Its connection is made by `add`. */
  adopt(handle: TcpHandle): Socket {
    const socket: Socket = adopt(handle, this.#receiveBuffer, (bytes, buffer) => {
      const connection = connectionOf(socket)
      return connection === undefined || connection.receive(buffer, bytes)
    })
    ;(socket as Attached)[READS_INTO_BUFFER] = true
    return socket
  }

  /** Makes a connection of an open socket. `head`: bytes that were read from it before. */
  add(socket: Socket, identity: ConnectionIdentity, framing: FramingFactory, head?: Uint8Array): Connection {
    const connection = new Connection(this, socket, identity, framing)
    this.#attach(socket, connection)
    connection.start(head)
    return connection
  }

  /** Goes on with a connection that was frozen in another loop. `framing` makes what it had there, from `frozen`. */
  thaw(
    frozen: FrozenConnection,
    handle: TcpHandle,
    framing: FramingFactory,
    unpack: (connection: Connection) => void = () => {},
  ): Connection {
    const socket = this.adopt(handle)
    const connection = new Connection(this, socket, frozen, framing)
    this.#attach(socket, connection)
    if (frozen.service >= 0) countArrived(this.figures, frozen.service)
    // Before its handler, and before bytes that were read already: they may be about what it brings along.
    unpack(connection)
    connection.thaw(frozen)
    return connection
  }

  /** Whether a socket can be taken off its handle again: it was built on one, and nothing is in between. */
  adopted(socket: Socket): boolean {
    return (socket as Attached)[READS_INTO_BUFFER] === true
  }

  /**
   * Opens an outbound connection and adds it to this loop. Its handler's `open` is called when it is connected; a
   * failure to connect ends in `close` with reason `error`.
   */
  connect(target: RemoteAddress, framing: FramingFactory): Connection {
    const socket = connect({ host: target.address, port: target.port, noDelay: true, allowHalfOpen: true })
    // Numbers of outbound connections are negative: those of accepted ones count upwards over the whole process. And
    // they differ from life to life of a thread, so that a reference kept over a crash names nobody.
    const id = -(this.#generation * OUTBOUND_PER_LIFE + ++this.#outboundCount)
    const identity = {
      id,
      serial: this.#outboundCount,
      remote: target,
      session: `peer:${target.address}:${target.port}`,
      service: -1,
    }
    const connection = new Connection(this, socket, identity, framing)
    this.#attach(socket, connection)
    socket.once('connect', () => connection.start(undefined))
    return connection
  }

  /** A timer on the wheel. Answers the function that cancels it; what the callback throws goes to the wheel's owner. */
  after(delayMs: number, callback: () => unknown): () => void {
    const handle = this.wheel.schedule(delayMs, callback, undefined)
    return () => this.wheel.cancel(handle)
  }

  get(id: number): Connection | undefined {
    return this.#connections.get(id)
  }

  get size(): number {
    return this.#connections.size
  }

  connections(): IterableIterator<Connection> {
    return this.#connections.values()
  }

  #attach(socket: Socket, connection: Connection): void {
    const attached = socket as Attached
    attached[CONNECTION] = connection
    if (attached[READS_INTO_BUFFER] !== true) socket.on('data', onData)
    socket.on('end', onEnd)
    socket.on('close', onClose)
    socket.on('error', onError)
    this.#connections.set(connection.id, connection)
  }

  // ---- turns ------------------------------------------------------------------------------------------------------

  /** Every entry from the outside is a turn: reading, a timer, a ring record. What it sends leaves at its end. */
  enterTurn(): void {
    if (this.#depth++ === 0) this.#turnStartMs = this.readClock()
    this.outbox.enterTurn()
  }

  leaveTurn(): void {
    this.outbox.leaveTurn()
    if (--this.#depth === 0) this.#onTurn((this.readClock() - this.#turnStartMs) / 1000)
  }

  readClock(): number {
    this.nowMs = this.clock.nowMs()
    return this.nowMs
  }

  // ---- low priority -----------------------------------------------------------------------------------------------

  /** True: the connection may be served now, which costs one of the turn's places. */
  takeLowPriorityTurn(): boolean {
    this.#scheduleLowPriority()
    if (this.#lowPriorityLeft === 0 || this.#lowPriority.length > 0) return false
    this.#lowPriorityLeft--
    return true
  }

  queueLowPriority(connection: Connection): void {
    this.#lowPriority.push(connection)
    this.#scheduleLowPriority()
  }

  #scheduleLowPriority(): void {
    if (this.#lowPriorityScheduled) return
    this.#lowPriorityScheduled = true
    setImmediate(() => {
      this.#lowPriorityScheduled = false
      const served = this.#lowPriority.splice(0, this.limits.lowPriorityBudget)
      this.#lowPriorityLeft = this.limits.lowPriorityBudget - served.length
      for (const connection of served) connection.feed()
      if (this.#lowPriority.length > 0) this.#scheduleLowPriority()
    })
  }

  /** Feeds kept bytes to a connection that was resumed, after the current turn. */
  defer(connection: Connection): void {
    setImmediate(() => connection.feed())
  }

  // ---- books ------------------------------------------------------------------------------------------------------

  removed(connection: Connection, reason: CloseReason): void {
    this.#connections.delete(connection.id)
    this.#onRemoved?.(connection)
    this.ended(connection.service, connection.id, reason)
  }

  /** A connection lives in another loop from now on; its socket tells it nothing any more. */
  departed(connection: Connection, socket: Socket): void {
    this.#connections.delete(connection.id)
    ;(socket as Attached)[CONNECTION] = undefined
    if (connection.service >= 0) countDeparted(this.figures, connection.service)
  }

  /** Messages of a service, in (0) or out (1). */
  countMessage(service: number, direction: 0 | 1, messages = 1): void {
    if (service >= 0) add(this.figures, MESSAGE_COLUMNS[2 * service + direction] as number, messages)
  }

  /** Counts the end of an accepted socket, whether or not it got as far as a connection. */
  ended(service: number, id: number, reason: CloseReason): void {
    if (service >= 0) countClosed(this.figures, service, reason)
    else add(this.figures, closedColumn(reason), 1)
    this.#onEnded?.(id)
  }

  handlerFailed(connection: Connection, error: unknown): void {
    this.#onHandlerError(connection, error)
  }

  /**
   * Holds the process to `net.memory`. A loop closes its own slowest receivers, and no more of them than bring it
   * down to its fair share of what is over the limit.
   */
  checkMemory(): void {
    if (this.unsentBytes < this.#memoryCheckBytes) {
      if (this.#memoryCheckBytes - this.unsentBytes > 2 * MEMORY_CHECK_STEP_BYTES) this.#moveMemoryCheck()
      return
    }
    this.figures[FIGURE.unsentBytes] = this.unsentBytes
    const total = this.#unsentBytesOfProcess()
    const excess = total - this.limits.memoryBytes
    if (excess > 0) this.#closeSlowest((excess * this.unsentBytes) / total)
    this.#moveMemoryCheck()
  }

  #moveMemoryCheck(): void {
    this.#memoryCheckBytes = this.unsentBytes + MEMORY_CHECK_STEP_BYTES
  }

  #closeSlowest(excessBytes: number): void {
    const slowest = [...this.#connections.values()].sort((a, b) => b.bufferedBytes - a.bufferedBytes)
    let freedBytes = 0
    for (const connection of slowest) {
      if (freedBytes >= excessBytes || connection.bufferedBytes === 0) return
      freedBytes += connection.bufferedBytes
      connection.destroy('too_slow')
    }
  }
}

// ---- sockets and their connections ----------------------------------------------------------------------------------

// The connection hangs on its socket, so that one set of functions serves all sockets: a closure per event and
// connection would cost some hundred bytes each.
const CONNECTION = Symbol('connection')

const READS_INTO_BUFFER = Symbol('reads into buffer')

interface Attached {
  [CONNECTION]?: Connection | undefined
  [READS_INTO_BUFFER]?: boolean
}

export function connectionOf(socket: Socket): Connection | undefined {
  return (socket as Attached)[CONNECTION]
}

function onData(this: Socket, bytes: Buffer): void {
  const connection = connectionOf(this)
  if (connection !== undefined && !connection.receive(bytes, bytes.length)) this.pause()
}

function onEnd(this: Socket): void {
  connectionOf(this)?.peerEnded()
}

function onClose(this: Socket, failed: boolean): void {
  connectionOf(this)?.closed(failed)
}

// 'close' follows and ends the connection; only the reason is known here. A reset by the peer is everyday life.
const RESETS: readonly (string | undefined)[] = ['ECONNRESET', 'EPIPE']

function onError(this: Socket, error: NodeJS.ErrnoException): void {
  connectionOf(this)?.blame(RESETS.includes(error.code) ? 'client' : 'error')
}
