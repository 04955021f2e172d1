// The channels of the hub by name, and the shape of what comes on each. A server may know more of them than this list.

export const Channel = {
  METRICS: 'metrics',
  SIGNALS: 'signals',
  ACTIONS: 'actions',
  LOGS: 'logs',
  STATUS: 'status',
  CONNECTIONS: 'connections',
} as const

export type ChannelName = (typeof Channel)[keyof typeof Channel]

export interface SystemMetrics {
  readonly cpu_percent: number
  readonly memory_mb: number
  readonly events_per_sec: number
  readonly total_tokens: number | null
  readonly total_connections: number
  readonly total_channels: number
  readonly total_subscriptions: number
  readonly buffered_events: number
}

export interface Signal {
  readonly event_id: string
  readonly event_type: string
  readonly is_novel: boolean
  /** 0 to 255. */
  readonly priority: number
  readonly resonance_score: number
  readonly neighbors_count: number
  readonly metadata?: Readonly<Record<string, unknown>>
}

export interface ActionExecuted {
  readonly action_id: string
  readonly action_type: string
  readonly status: 'completed' | 'failed'
  readonly result: unknown
  readonly execution_time_ms: number
  readonly error: string | null
}

export interface LogEntry {
  readonly level: string
  readonly message: string
  readonly service: string
  readonly correlation_id: string | null
}

export interface StatusReport {
  readonly status: 'running' | 'stopped' | 'error'
  readonly uptime_seconds: number
  readonly version: string
  readonly details?: unknown
}

export interface ConnectionReport {
  readonly client_id: string
  readonly user_id: string | null
  readonly total_connections: number
  readonly reason?: string
}

/** What the server itself puts on its channels. An admin may broadcast other event types, with data of any shape. */
export interface ChannelData {
  readonly metrics: SystemMetrics
  readonly signals: Signal
  readonly actions: ActionExecuted
  readonly logs: LogEntry
  readonly status: StatusReport
  readonly connections: ConnectionReport
}

/** The `data` of events on a channel. */
export type DataOf<C extends string> = C extends keyof ChannelData ? ChannelData[C] : Readonly<Record<string, unknown>>
