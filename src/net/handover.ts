// The one message between acceptor and shard: an accepted connection. Acknowledged without a message: the shard writes
// the number of what it took last into shared memory (`FigureTable.setTaken`), and the acceptor compares.
import type { Socket } from 'node:net'
import type { TcpHandle } from './handoff.ts'

export interface Handover {
  /** Counts what one acceptor posts to one shard, from 1. */
  readonly sequence: number
  readonly listener: number
  readonly id: number
  readonly serial: number
  readonly address: string
  readonly port: number
  readonly session: string
  /** On the process's monotonic clock. */
  readonly acceptedMs: number
  /** Bytes read while looking for the session key. */
  readonly head: Uint8Array | undefined
  /** The native handle; undefined in the `public` way, where `socket` travels. */
  readonly handle: TcpHandle | undefined
  readonly socket: Socket | undefined
}
