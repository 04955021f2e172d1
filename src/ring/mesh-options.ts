// What a mesh is made with, and what it tells: how much, and what went wrong.
import type { Clock } from '../lib/clock.ts'
import type { BellKind } from './bell.ts'

/** As RecordSink, with the thread it came from. Bytes are valid only during the call; throwing ends the thread. */
export type MeshSink = (
  source: number,
  kind: number,
  bytes: Buffer,
  offset: number,
  length: number,
  view: DataView,
) => void

/** What should not happen and was survived; the owner logs it. The counters are in `stats()` as well. */
export type MeshFault =
  | { readonly what: 'late-wake'; readonly asleepMs: number }
  | { readonly what: 'chunks-discarded'; readonly source: number; readonly chunks: number }
  | { readonly what: 'message-too-large'; readonly peer: number; readonly kind: number; readonly bytes: number }

export interface MeshOptions {
  /** This thread's index. */
  readonly self: number
  /** Counts the threads that have had this index, u16: chunks of a dead writer are told from its successor's. */
  readonly generation: number
  readonly doorbells: SharedArrayBuffer
  /** Asks main for a link; called once per peer until `attach`. Messages wait meanwhile. */
  readonly requestLink: (peer: number) => void
  readonly sink: MeshSink
  /** Called around the records of one turn, whatever the sink does. */
  readonly beginTurn?: () => void
  readonly leaveTurn?: () => void
  /** Bound of what waits beyond the ring, per peer and lane. An empty queue takes one message of any legal size. */
  readonly overflowBytesMax: number
  readonly messageBytesMax: number
  /** Bound of one turn, per lane. */
  readonly drainRecordsMax?: number
  readonly drainMs?: number
  readonly clock: Clock
  readonly bell?: BellKind
  readonly onFault?: (fault: MeshFault) => void
  /** Runs the next turn after I/O had its chance: setImmediate, except in tests that step by hand. */
  readonly schedule?: (turn: () => void) => void
}

export interface MeshStats {
  /** Messages given to the sink. */
  recordsIn: number
  /** Messages taken by `send`. */
  recordsOut: number
  /** Messages that found their ring full and waited beyond it. */
  full: number
  /** Messages refused by `send`. */
  refused: number
  /** Waiting messages thrown away by `forget` and `close`. */
  dropped: number
  overflowBytes: number
  usedBytes: number
  /** Turns that only the watchdog caused: each is a bug. */
  watchdogWakes: number
  discardedChunks: number
  /** Rings of this thread's bell, and how often it rang others'. */
  wakesIn: number
  wakesOut: number
}
