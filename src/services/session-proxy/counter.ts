// The metrics of the session proxy in one table, and as cells that its parts increment. Names and labels are established
// ones: existing dashboards work with them. [PROTOCOLS 5.4]
import type { Family } from '../../observe/family.ts'
import type { Cell, HistogramCell, ThreadMetrics } from '../../observe/metrics.ts'

/** What became of a handshake for a session. */
const HANDSHAKE_STATUSES = ['accepted', 'unauthorized', 'forbidden', 'timeout', 'error', 'unavailable'] as const
export type HandshakeStatus = (typeof HANDSHAKE_STATUSES)[number]

const ERROR_TYPES = ['invalid_json', 'too_large', 'binary', 'publish', 'redis', 'invalid_utf8', 'heartbeat'] as const
export type ErrorType = (typeof ERROR_TYPES)[number]

const BACKPRESSURE_EVENTS = ['warning', 'closed'] as const

// From a message that finds its shard idle to the time limit of a call; guessed, not measured.
const LATENCY_BUCKETS_SECONDS = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5,
]

export const SESSION_PROXY_FAMILIES = {
  connections: {
    name: 'wsproxy_active_connections',
    type: 'gauge',
    help: 'Open WebSockets of sessions.',
    labels: {},
  },
  connectionsTotal: {
    name: 'wsproxy_connections_total',
    type: 'counter',
    help: 'Handshakes for sessions, by what became of them.',
    labels: { status: HANDSHAKE_STATUSES },
  },
  received: {
    name: 'wsproxy_messages_received_total',
    type: 'counter',
    help: 'Messages that came in; one of a channel counts once, however many connections get it.',
    labels: { source: ['client', 'redis'] },
  },
  sent: {
    name: 'wsproxy_messages_sent_total',
    type: 'counter',
    help: 'Messages that went out: written to a connection, or published.',
    labels: { dest: ['client', 'redis'] },
  },
  latency: {
    name: 'wsproxy_message_latency_seconds',
    type: 'histogram',
    help: 'Time inside the proxy: `down` from the arrival in the shard to the write, `up` from the frame to the answer of the bridge.',
    labels: { direction: ['up', 'down'] },
    buckets: LATENCY_BUCKETS_SECONDS,
  },
  errors: {
    name: 'wsproxy_errors_total',
    type: 'counter',
    help: 'What went wrong, by what it was; `redis` is a handshake that the bridge did not serve.',
    labels: { type: ERROR_TYPES },
  },
  buffered: {
    name: 'wsproxy_buffer_utilization_bytes',
    type: 'gauge',
    help: 'Bytes queued for clients that the kernel has not taken.',
    labels: {},
  },
  backpressure: {
    name: 'wsproxy_backpressure_events_total',
    type: 'counter',
    help: 'Clients that left 80 % of `net.sendBuffer.max` unread, and those that were closed for it.',
    labels: { event: BACKPRESSURE_EVENTS },
  },
  channels: {
    name: 'wsproxy_redis_pubsub_channels_active',
    type: 'gauge',
    help: 'Sessions whose channel a shard listens to.',
    labels: {},
  },
} as const satisfies Record<string, Family>

export interface ProxyCounters {
  readonly connections: Cell
  readonly fromClient: Cell
  readonly fromBridge: Cell
  readonly toClient: Cell
  readonly toBridge: Cell
  readonly up: HistogramCell
  readonly down: HistogramCell
  readonly slow: Cell
  readonly tooSlow: Cell
  handshake(status: HandshakeStatus): void
  error(type: ErrorType): void
}

/** `bufferedBytes` and `channels` are asked for when somebody reads the metrics. */
export function proxyCounters(
  metrics: ThreadMetrics,
  { bufferedBytes, channels }: { readonly bufferedBytes: () => number; readonly channels: () => number },
): ProxyCounters {
  metrics.gauge(SESSION_PROXY_FAMILIES.buffered).read({}, bufferedBytes)
  metrics.gauge(SESSION_PROXY_FAMILIES.channels).read({}, channels)
  const received = metrics.counter(SESSION_PROXY_FAMILIES.received)
  const sent = metrics.counter(SESSION_PROXY_FAMILIES.sent)
  const latency = metrics.histogram(SESSION_PROXY_FAMILIES.latency)
  const backpressure = metrics.counter(SESSION_PROXY_FAMILIES.backpressure)
  const handshakes = metrics.counter(SESSION_PROXY_FAMILIES.connectionsTotal)
  const errors = metrics.counter(SESSION_PROXY_FAMILIES.errors)
  // Looked up once, all of them: making the key of a series costs more than counting, and a page without a series says
  // less than one that says 0.
  const ofStatus = new Map(HANDSHAKE_STATUSES.map((status) => [status, handshakes.cell({ status })]))
  const ofError = new Map(ERROR_TYPES.map((type) => [type, errors.cell({ type })]))
  return {
    connections: metrics.gauge(SESSION_PROXY_FAMILIES.connections).cell({}),
    fromClient: received.cell({ source: 'client' }),
    fromBridge: received.cell({ source: 'redis' }),
    toClient: sent.cell({ dest: 'client' }),
    toBridge: sent.cell({ dest: 'redis' }),
    up: latency.cell({ direction: 'up' }),
    down: latency.cell({ direction: 'down' }),
    slow: backpressure.cell({ event: 'warning' }),
    tooSlow: backpressure.cell({ event: 'closed' }),
    handshake: (status) => count(ofStatus.get(status)),
    error: (type) => count(ofError.get(type)),
  }
}

function count(cell: Cell | undefined): void {
  if (cell !== undefined) cell.value++
}
