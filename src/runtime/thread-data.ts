// What main gives a thread at its start and says to it later: one interface per pair and direction. Calls are Comlink
// RPC with a deadline (control.ts); notices are one-way messages on the thread's own port.
import type { MessagePort } from 'node:worker_threads'
import type { SlotMove } from '../actor/router.ts'
import type { CoreConfig } from '../config/core-options.ts'
import type { TcpHandle } from '../net/handoff.ts'
import type { ListenerSpec, ListeningAddress } from '../net/listener-spec.ts'
import type { ActorsReport } from '../observe/actor-report.ts'
import type { AcceptorLine } from '../observe/figure.ts'
import type { MetricJson } from '../observe/metrics.ts'
import type { HealthReport, Readiness } from '../observe/report.ts'
import type { LinkEnd } from '../ring/link.ts'
import type { FrozenAdmission } from './admission.ts'
import type { MoveProgress } from './connection-mover.ts'

/** Who may call the store. */
export type StoreUser = 'nobody' | 'actors' | 'services'

/** `workerData` of every thread of ours. */
export interface ThreadData {
  readonly thread: number
  readonly generation: number
  readonly config: CoreConfig
  /** Modules with services, actors and topics, as file URLs. */
  readonly modules: readonly string[]
  readonly listeners: readonly ListenerSpec[]
  readonly shardCount: number
  readonly storeUser: StoreUser
  /** Whether there is a bridge. */
  readonly usesBridge: boolean
  readonly figures: SharedArrayBuffer
  readonly slots: SharedArrayBuffer
  readonly doorbells: SharedArrayBuffer
  /** Counters of the acceptor that outlive it (serial-counter.ts). */
  readonly serials: SharedArrayBuffer
  /** Rate limits (token-buckets.ts). */
  readonly buckets: SharedArrayBuffer
  /** Whether raw handles move; else the documented public way. */
  readonly rawHandoff: boolean
  /** An acceptor that gets its listening sockets from its predecessor. */
  readonly inherits: boolean
  /** The process starts: nobody waits for this thread yet, and it has the cores for itself. */
  readonly rehearses: boolean
  readonly control: MessagePort
  /** Main's end for calls from the thread. */
  readonly main: MessagePort
}

/** main → any thread, one-way. */
export interface LinkNotice {
  readonly kind: 'link'
  readonly end: LinkEnd
}
export interface UnlinkNotice {
  readonly kind: 'unlink'
  readonly peer: number
}
export interface ForgetNotice {
  readonly kind: 'forget'
  readonly peer: number
}
/** A thread is gone; its successor, if it gets one, starts behind this. */
export interface DownNotice {
  readonly kind: 'down'
  readonly thread: number
  /** Its successor had taken over what it had; otherwise that is lost. */
  readonly planned: boolean
}
/** The way to another shard, for what moves between the two; as long as both live. */
export interface PeerNotice {
  readonly kind: 'peer'
  readonly thread: number
  readonly port: MessagePort
}
/** First step of a move, to its new owner, which answers `expecting`. */
export interface ExpectNotice {
  readonly kind: 'expect'
  readonly move: SlotMove
}
/** Second step, to all threads. */
export interface ShiftNotice {
  readonly kind: 'shift'
  readonly move: SlotMove
  /** Sources that died since the first step: no fence of theirs will come. */
  readonly gone: readonly number[]
}
/** Ends of connections are another acceptor's business now. */
export interface AcceptorNotice {
  readonly kind: 'acceptor'
  readonly thread: number
}
export type NoticeToThread =
  | AcceptorNotice
  | ForgetNotice
  | LinkNotice
  | UnlinkNotice
  | DownNotice
  | PeerNotice
  | ExpectNotice
  | ShiftNotice

/** any thread → main, one-way. */
export type NoticeToMain =
  | { readonly kind: 'log'; readonly lines: string }
  | { readonly kind: 'want-link'; readonly peer: number }
  | { readonly kind: 'expecting'; readonly move: number }
  /** From both ends of a move: it has no part in it any more. */
  | { readonly kind: 'move-ended'; readonly move: number }
  /** From the bridge's thread: its server was reached, or is away; then `problem` says why. */
  | { readonly kind: 'bridge'; readonly isUp: boolean; readonly problem: string }

/** main → shard, calls. */
export interface ShardControl {
  /** Loads the modules and starts the services; the shard is ready when this is answered. */
  start(): Promise<void>
  /** A new acceptor, or its first: connections come through `port`. `line` tells two at a time apart. */
  acceptFrom(port: MessagePort, line: AcceptorLine): void
  /** Closes every connection with `code` and `reason`; answers when all are gone or `graceMs` is over: how many are left. */
  drain(code: number, reason: string, graceMs: number): Promise<number>
  /** Behind `drain`: services stop, and actors save their state, for `graceMs` at most. */
  stop(graceMs: number): Promise<void>
  collect(): Promise<readonly MetricJson[]>
  actors(): ActorsReport
  /** Slots of this shard with so many connections on them that can move: fewer if it has fewer. */
  slotsWith(connections: number): Uint16Array
  /** Everything leaves this shard, which takes nothing new. */
  retire(): void
  progress(): MoveProgress
  /** A CPU profile in the format of Chrome's DevTools. */
  profile(seconds: number): Promise<string>
}

/** main → acceptor, calls. */
export interface AcceptorControl {
  /** Opens all listeners. */
  start(): Promise<readonly ListeningAddress[]>
  shardUp(shard: number, port: MessagePort): void
  shardDown(shard: number): void
  /** It gives the shard nothing more; settles when all that it gave has arrived. */
  shardLeaving(shard: number): Promise<void>
  /** Gives the listening sockets to its successor; settles when it has given away all connections that it held. */
  giveListeners(port: MessagePort): Promise<void>
  /** Takes them; settles when all listeners are its own. */
  takeListeners(port: MessagePort): Promise<void>
  /** Closes the listeners and whatever has no shard yet. */
  stop(): void
  collect(): Promise<readonly MetricJson[]>
}

/** main → store or bridge, calls. */
export interface CallControl {
  /** Calls are done from here on. When services use the store it is opened first. */
  start(): void
  /** Does all calls that have come, and closes what it has open. */
  close(): Promise<void>
  collect(): Promise<readonly MetricJson[]>
}

/** acceptor → its successor, on the port between them. */
export type InheritanceMessage =
  | { readonly kind: 'listener'; readonly index: number; readonly host: string; readonly handle: TcpHandle }
  | { readonly kind: 'last'; readonly admission: FrozenAdmission }

/** shard → main, calls. */
export interface MainControl {
  /** Runs a function of a module in the offload pool. */
  offload(module: string, name: string, argument: unknown): Promise<unknown>
  health(): HealthReport
  readiness(): Readiness
  metrics(prefix: string): Promise<string>
}
