// The metrics of the hub in one table, and as cells that its parts increment. Names, labels and buckets are established
// ones: existing dashboards work with them. [PROTOCOLS 4.12]
import type { CloseReason, Family } from '../../observe/family.ts'
import type { Cell, HistogramCell, ThreadMetrics } from '../../observe/metrics.ts'
import { DEFAULT_CHANNELS } from './config.ts'
import { RATED, type Rated } from './rate-limit.ts'
import { FRAME_TYPES, type FrameType } from './text.ts'

export const CLOSED_REASONS = [
  'client',
  'idle_timeout',
  'too_slow',
  'too_large',
  'protocol_error',
  'resumed',
  'shutdown',
  'error',
] as const
export type ClosedReason = (typeof CLOSED_REASONS)[number]

const ERROR_TYPES = ['invalid_json', 'message_handling', 'send_failed', 'invalid_binary', 'permission'] as const
export type ErrorType = (typeof ERROR_TYPES)[number]

/** What events are when they are sent. */
const EVENT_TYPES = ['event', 'binary', 'compressed'] as const
/** What the client sends; `recover` is one of the requests. */
const RECEIVED_TYPES = [...RATED, 'unknown'] as const
export type ReceivedType = (typeof RECEIVED_TYPES)[number]
const SYSTEM = 'system'
/** What the hub itself tells is for these. The values at start are those of the configuration. */
const CHANNELS: readonly string[] = DEFAULT_CHANNELS

const byChannel = { channel: CHANNELS }

export const HUB_FAMILIES = {
  connections: {
    name: 'neurograph_ws_connections_total',
    type: 'gauge',
    help: 'Open connections.',
    labels: {},
  },
  opened: {
    name: 'neurograph_ws_connections_opened_total',
    type: 'counter',
    help: 'Connections opened.',
    labels: {},
  },
  closed: {
    name: 'neurograph_ws_connections_closed_total',
    type: 'counter',
    help: 'Connections that ended, by why.',
    labels: { reason: CLOSED_REASONS },
  },
  duration: {
    name: 'neurograph_ws_connection_duration_seconds',
    type: 'histogram',
    help: 'How long connections were open.',
    labels: {},
    buckets: [1, 5, 10, 30, 60, 300, 600, 1800, 3600],
  },
  sent: {
    name: 'neurograph_ws_messages_sent_total',
    type: 'counter',
    help: 'Messages written to connections; the channel of those that are no events is `system`.',
    labels: { channel: [...CHANNELS, SYSTEM], message_type: [...FRAME_TYPES, ...EVENT_TYPES] },
  },
  received: {
    name: 'neurograph_ws_messages_received_total',
    type: 'counter',
    help: 'Messages of clients.',
    labels: { message_type: RECEIVED_TYPES },
  },
  size: {
    name: 'neurograph_ws_message_size_bytes',
    type: 'histogram',
    help: 'Sizes of messages; what many are sent counts once on each shard.',
    labels: { direction: ['sent', 'received'] },
    buckets: [100, 500, 1e3, 5e3, 1e4, 5e4, 1e5, 5e5, 1e6],
  },
  latency: {
    name: 'neurograph_ws_message_latency_seconds',
    type: 'histogram',
    help: 'From the arrival of a message to its reply.',
    labels: { message_type: RECEIVED_TYPES },
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
  },
  subscriptions: {
    name: 'neurograph_ws_subscriptions_total',
    type: 'counter',
    help: 'Subscriptions granted.',
    labels: byChannel,
  },
  subscribers: {
    name: 'neurograph_ws_channel_subscribers',
    type: 'gauge',
    help: 'Subscribed connections.',
    labels: byChannel,
  },
  buffered: {
    name: 'neurograph_ws_buffered_events',
    type: 'gauge',
    help: 'Events that wait for sessions without a connection.',
    labels: {},
  },
  errors: {
    name: 'neurograph_ws_errors_total',
    type: 'counter',
    help: 'What went wrong, by what it was.',
    labels: { error_type: ERROR_TYPES },
  },
  broadcast: {
    name: 'neurograph_ws_broadcast_duration_seconds',
    type: 'histogram',
    help: 'From the request of a broadcast to its reply.',
    labels: byChannel,
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1],
  },
  reconnections: {
    name: 'neurograph_ws_reconnections_total',
    type: 'counter',
    help: 'Connections with a reconnection token, by what became of it.',
    labels: { result: ['restored', 'rejected'] },
  },
  rateLimited: {
    name: 'neurograph_ws_rate_limit_hits_total',
    type: 'counter',
    help: 'Messages refused because there were too many.',
    labels: { message_type: RATED },
  },
  channelSubscriptions: {
    name: 'neurograph_ws_channel_subscriptions_total',
    type: 'counter',
    help: 'Subscriptions granted; the same as `neurograph_ws_subscriptions_total`.',
    labels: byChannel,
  },
  channelUnsubscriptions: {
    name: 'neurograph_ws_channel_unsubscriptions_total',
    type: 'counter',
    help: 'Subscriptions that were ended by their client.',
    labels: byChannel,
  },
  bufferedTotal: {
    name: 'neurograph_ws_buffered_events_total',
    type: 'gauge',
    help: 'The same as `neurograph_ws_buffered_events`.',
    labels: {},
  },
  overflow: {
    name: 'neurograph_ws_buffer_overflow_total',
    type: 'counter',
    help: 'Missed events that a restored session did not get, because there were too many.',
    labels: {},
  },
  disconnects: {
    name: 'neurograph_ws_disconnects_total',
    type: 'counter',
    help: 'The same as `neurograph_ws_connections_closed_total`.',
    labels: { reason: CLOSED_REASONS },
  },
  byUser: {
    name: 'neurograph_ws_connections_by_user',
    type: 'gauge',
    help: 'Open connections of at most 100 users, the others together as `other`; only with `metrics.byUser`.',
    labels: { user_id: ['known at run time'] },
  },
  heartbeat: {
    name: 'neurograph_ws_heartbeat_latency_seconds',
    type: 'histogram',
    help: 'From a ping of the protocol to its pong.',
    labels: {},
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10],
  },
} as const satisfies Record<string, Family>

/** Of connections, by why the runtime says they ended. */
const CLOSED_BY: Readonly<Record<CloseReason, ClosedReason>> = {
  client: 'client',
  server: 'error',
  idle_timeout: 'idle_timeout',
  head_timeout: 'error',
  too_slow: 'too_slow',
  too_large: 'too_large',
  protocol_error: 'protocol_error',
  bad_request: 'protocol_error',
  limit: 'error',
  handler_error: 'error',
  shutdown: 'shutdown',
  restart: 'shutdown',
  error: 'error',
}

export function closedReasonOf(reason: CloseReason): ClosedReason {
  return CLOSED_BY[reason]
}

export interface ChannelCells {
  readonly event: Cell
  readonly binary: Cell
  readonly compressed: Cell
  readonly subscriptions: readonly Cell[]
  readonly unsubscriptions: Cell
  readonly broadcast: HistogramCell
}

export interface HubCounters {
  readonly connections: Cell
  readonly opened: Cell
  readonly duration: HistogramCell
  readonly heartbeat: HistogramCell
  readonly sentBytes: HistogramCell
  readonly receivedBytes: HistogramCell
  readonly restored: Cell
  readonly rejected: Cell
  readonly overflow: Cell
  channel(name: string): ChannelCells
  closed(reason: ClosedReason): void
  frame(type: FrameType): void
  received(type: ReceivedType): void
  replied(type: ReceivedType, seconds: number): void
  rateLimited(type: Rated): void
  error(type: ErrorType): void
}

export interface HubGauges {
  readonly channels: readonly string[]
  subscribers(channel: string): number
  buffered(): number
}

export function hubCounters(metrics: ThreadMetrics, { channels, subscribers, buffered }: HubGauges): HubCounters {
  const ofChannels = { channel: channels }
  const own = HUB_FAMILIES
  const sent = metrics.counter({
    ...own.sent,
    labels: { channel: [...channels, SYSTEM], message_type: own.sent.labels.message_type },
  })
  const subscribersOf = metrics.gauge({ ...own.subscribers, labels: ofChannels })
  for (const channel of channels) subscribersOf.read({ channel }, () => subscribers(channel))
  metrics.gauge(own.buffered).read({}, buffered)
  metrics.gauge(own.bufferedTotal).read({}, buffered)
  const cells = cellsOfChannels(metrics, channels)
  const size = metrics.histogram(own.size)
  const reconnections = metrics.counter(own.reconnections)
  // All of them at once: a page without a series says less than one that says 0.
  const closed = counterOf(CLOSED_REASONS, (reason) => metrics.counter(own.closed).cell({ reason }))
  const disconnects = counterOf(CLOSED_REASONS, (reason) => metrics.counter(own.disconnects).cell({ reason }))
  const received = metrics.counter(own.received)
  const latency = metrics.histogram(own.latency)
  const latencies = new Map(RECEIVED_TYPES.map((type) => [type, latency.cell({ message_type: type })]))
  const limited = metrics.counter(own.rateLimited)
  const errors = metrics.counter(own.errors)
  return {
    connections: metrics.gauge(own.connections).cell({}),
    opened: metrics.counter(own.opened).cell({}),
    duration: metrics.histogram(own.duration).cell({}),
    heartbeat: metrics.histogram(own.heartbeat).cell({}),
    sentBytes: size.cell({ direction: 'sent' }),
    receivedBytes: size.cell({ direction: 'received' }),
    restored: reconnections.cell({ result: 'restored' }),
    rejected: reconnections.cell({ result: 'rejected' }),
    overflow: metrics.counter(own.overflow).cell({}),
    channel: (name) => cells.get(name) as ChannelCells,
    closed(reason) {
      closed(reason)
      disconnects(reason)
    },
    frame: counterOf(FRAME_TYPES, (type) => sent.cell({ channel: SYSTEM, message_type: type })),
    received: counterOf(RECEIVED_TYPES, (type) => received.cell({ message_type: type })),
    replied: (type, seconds) => latencies.get(type)?.observe(seconds),
    rateLimited: counterOf(RATED, (type) => limited.cell({ message_type: type })),
    error: counterOf(ERROR_TYPES, (type) => errors.cell({ error_type: type })),
  }

  function cellsOfChannels(all: ThreadMetrics, names: readonly string[]): ReadonlyMap<string, ChannelCells> {
    const subscriptions = all.counter({ ...own.subscriptions, labels: ofChannels })
    const channelSubscriptions = all.counter({ ...own.channelSubscriptions, labels: ofChannels })
    const unsubscriptions = all.counter({ ...own.channelUnsubscriptions, labels: ofChannels })
    const broadcast = all.histogram({ ...own.broadcast, labels: ofChannels })
    return new Map(
      names.map((channel) => [
        channel,
        {
          event: sent.cell({ channel, message_type: 'event' }),
          binary: sent.cell({ channel, message_type: 'binary' }),
          compressed: sent.cell({ channel, message_type: 'compressed' }),
          subscriptions: [subscriptions.cell({ channel }), channelSubscriptions.cell({ channel })],
          unsubscriptions: unsubscriptions.cell({ channel }),
          broadcast: broadcast.cell({ channel }),
        },
      ]),
    )
  }
}

/** Looked up once, all of them: making the key of a series costs more than counting. */
function counterOf<K extends string>(keys: readonly K[], cellOf: (key: K) => Cell): (key: K) => void {
  const cells = new Map(keys.map((key) => [key, cellOf(key)]))
  return (key) => {
    const cell = cells.get(key)
    if (cell !== undefined) cell.value++
  }
}
