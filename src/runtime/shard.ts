// One shard: an event loop with the connections handed to it, and the services' handlers running on it.
import type { MessagePort } from 'node:worker_threads'
import { AssertionError } from '../lib/assert.ts'
import { PolyloopError } from '../lib/errors.ts'
import { THREAD, threadOfSeat } from '../lib/thread.ts'
import type { Connection } from '../net/connection.ts'
import { EventLoop } from '../net/event-loop.ts'
import type { Handover } from '../net/handover.ts'
import { DATAGRAM_HEAD_BYTES_MAX, decodeRoute, encodeRoute, RECORD, routeBytes } from '../net/record.ts'
import { peerKey } from '../net/session-key.ts'
import { StreamFraming } from '../net/tcp.ts'
import { FAMILIES } from '../observe/family.ts'
import { FIGURE, figureOf } from '../observe/figure.ts'
import { errorFields } from '../observe/logger.ts'
import { loadServices } from '../services/registry.ts'
import type { ConnectionRef, ServiceContext, ServiceHandlers } from '../services/service.ts'
import { createNodeTimerHost } from '../timer/node-host.ts'
import { TimerWheel } from '../timer/wheel.ts'
import { tracksEnds } from './admission.ts'
import { controlOf, type Remote } from './control.ts'
import { Intake } from './intake.ts'
import { limitsOf } from './limits.ts'
import { captureProfile } from './profile.ts'
import { ThreadBase } from './thread-base.ts'
import type { MainControl, ShardControl, ThreadData } from './thread-data.ts'

/** Timers fired in one turn; the rest fire in the next. */
const TIMERS_PER_TURN = 1_000
/** Connections closed in one turn of a drain. */
const CLOSES_PER_TURN = 256
const DRAIN_POLL_MS = 20
/** Handler errors logged per second; all are counted. */
const ERRORS_LOGGED_PER_SECOND = 10

export class Shard implements ShardControl {
  readonly #base: ThreadBase
  readonly #data: ThreadData
  readonly #shard: number
  readonly #loop: EventLoop
  readonly #main: Remote<MainControl>
  readonly #intake: Intake
  readonly #handlers: ServiceHandlers[] = []
  readonly #routeHead = Buffer.alloc(DATAGRAM_HEAD_BYTES_MAX)
  readonly #refHead = Buffer.alloc(16)
  /** How many acceptors there have been: only the last one's handovers are acknowledged. */
  #acceptors = 0
  #draining: { readonly code: number; readonly reason: string } | undefined

  constructor(data: ThreadData, port: MessagePort) {
    this.#data = data
    this.#shard = data.thread - THREAD.firstShard
    this.#base = new ThreadBase(data, port, (source, kind, bytes, offset, length) => {
      this.#onRecord(source, kind, Buffer.from(bytes.buffer, bytes.byteOffset + offset, length))
    })
    this.#main = controlOf<MainControl>(data.main)
    const { clock, table, figures, metrics, log } = this.#base
    const host = createNodeTimerHost(() => {
      this.#loop.enterTurn()
      wheel.advance(clock.nowMs(), TIMERS_PER_TURN)
      this.#loop.leaveTurn()
    })
    const wheel = new TimerWheel({ clock, host, onError: (error) => this.#fatal(error) })
    const turn = metrics.histogram(FAMILIES.turn).cell({})
    const handlerErrors = log.limited('services.handler_failed', ERRORS_LOGGED_PER_SECOND)
    const rows = Array.from({ length: data.shardCount }, (_, shard) => table.row(threadOfSeat(shard)))
    this.#loop = new EventLoop({
      clock,
      wheel,
      limits: limitsOf(data.config),
      figures,
      generation: data.generation,
      unsentBytesOfProcess: () => rows.reduce((sum, row) => sum + figureOf(row, FIGURE.unsentBytes), 0),
      onTurn: (seconds) => turn.observe(seconds),
      onHandlerError: (connection, error) => handlerErrors.error({ connection: connection.id, ...errorFields(error) }),
      onEnded: tracksEnds(data.config.net.maxConnectionsPerAddress, data.listeners)
        ? (id) => this.#tellEnded(id)
        : undefined,
    })
    this.#base.onBeat = () => {
      const { stats } = wheel
      figures[FIGURE.timersScheduled] = stats.scheduled
      figures[FIGURE.timersFired] = stats.fired
      figures[FIGURE.timersLate] = stats.late
      figures[FIGURE.unsentBytes] = this.#loop.unsentBytes
    }
    this.#intake = new Intake({ loop: this.#loop, listeners: data.listeners, handlers: this.#handlers, log })
  }

  async start(): Promise<void> {
    const services = await loadServices(this.#data.modules)
    const all = this.#data.config as unknown as { services: Record<string, unknown> }
    for (const [index, service] of services.entries()) {
      const enabled = this.#data.listeners.some((listener) => listener.serviceIndex === index)
      this.#handlers[index] = enabled ? service.start(this.#contextOf(service.name, all.services[service.name])) : {}
    }
    for (const { service, serviceIndex, transport } of this.#data.listeners) {
      if (this.#handlers[serviceIndex]?.[transport as keyof ServiceHandlers] !== undefined) continue
      throw new PolyloopError('MODULE_INVALID', { service, problem: `it listens on ${transport} and has no handler` })
    }
    // A promise of user code that nobody waits for must not end everybody's connections; a broken invariant of the
    // runtime still does.
    process.on('unhandledRejection', (error) => {
      if (error instanceof AssertionError) throw error
      this.#base.log.error('services.rejection_unhandled', errorFields(error))
    })
  }

  acceptFrom(port: MessagePort): void {
    const acceptor = ++this.#acceptors
    this.#base.table.setTaken(this.#data.thread, 0)
    port.on('message', (handover: Handover) => {
      this.#intake.take(handover)
      // What a dead acceptor had posted has the numbers of that one.
      if (acceptor === this.#acceptors) this.#base.table.setTaken(this.#data.thread, handover.sequence)
      // Posted by the acceptor before it knew that this shard drains.
      if (this.#draining !== undefined) this.#sayGoodBye(this.#loop.get(handover.id))
    })
  }

  async drain(code: number, reason: string, graceMs: number): Promise<number> {
    this.#draining = { code, reason }
    const cutOff = this.#loop.cutOff
    const until = this.#base.clock.nowMs() + graceMs
    await this.#closeAll()
    while (this.#intake.size + this.#loop.size > 0 && this.#base.clock.nowMs() < until) await pause(DRAIN_POLL_MS)
    for (const handlers of this.#handlers) await this.#stop(handlers)
    return this.#intake.size + this.#loop.size + this.#loop.cutOff - cutOff
  }

  async #stop(handlers: ServiceHandlers): Promise<void> {
    try {
      await handlers.stop?.()
    } catch (error) {
      this.#base.log.error('services.stop_failed', errorFields(error))
    }
  }

  collect(): ReturnType<ShardControl['collect']> {
    return this.#base.metrics.collect()
  }

  profile(seconds: number): Promise<string> {
    return captureProfile(seconds)
  }

  /** Paced, so that a drain of many connections does not stop the loop for those that still talk. */
  async #closeAll(): Promise<void> {
    this.#intake.close()
    let left = CLOSES_PER_TURN
    for (const connection of this.#loop.connections()) {
      this.#sayGoodBye(connection)
      if (--left > 0) continue
      left = CLOSES_PER_TURN
      await pause(0)
    }
  }

  /** A connection that is still in its handshake has none to say: it is closed with the others of its kind. */
  #sayGoodBye(connection: Connection | undefined): void {
    const draining = this.#draining
    if (draining === undefined) return
    if (connection === undefined) this.#intake.close()
    else connection.closeFor(draining.code === 1012 ? 'restart' : 'shutdown', draining.code, draining.reason)
  }

  #contextOf(name: string, config: unknown): ServiceContext<unknown> {
    const base = this.#base
    return {
      config,
      shard: { id: this.#shard, count: this.#data.shardCount },
      log: base.log.child({ service: name }),
      metrics: base.metrics,
      clock: base.clock,
      after: (delayMs, callback) => this.#loop.after(delayMs, () => this.#watch(callback())),
      connect: (target, handler) =>
        this.#loop.connect(target, (connection) => new StreamFraming(connection, handler)) as Connection<never>,
      refOf: (connection) => ({ shard: this.#shard, id: connection.id }),
      send: (ref, payload, isBinary) => this.#sendTo(ref, payload, isBinary),
      close: (ref, code, reason) => this.#closeAt(ref, code, reason),
      offload: (module, task, argument) => this.#main.offload(module, task, argument),
    }
  }

  #sendTo(ref: ConnectionRef, payload: Uint8Array | string, isBinary = typeof payload !== 'string'): boolean {
    if (ref.shard === this.#shard) {
      const connection = this.#loop.get(ref.id)
      if (connection === undefined) return false
      connection.send(payload, isBinary)
      return true
    }
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    this.#refHead.writeDoubleLE(ref.id, 0)
    this.#refHead[8] = isBinary ? 1 : 0
    const { mesh } = this.#base
    return mesh.send(threadOfSeat(ref.shard), 'data', RECORD.send, this.#refHead, 9, bytes, 0, bytes.byteLength)
  }

  #closeAt(ref: ConnectionRef, code = 1000, reason = ''): boolean {
    if (ref.shard === this.#shard) {
      this.#loop.get(ref.id)?.close(code, reason)
      return true
    }
    const bytes = Buffer.from(reason)
    this.#refHead.writeDoubleLE(ref.id, 0)
    this.#refHead.writeUInt16LE(code, 8)
    const { mesh } = this.#base
    // In the data lane: a close must not overtake what was sent before it.
    return mesh.send(threadOfSeat(ref.shard), 'data', RECORD.close, this.#refHead, 10, bytes, 0, bytes.length)
  }

  #onRecord(source: number, kind: number, record: Buffer): void {
    const loop = this.#loop
    loop.enterTurn()
    try {
      if (kind === RECORD.datagram) this.#onDatagram(source, record)
      else if (kind === RECORD.send) {
        loop.get(record.readDoubleLE(0))?.send(record.subarray(9), record[8] === 1)
      } else if (kind === RECORD.close) {
        loop.get(record.readDoubleLE(0))?.close(record.readUInt16LE(8), record.toString('utf8', 10))
      }
    } catch (error) {
      this.#base.log.error('services.handler_failed', errorFields(error))
    }
    loop.leaveTurn()
  }

  #onDatagram(source: number, record: Buffer): void {
    const route = decodeRoute(record, 0)
    const listener = this.#data.listeners[route.listener]
    const handler = listener === undefined ? undefined : this.#handlers[listener.serviceIndex]?.udp
    if (listener === undefined || handler === undefined) return
    const { mesh } = this.#base
    this.#loop.countMessage(listener.serviceIndex, 0)
    const peer = {
      address: route.address,
      port: route.port,
      session: peerKey(route.address, route.port),
      send: (payload: Uint8Array): boolean => {
        const headBytes = encodeRoute(this.#routeHead, route)
        const bytes = payload.byteLength
        if (!mesh.send(source, 'data', RECORD.reply, this.#routeHead, headBytes, payload, 0, bytes)) return false
        this.#loop.countMessage(listener.serviceIndex, 1)
        return true
      },
    }
    this.#watch(handler.datagram(peer, record.subarray(routeBytes(record, 0))))
  }

  /** What an asynchronous callback without a connection rejects with is logged. */
  #watch(result: unknown): void {
    if (result instanceof Promise) {
      result.catch((error: unknown) => this.#base.log.error('services.handler_failed', errorFields(error)))
    }
  }

  #tellEnded(id: number): void {
    this.#refHead.writeDoubleLE(id, 0)
    this.#base.mesh.send(THREAD.acceptor, 'control', RECORD.ended, this.#refHead, 8)
  }

  /** What a timer callback throws has no connection to end: the runtime's own are bugs, a service's is logged. */
  #fatal(error: unknown): void {
    this.#base.log.error('services.timer_failed', errorFields(error))
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
