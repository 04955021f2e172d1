// The stage on which the services of a new shard go through their hot paths before the shard is ready: their first clients
// meet compiled code then. Its connections are real ones over loopback, in an event loop of their own, so that no figure
// and no metric of the shard knows of them. Decides nothing about what is played.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { compileEarly } from '../lib/compilation.ts'
import type { Connection } from '../net/connection.ts'
import { EventLoop } from '../net/event-loop.ts'
import type { WebSocketHandler } from '../net/handler.ts'
import { peerOf, type TcpHandle, takeHandles, tune } from '../net/handoff.ts'
import { WebSocketFraming } from '../net/web-socket.ts'
import { FigureTable } from '../observe/figure.ts'
import { errorFields } from '../observe/logger.ts'
import { ThreadMetrics } from '../observe/metrics.ts'
import type { ServiceHandlers, Stage } from '../services/service.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { ThreadBase } from './thread-base.ts'

const LOOPBACK = '127.0.0.1'
/** Each on a stage of its own: what V8 took for constant in the first one, it learns not to be. */
const ACTS = 2
/** What is played is short. */
const MESSAGE_BYTES_MAX = 64 * 1024

export interface RehearsalOptions {
  readonly base: ThreadBase
  readonly wheel: TimerWheel
  /** Of the shard. */
  readonly loop: EventLoop
  readonly handlers: readonly ServiceHandlers[]
}

/** Settles when all services are through, or the time is over. Never rejects: the worst is that code stays cold. */
export async function rehearse(options: RehearsalOptions): Promise<void> {
  const { base, handlers } = options
  const { data, log } = base
  const msMax = data.config.shard.rehearsal
  // Not by who comes after a crash, whose clients wait, or with a reload, beside those that serve; and the socket of a
  // stage is a raw handle.
  if (msMax === 0 || !data.rehearses || !data.rawHandoff) return
  if (handlers.every(({ rehearse: play }) => play === undefined)) return
  // It stays: the first clients bring what was not foreseen here, and undo some of it.
  compileEarly()
  const signal = AbortSignal.timeout(msMax)
  const over = once(signal, 'abort').then(() => {
    throw signal.reason
  })
  // It may end when nobody waits for it any more.
  over.catch(() => {})
  const failed = (error: unknown): void => log.debug('services.rehearsal_failed', errorFields(error))
  for (let act = 0; act < ACTS; act++) {
    for (const [service, { rehearse: play }] of handlers.entries()) {
      if (play === undefined || signal.aborted) continue
      using stage = new LoopbackStage(options, service, signal)
      await Promise.race([play(stage), over]).catch(failed)
    }
  }
}

class LoopbackStage implements Stage, Disposable {
  readonly metrics = new ThreadMetrics()
  readonly signal: AbortSignal
  readonly #service: number
  readonly #loop: EventLoop
  readonly #sockets: Socket[] = []
  readonly #leave: () => void

  constructor({ base, wheel, loop }: RehearsalOptions, service: number, signal: AbortSignal) {
    this.signal = signal
    this.#service = service
    const stage = new EventLoop({
      clock: loop.clock,
      wheel,
      limits: loop.limits,
      figures: FigureTable.allocate().row(base.data.thread),
      unsentBytesOfProcess: () => stage.unsentBytes,
      onTurn: () => {},
      onHandlerError: (_connection, error) => base.log.debug('services.rehearsal_failed', errorFields(error)),
    })
    this.#loop = stage
    // What the rings bring belongs to turns of this loop meanwhile.
    const { enterTurn, leaveTurn } = base
    base.enterTurn = () => stage.enterTurn()
    base.leaveTurn = () => stage.leaveTurn()
    this.#leave = () => {
      base.enterTurn = enterTurn
      base.leaveTurn = leaveTurn
    }
  }

  async connect<State>(handler: WebSocketHandler<State>): Promise<Socket> {
    const { signal } = this
    signal.throwIfAborted()
    const { promise: accepted, resolve, reject } = Promise.withResolvers<TcpHandle>()
    const server = createServer()
    server.listen(0, LOOPBACK)
    try {
      await once(server, 'listening', { signal })
      takeHandles(server, resolve, (status) => reject(new Error(`not accepted: ${status}`)))
      const { port } = server.address() as AddressInfo
      const client = connect({ port, host: LOOPBACK, noDelay: true })
      this.#sockets.push(client)
      // Whoever plays waits for it no longer than for the end of the time.
      client.on('error', reject)
      this.#add(await accepted, handler as WebSocketHandler)
      return client
    } finally {
      server.close()
    }
  }

  [Symbol.dispose](): void {
    for (const connection of this.#loop.connections()) connection.destroy('shutdown')
    for (const socket of this.#sockets) socket.destroy()
    this.#leave()
  }

  #add(handle: TcpHandle, handler: WebSocketHandler): Connection {
    tune(handle)
    const remote = peerOf(handle) ?? { address: LOOPBACK, port: 0 }
    const identity = { id: this.#sockets.length, serial: 0, remote, session: 'rehearsal', service: this.#service }
    const limits = { messageBytesMax: MESSAGE_BYTES_MAX, deflate: false }
    return this.#loop.add(
      this.#loop.adopt(handle),
      identity,
      (connection) => new WebSocketFraming(connection, handler, limits),
    )
  }
}
