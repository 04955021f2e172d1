// The metrics of chat in one table, and those of TCP and UDP as cells that they increment.
import type { Family } from '../../observe/family.ts'
import type { Cell, HistogramCell, ThreadMetrics } from '../../observe/metrics.ts'
import { presenceEntries } from './presence-gauge.ts'

export const PACKET_TYPES = [
  'SendMessage',
  'GetMessages',
  'Ack',
  'Ping',
  'Status',
  'Typing',
  'Subscribe',
  'Unsubscribe',
  'Auth',
] as const
export type PacketType = (typeof PACKET_TYPES)[number]

const TRANSPORTS = ['tcp', 'udp'] as const
export type PacketTransport = (typeof TRANSPORTS)[number]

/** Why a datagram was dropped. `overload`: over the rate limit too. */
const UDP_DROP_REASONS = ['invalid', 'oversize', 'unsupported', 'overload'] as const
export type UdpDropReason = (typeof UDP_DROP_REASONS)[number]

/** Why a TCP packet got an error line. */
const ERROR_REASONS = [
  'invalid_json',
  'invalid_packet',
  'unknown_type',
  'not_an_object',
  'content',
  'refused',
  'rate_limited',
  'auth',
  'mismatch',
  'subscription',
  'too_large',
  'timeout',
  'incomplete',
  'too_slow',
] as const
export type ErrorReason = (typeof ERROR_REASONS)[number]

const ACK_RESULTS = ['ok', 'error'] as const

const HTTP_METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS'] as const
const HTTP_ROUTES = [
  '/api/chats',
  '/api/chats/{id}',
  '/api/chats/{id}/messages',
  '/api/chats/{id}/typing',
  '/api/presence',
  '/api/users',
  '/health',
  '/ready',
  '/docs',
  '/openapi.json',
] as const
const HTTP_STATUSES = '200 201 204 304 400 401 404 405 409 413 415 429 500 503'.split(' ')

// From a commit on a fast disk to the time somebody notices; guessed, not measured.
const LATENCY_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export const CHAT_FAMILIES = {
  connections: {
    name: 'polyloop_chat_tcp_connections',
    type: 'gauge',
    help: 'Open TCP connections.',
    labels: {},
  },
  connectionsTotal: {
    name: 'polyloop_chat_tcp_connections_total',
    type: 'counter',
    help: 'TCP connections opened.',
    labels: {},
  },
  packets: {
    name: 'polyloop_chat_packets_total',
    type: 'counter',
    help: 'Packets received; what is no packet counts as `other`.',
    labels: { transport: TRANSPORTS, packet_type: PACKET_TYPES },
  },
  udpDropped: {
    name: 'polyloop_chat_udp_dropped_total',
    type: 'counter',
    help: 'Datagrams dropped without an answer, by why.',
    labels: { reason: UDP_DROP_REASONS },
  },
  acks: {
    name: 'polyloop_chat_acks_total',
    type: 'counter',
    help: 'Answers to SendMessage: `ok` ones are durably committed.',
    labels: { result: ACK_RESULTS },
  },
  ackLatency: {
    name: 'polyloop_chat_ack_latency_seconds',
    type: 'histogram',
    help: 'From the last byte of a SendMessage read to its positive ACK written.',
    labels: {},
    buckets: LATENCY_BUCKETS_SECONDS,
  },
  errors: {
    name: 'polyloop_chat_errors_total',
    type: 'counter',
    help: 'Error lines sent over TCP, by why; `refused`: the chat, the store or the way to them did not do it.',
    labels: { reason: ERROR_REASONS },
  },
  subscriptions: {
    name: 'polyloop_chat_subscriptions',
    type: 'gauge',
    help: 'Subscriptions of open TCP connections.',
    labels: {},
  },
  presenceEntries: {
    name: 'polyloop_chat_presence_entries',
    type: 'gauge',
    help: 'Users whose status is known.',
    labels: {},
  },
  httpRequests: {
    name: 'polyloop_chat_http_requests_total',
    type: 'counter',
    help: 'HTTP requests answered.',
    labels: { method: HTTP_METHODS, route: HTTP_ROUTES, status: HTTP_STATUSES },
  },
} as const satisfies Record<string, Family>

export interface ChatCounters {
  readonly connections: Cell
  readonly connectionsTotal: Cell
  readonly subscriptions: Cell
  readonly acksOk: Cell
  readonly acksFailed: Cell
  readonly ackLatency: HistogramCell
  packet(transport: PacketTransport, type: PacketType | 'other'): void
  error(reason: ErrorReason): void
  udpDropped(reason: UdpDropReason): void
}

export function chatCounters(metrics: ThreadMetrics): ChatCounters {
  metrics.gauge(CHAT_FAMILIES.presenceEntries).read({}, presenceEntries)
  const acks = metrics.counter(CHAT_FAMILIES.acks)
  const packets = metrics.counter(CHAT_FAMILIES.packets)
  const errors = metrics.counter(CHAT_FAMILIES.errors)
  const dropped = metrics.counter(CHAT_FAMILIES.udpDropped)
  const ofTransport = {
    tcp: cellsOf([...PACKET_TYPES, 'other'], (type) => packets.cell({ transport: 'tcp', packet_type: type })),
    udp: cellsOf([...PACKET_TYPES, 'other'], (type) => packets.cell({ transport: 'udp', packet_type: type })),
  }
  const ofError = cellsOf(ERROR_REASONS, (reason) => errors.cell({ reason }))
  const ofDrop = cellsOf(UDP_DROP_REASONS, (reason) => dropped.cell({ reason }))
  return {
    connections: metrics.gauge(CHAT_FAMILIES.connections).cell({}),
    connectionsTotal: metrics.counter(CHAT_FAMILIES.connectionsTotal).cell({}),
    subscriptions: metrics.gauge(CHAT_FAMILIES.subscriptions).cell({}),
    acksOk: acks.cell({ result: 'ok' }),
    acksFailed: acks.cell({ result: 'error' }),
    ackLatency: metrics.histogram(CHAT_FAMILIES.ackLatency).cell({}),
    packet(transport, type) {
      ofTransport[transport][type].value++
    },
    error(reason) {
      ofError[reason].value++
    },
    udpDropped(reason) {
      ofDrop[reason].value++
    },
  }
}

/** Looked up once: making the key of a series costs more than counting. */
function cellsOf<Name extends string>(
  names: readonly Name[],
  cell: (name: Name) => Cell,
): Readonly<Record<Name, Cell>> {
  return Object.fromEntries(names.map((name) => [name, cell(name)])) as Record<Name, Cell>
}
