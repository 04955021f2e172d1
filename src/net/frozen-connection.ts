// A connection on its way to another thread: everything but its native handle, which travels beside it. Plain data,
// structured-cloneable.
import type { Connection } from './connection.ts'
import type { ConnectionIdentity } from './identity.ts'
import type { FrozenProtocol } from './websocket/protocol.ts'

/** An HTTP connection between two requests, or in the middle of a head. */
export interface FrozenHttp {
  /** The kind of listener it came in by: that of WebSockets upgrades, too. */
  readonly listener: 'http' | 'ws'
  /** It has asked something. */
  readonly served: boolean
  /** What has come of a head. */
  readonly head?: Uint8Array
}

/** What a connection's framing adds. */
export interface FrozenFraming {
  readonly transport: 'tcp' | 'ws' | 'http'
  /** What the handler's `freeze` answered. */
  readonly state: unknown
  readonly webSocket?: { readonly deflate: boolean; readonly protocol: FrozenProtocol }
  readonly http?: FrozenHttp
}

export interface FrozenTimeout {
  readonly timeoutMs: number
  /** How long it had been silent; the time on the way does not count, because nobody listened. */
  readonly idleMs: number
}

export interface FrozenConnection extends ConnectionIdentity, FrozenFraming, FrozenTimeout {
  readonly paused: boolean
  readonly lowPriority: boolean
  /** The peer's FIN has been handled. One that has not is still in the kernel. */
  readonly peerEnded: boolean
  /** Bytes that were read and not handled. */
  readonly unparsed?: Uint8Array
  /** When it was frozen, on the process's monotonic clock. */
  readonly frozenMs: number
}

export function frozenOf(
  connection: Connection,
  timeout: FrozenTimeout,
  peerEnded: boolean,
  unparsed: Uint8Array | undefined,
  framing: FrozenFraming,
): FrozenConnection {
  const { id, serial, remote, session, service, lowPriority, paused, loop } = connection
  const identity = { id, serial, remote, session, service }
  // A view of a pool would travel with the whole pool.
  const kept = unparsed === undefined ? {} : { unparsed: new Uint8Array(unparsed) }
  return { ...identity, ...framing, ...timeout, ...kept, paused, lowPriority, peerEnded, frozenMs: loop.readClock() }
}
