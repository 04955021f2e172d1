// What the admin server answers: the JSON shapes of /health and /api/v1/runtime, and nothing else. Members are named
// as on the wire.
import type { ThreadState } from './figure.ts'

export type ShardState = Exclude<ThreadState, 'absent'>

/** `degraded`: some shard is down, or the bridge's server is away. `unhealthy`: no shard is up. */
export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy'

export interface ListenerReport {
  readonly service: string
  readonly transport: 'tcp' | 'udp' | 'ws' | 'http'
  readonly host: string
  readonly port: number
}

export interface HealthReport {
  readonly status: HealthStatus
  readonly uptime_seconds: number
  readonly version: string
  readonly services: Readonly<Record<string, { readonly status: HealthStatus; readonly connections: number }>>
  readonly shards: readonly { readonly id: number; readonly state: ShardState; readonly connections: number }[]
  readonly listeners: readonly ListenerReport[]
  /** Where there is one. */
  readonly bridge?: BridgeReport
}

export interface BridgeReport {
  readonly kind: 'local' | 'redis'
  readonly status: 'connected' | 'disconnected'
  /** Why it is not connected. */
  readonly error?: string
}

/** As the bridge's thread knows it. */
export interface BridgeState {
  readonly isUp: boolean
  /** Why it is not up; empty while it is. */
  readonly problem: string
}

/** Counters are totals since the thread's first start: two reports and `time_ms` give any rate. */
export interface ThreadReport {
  /** The `shard` label: a number for shards, else the thread's name. */
  readonly name: string
  readonly state: ShardState
  readonly generation: number
  readonly restarts: number
  readonly connections: number
  readonly eventloop_utilization: number
  readonly eventloop_delay_seconds: number
  readonly heap_used_bytes: number
  readonly heap_limit_bytes: number
  readonly bytes_in: number
  readonly bytes_out: number
  readonly unsent_bytes: number
  readonly messages_in: number
  readonly messages_out: number
  /** Over the last sampling interval. */
  readonly messages_in_per_second: number
  readonly messages_out_per_second: number
  readonly ring_records_in: number
  readonly ring_records_out: number
  readonly ring_full: number
  readonly ring_refused: number
  readonly ring_watchdog_wakes: number
  readonly ring_used_bytes: number
  readonly ring_overflow_bytes: number
  readonly timers_scheduled: number
  readonly timers_fired: number
  readonly timers_late: number
}

/** One seat of a shard: while a reload moves it, a shard has two. */
export interface ShardReport extends ThreadReport {
  /** The shard's number. */
  readonly id: number
  readonly seat: number
  /** Active actors, and the messages in the fullest of their mailboxes. */
  readonly actors: number
  readonly mailbox_depth: number
  /** Turns of the event loop in the last second. */
  readonly turn_p99_seconds: number
}

/** What is being moved between shards, or was last. Counts are of connections; times in milliseconds since 1970. */
export interface MigrationReport {
  /** `lingering`: all has moved that can; the rest stays on its old shard until it ends or the grace is over. */
  readonly state: 'idle' | 'moving' | 'lingering'
  readonly kind: 'reload' | 'shards' | 'rebalance' | 'replace' | null
  readonly moved: number
  readonly remaining: number
  readonly lingering: number
  readonly failed: number
  readonly started_ms: number | null
  readonly finished_ms: number | null
  /** Why it ended before its time. */
  readonly error?: string
}

export const NO_MIGRATION: MigrationReport = {
  state: 'idle',
  kind: null,
  moved: 0,
  remaining: 0,
  lingering: 0,
  failed: 0,
  started_ms: null,
  finished_ms: null,
}

export interface ServiceReport {
  readonly name: string
  readonly connections: number
  readonly opened: number
  readonly messages_in: number
  readonly messages_out: number
  /** Over the last sampling interval. */
  readonly opened_per_second: number
  readonly messages_in_per_second: number
  readonly messages_out_per_second: number
  readonly handoffs_ok: number
  readonly handoffs_failed: number
  readonly handoffs_rerouted: number
}

export type Readiness = 'starting' | 'ready' | 'draining'

export interface RuntimeReport {
  readonly version: string
  readonly node: string
  /** When the report was made, in milliseconds since 1970. */
  readonly time_ms: number
  readonly uptime_seconds: number
  readonly readiness: Readiness
  /** By number, then by seat. */
  readonly shards: readonly ShardReport[]
  /** main, acceptor, bridge, store: those that run. */
  readonly threads: readonly ThreadReport[]
  readonly services: readonly ServiceReport[]
  readonly listeners: readonly ListenerReport[]
  readonly migration: MigrationReport
}
