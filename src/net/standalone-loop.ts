// An event loop of its own, in whatever thread it is made: connections, timers and low priority without services,
// shards or configuration. For programs that want the loop and nothing else.
import { createServer, type Server, type Socket } from 'node:net'
import { type Clock, systemClock } from '../lib/clock.ts'
import { THREAD } from '../lib/thread.ts'
import { FigureTable } from '../observe/figure.ts'
import { createNodeTimerHost } from '../timer/node-host.ts'
import { TimerWheel } from '../timer/wheel.ts'
import type { Connection } from './connection.ts'
import { DEFAULT_LIMITS, EventLoop, type NetLimits } from './event-loop.ts'
import type { TcpHandler } from './handler.ts'
import type { RemoteAddress } from './identity.ts'
import { type Opened, openServers } from './listen.ts'
import { peerKey } from './session-key.ts'
import { StreamFraming } from './tcp.ts'

const BACKLOG = 511
const TIMERS_PER_TURN = 1_000

export interface StandaloneLoopOptions {
  readonly limits?: Partial<NetLimits>
  readonly clock?: Clock
  /** Gets what a handler threw; its connection is closed. Default: printed to stderr. */
  readonly onHandlerError?: (error: unknown, connection: Connection) => void
}

export interface StandaloneLoop {
  /** Listens on `host` (default `localhost`, both loopback addresses) and serves what connects; answers the port. */
  listen<State>(port: number, handler: TcpHandler<State>, host?: string): Promise<number>
  /** Adds an open socket of whatever origin. */
  add<State>(socket: Socket, handler: TcpHandler<State>): Connection<State>
  /** Opens an outbound connection; a failure ends in the handler's `close` with reason `error`. */
  connect<State>(target: RemoteAddress, handler: TcpHandler<State>): Connection<State>
  /** A timer on the loop's wheel: never early. Answers the function that cancels it. */
  after(delayMs: number, callback: () => void): () => void
  /** Open connections. */
  readonly size: number
  /** Stops listening, drops every connection and all timers. */
  close(): Promise<void>
}

export function createEventLoop(options: StandaloneLoopOptions = {}): StandaloneLoop {
  const clock = options.clock ?? systemClock
  const failed =
    options.onHandlerError ?? ((error: unknown) => process.stderr.write(`handler failed: ${String(error)}\n`))
  const host = createNodeTimerHost(() => {
    loop.enterTurn()
    wheel.advance(clock.nowMs(), TIMERS_PER_TURN)
    loop.leaveTurn()
  })
  const wheel = new TimerWheel({
    clock,
    host,
    onError: (error) => {
      throw error
    },
  })
  const loop: EventLoop = new EventLoop({
    clock,
    wheel,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    figures: FigureTable.allocate().row(THREAD.main),
    unsentBytesOfProcess: () => loop.unsentBytes,
    onTurn: () => {},
    onHandlerError: (connection, error) => failed(error, connection),
  })
  const servers: Opened<Server>[] = []
  let count = 0

  function add<State>(socket: Socket, handler: TcpHandler<State>): Connection<State> {
    const remote = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    const id = ++count
    const identity = { id, serial: id, remote, session: peerKey(remote.address, remote.port), service: -1 }
    return loop.add(socket, identity, (connection) => new StreamFraming(connection, handler)) as Connection<State>
  }

  return {
    add,
    async listen(port, handler, onHost = 'localhost') {
      const make = (): Server =>
        createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => add(socket, handler))
      const opened = await openServers(onHost, port, BACKLOG, make)
      servers.push(...opened)
      return opened[0]?.port ?? 0
    },
    connect: <State>(target: RemoteAddress, handler: TcpHandler<State>) =>
      loop.connect(target, (connection) => new StreamFraming(connection, handler)) as Connection<State>,
    after: (delayMs, callback) => loop.after(delayMs, callback),
    get size() {
      return loop.size
    },
    async close() {
      for (const { socket } of servers) socket.close()
      for (const connection of loop.connections()) connection.destroy('shutdown')
      wheel.close()
    },
  }
}
