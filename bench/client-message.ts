// What a bench says to its load generator's process, and what that answers. One command at a time.
import type { DialectName } from './dialect.ts'

export interface OpenCommand {
  readonly kind: 'open'
  readonly port: number
  readonly connections: number
  /** Connections that are being opened at the same time. */
  readonly atOnce: number
  /** `websocket` is open when it got its 101; `line` when the answer to its first line is here. */
  readonly speaks: 'websocket' | 'line'
  /** Source addresses 127.0.0.1, 127.0.0.2, …: one address has about 28,000 ports. */
  readonly addresses: number
  /** Processes of the server, to be sampled. */
  readonly pids: readonly number[]
}

export interface ExchangeCommand {
  readonly kind: 'exchange'
  /** Messages in flight per connection; they are written together, when all answers to the last ones are here. */
  readonly window: number
  readonly warmupMs: number
  readonly durationMs: number
  readonly pids: readonly number[]
}

export interface SubscribeCommand {
  readonly kind: 'subscribe'
  readonly port: number
  /** Beside them there is one publisher. */
  readonly subscribers: number
  readonly atOnce: number
  readonly addresses: number
  readonly dialect: DialectName
}

export interface PublishCommand {
  readonly kind: 'publish'
  /** Messages that the publisher writes together; the next when every subscriber has them all. */
  readonly burst: number
  readonly pauseMs: number
  readonly warmupMs: number
  readonly durationMs: number
  readonly pids: readonly number[]
}

/** Resets all connections. */
export interface ResetCommand {
  readonly kind: 'reset'
}

export type ClientCommand = OpenCommand | ExchangeCommand | SubscribeCommand | PublishCommand | ResetCommand

export interface Opened {
  readonly elapsedMs: number
  readonly serverCpuNs: number
}

export interface Exchanged {
  readonly messages: number
  readonly elapsedMs: number
  readonly serverCpuNs: number
  /** Busy share of the generator's thread: near 1, the throughput is its own. */
  readonly generatorBusy: number
}

export interface Published {
  readonly deliveries: number
  readonly elapsedMs: number
  readonly serverCpuNs: number
  readonly generatorBusy: number
  /** From the publisher's write until a subscriber had the last of a burst. */
  readonly p50Ms: number
  readonly p99Ms: number
}

export type ClientAnswer =
  | { readonly kind: 'opened'; readonly opened: Opened }
  | { readonly kind: 'exchanged'; readonly exchanged: Exchanged }
  | { readonly kind: 'subscribed' }
  | { readonly kind: 'published'; readonly published: Published }
  | { readonly kind: 'reset' }
  | { readonly kind: 'failed'; readonly reason: string }
