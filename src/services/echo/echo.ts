// echo: what comes in goes back, over TCP, UDP and WebSocket. For diagnostics and benchmarks, and the smallest example
// of a service.
import { duration, oneOf } from '../../config/kind.ts'
import { option } from '../../config/option.ts'
import type { Connection } from '../../net/connection.ts'
import type { TcpHandler, UdpHandler, WebSocketHandler } from '../../net/handler.ts'
import { queryValueOf, requestTargetOf } from '../../net/head.ts'
import type { SessionKey } from '../../net/session-key.ts'
import { defineService } from '../service.ts'
import { type EchoCounters, echoCounters } from './counter.ts'
import { LineEcho, type LineOutput } from './line-echo.ts'

/** Longest WebSocket message; a longer one gets 1009. */
export const MESSAGE_BYTES_MAX = 1024 * 1024

export const echo = defineService({
  name: 'echo',
  options: {
    mode: option(
      oneOf(['prefixed', 'complete', 'raw', 'simple']),
      'prefixed',
      'TCP: `prefixed` (also `complete`) answers each line with the number of the connection, `raw` returns bytes unchanged, `simple` serves one connection at a time, raw.',
    ),
    idleTimeout: option(
      duration({ max: '24h' }),
      '60s',
      'A connection without a byte in either direction for so long is closed; 0 turns that off.',
    ),
  },
  listeners: {
    tcp: { port: 8084 },
    udp: { port: 8084 },
    ws: { port: 8085, sessionOf: sessionOfTarget },
  },
  connectionsMax: (transport, config) => (transport === 'tcp' && config.mode === 'simple' ? 1 : undefined),
  start({ config, metrics }) {
    const counters = echoCounters(metrics)
    const { idleTimeout } = config
    const tcp = config.mode === 'prefixed' || config.mode === 'complete' ? prefixed(counters.tcp) : raw(counters.tcp)
    const udp: UdpHandler = {
      datagram(peer, payload) {
        counters.datagramsIn.value++
        if (peer.send(payload)) counters.datagramsOut.value++
      },
    }
    return {
      tcp: withIdleTimeout(tcp, idleTimeout),
      udp,
      ws: withIdleTimeout(webSocket(counters.ws), idleTimeout),
      messageBytesMax: MESSAGE_BYTES_MAX,
    }
  },
})

/** The session of `ws://host/path?session=KEY`. */
export function sessionOfTarget(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const session = queryValueOf(found.target, 'session')
  return session === undefined || session === '' ? { state: 'none' } : { state: 'key', key: `echo:${session}` }
}

function prefixed(counters: EchoCounters): TcpHandler<EchoedLines> {
  return {
    open(connection) {
      counters.opened()
      return new EchoedLines(connection, counters)
    },
    freeze(connection) {
      counters.departed()
      return connection.state.freeze()
    },
    thaw(connection, part) {
      counters.arrived()
      return new EchoedLines(connection, counters, part as Uint8Array)
    },
    data: (connection, bytes) => connection.state.push(bytes),
    end(connection) {
      connection.state.end()
      connection.close()
    },
    writable: (connection) => connection.resume(),
    timeout: (connection) => counters.idle(connection),
    close: () => counters.closed(),
  }
}

function raw(counters: EchoCounters): TcpHandler<void> {
  return {
    open: () => counters.opened(),
    freeze: () => counters.departed(),
    thaw: () => counters.arrived(),
    data(connection, bytes) {
      counters.bytesIn.value += bytes.length
      counters.bytesOut.value += bytes.length
      if (!connection.send(bytes)) connection.pause()
    },
    writable: (connection) => connection.resume(),
    timeout: (connection) => counters.idle(connection),
    close: () => counters.closed(),
  }
}

function webSocket(counters: EchoCounters): WebSocketHandler<void> {
  return {
    open: () => counters.opened(),
    freeze: () => counters.departed(),
    thaw: () => counters.arrived(),
    message(connection, payload, isBinary) {
      counters.bytesIn.value += payload.length
      counters.bytesOut.value += payload.length
      if (!connection.send(payload, isBinary)) connection.pause()
    },
    writable: (connection) => connection.resume(),
    timeout: (connection) => counters.idle(connection),
    close: () => counters.closed(),
  }
}

interface Opens<State> {
  open?(connection: Connection<State>): State
  thaw?(connection: Connection<State>, frozen: unknown): State
}

function withIdleTimeout<State, H extends Opens<State>>(handler: H, ms: number): H {
  const { open, thaw } = handler
  return {
    ...handler,
    open(connection: Connection<State>): State {
      connection.setTimeout(ms)
      return open?.(connection) as State
    },
    // The configuration may be another than where it came from.
    thaw(connection: Connection<State>, frozen: unknown): State {
      connection.setTimeout(ms)
      return thaw?.(connection, frozen) as State
    },
  }
}

/** One prefixed connection: lines in, lines out, and the books. */
class EchoedLines implements LineOutput {
  readonly #connection: Connection
  readonly #counters: EchoCounters
  readonly #lines: LineEcho

  constructor(connection: Connection<EchoedLines>, counters: EchoCounters, part?: Uint8Array) {
    this.#connection = connection as Connection
    this.#counters = counters
    this.#lines = new LineEcho(connection.serial, part)
  }

  push(bytes: Buffer): number {
    const taken = this.#lines.push(bytes, this)
    this.#counters.bytesIn.value += taken
    return taken
  }

  end(): void {
    this.#lines.end(this)
  }

  freeze(): Uint8Array {
    return this.#lines.freeze()
  }

  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): void {
    this.#counters.bytesOut.value += end - start
    this.#connection.write(bytes, start, end)
  }

  get blocked(): boolean {
    if (!this.#connection.congested) return false
    this.#connection.pause()
    return true
  }
}
