// An event loop with a manual clock and one loopback connection on it: real sockets, no threads.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Connection } from '../../src/net/connection.ts'
import { DEFAULT_LIMITS, EventLoop, type NetLimits } from '../../src/net/event-loop.ts'
import type { TcpHandler } from '../../src/net/handler.ts'
import { type TcpHandle, takeHandles } from '../../src/net/handoff.ts'
import { StreamFraming } from '../../src/net/tcp.ts'
import { FigureTable } from '../../src/observe/figure.ts'
import { ManualTimers } from '../../src/timer/manual-timers.ts'

export class LoopFixture implements AsyncDisposable {
  readonly timers = new ManualTimers()
  readonly figures = FigureTable.allocate().row(8)
  readonly failures: unknown[] = []
  readonly loop: EventLoop
  unsentElsewhere = 0
  readonly #server = createServer()
  readonly #handles: TcpHandle[] = []
  readonly #clients: Socket[] = []
  #count = 0

  constructor(limits: Partial<NetLimits> = {}) {
    this.loop = new EventLoop({
      clock: this.timers.clock,
      wheel: this.timers.wheel,
      limits: { ...DEFAULT_LIMITS, ...limits },
      figures: this.figures,
      unsentBytesOfProcess: () => this.loop.unsentBytes + this.unsentElsewhere,
      onTurn: () => {},
      onHandlerError: (_connection, error) => this.failures.push(error),
    })
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    takeHandles(
      this.#server,
      (handle) => this.#handles.push(handle),
      (status) => this.failures.push(status),
    )
  }

  /** A client socket, and the connection on the loop at its other end. */
  async pair<State>(
    handler: TcpHandler<State>,
    options: { head?: string; allowHalfOpen?: boolean } = {},
  ): Promise<{ client: Socket; connection: Connection<State> }> {
    if (!this.#server.listening) await this.listen()
    const { port } = this.#server.address() as AddressInfo
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: options.allowHalfOpen ?? true })
    this.#clients.push(client)
    await once(client, 'connect')
    while (this.#handles.length === 0) await turn()
    const handle = this.#handles.shift() as TcpHandle
    const id = ++this.#count
    const identity = { id, serial: id, remote: { address: '127.0.0.1', port: 1 }, session: 'test', service: 0 }
    const head = options.head === undefined ? undefined : Buffer.from(options.head)
    const socket = this.loop.adopt(handle)
    const connection = this.loop.add(socket, identity, (one) => new StreamFraming(one, handler as TcpHandler), head)
    return { client, connection: connection as Connection<State> }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy()
    for (const connection of this.loop.connections()) connection.destroy('shutdown')
    this.#server.close()
    await turn()
  }
}

/** Lets the real event loop go round. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Turns until something is true; a test that hangs fails by the runner's own timeout. */
export async function until(what: string, predicate: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 10_000
  while (!predicate()) {
    if (performance.now() > giveUpMs) throw new Error(`did not happen: ${what}`)
    await turn()
  }
}

/** Everything a client receives, as one growing string. */
export class Received {
  bytes = 0
  text = ''
  ended = false

  constructor(client: Socket, keep = true) {
    client.on('data', (data: Buffer) => {
      this.bytes += data.length
      if (keep) this.text += data.toString('latin1')
    })
    client.on('end', () => {
      this.ended = true
    })
  }
}
