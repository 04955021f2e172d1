// A thread with an event loop that echoes numbered lines and passes each connection on to its peer again and again.
// Started by moving-connections.test.ts, twice.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../src/lib/clock.ts'
import type { Connection } from '../../src/net/connection.ts'
import { DEFAULT_LIMITS, EventLoop, type FramingFactory } from '../../src/net/event-loop.ts'
import type { FrozenConnection } from '../../src/net/frozen-connection.ts'
import type { TcpHandle } from '../../src/net/handoff.ts'
import { StreamFraming } from '../../src/net/tcp.ts'
import { WebSocketFraming } from '../../src/net/web-socket.ts'
import { FigureTable } from '../../src/observe/figure.ts'
import { createNodeTimerHost } from '../../src/timer/node-host.ts'
import { TimerWheel } from '../../src/timer/wheel.ts'

export interface MovingTask {
  readonly peer: MessagePort
}

/** From the test: a new connection, or the question how it went. */
export type ToMovingLoop =
  | { readonly kind: 'accepted'; readonly id: number; readonly transport: 'tcp' | 'ws'; readonly handle: TcpHandle }
  | { readonly kind: 'stop' }

export interface MovingReport {
  readonly moves: number
  readonly failures: readonly string[]
}

interface Leaving {
  readonly frozen: FrozenConnection
  readonly handle: TcpHandle
}

const DRAIN_MS = 1000
/** How long a connection stays in a thread. */
const STAY_MS = 2
const LIMITS = { messageBytesMax: 1024 * 1024, deflate: false }

const { peer } = workerData as MovingTask
const failures: string[] = []
let moves = 0
let stopped = false

const host = createNodeTimerHost(() => {
  loop.enterTurn()
  wheel.advance(systemClock.nowMs(), 1000)
  loop.leaveTurn()
})
const wheel = new TimerWheel({ clock: systemClock, host, onError: (error) => failures.push(String(error)) })
const loop: EventLoop = new EventLoop({
  clock: systemClock,
  wheel,
  limits: DEFAULT_LIMITS,
  figures: FigureTable.allocate().row(8),
  unsentBytesOfProcess: () => loop.unsentBytes,
  onTurn: () => {},
  onHandlerError: (_connection, error) => failures.push(String(error)),
})

function framing(transport: 'tcp' | 'ws', frozen?: FrozenConnection): FramingFactory {
  return (connection) =>
    transport === 'tcp'
      ? new StreamFraming(connection, {
          data(one, bytes) {
            if (!one.send(bytes)) one.pause()
          },
          writable: (one) => one.resume(),
          thaw: () => {},
        })
      : new WebSocketFraming(
          connection,
          {
            message(one, payload, isBinary) {
              if (!one.send(payload, isBinary)) one.pause()
            },
            writable: (one) => one.resume(),
            thaw: () => {},
          },
          LIMITS,
          frozen?.webSocket?.protocol,
        )
}

function passOn(connection: Connection): void {
  if (stopped || !connection.open) return
  connection.drain(DRAIN_MS, (drained) => {
    const leaving = drained && !stopped ? connection.freeze() : undefined
    if (leaving === undefined) loop.after(STAY_MS, () => passOn(connection))
    else peer.postMessage(leaving satisfies Leaving, [leaving.handle as unknown as MessagePort])
  })
}

peer.on('message', ({ frozen, handle }: Leaving) => {
  moves++
  const connection = loop.thaw(frozen, handle, framing(frozen.transport === 'ws' ? 'ws' : 'tcp', frozen))
  loop.after(STAY_MS, () => passOn(connection))
})

parentPort?.on('message', (message: ToMovingLoop) => {
  if (message.kind === 'stop') {
    stopped = true
    parentPort?.postMessage({ moves, failures } satisfies MovingReport)
    return
  }
  const { id, transport, handle } = message
  const identity = { id, serial: id, remote: { address: '127.0.0.1', port: 1 }, session: `test:${id}`, service: -1 }
  passOn(loop.add(loop.adopt(handle), identity, framing(transport)))
})
