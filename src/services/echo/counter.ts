// The metrics of echo, as cells that its handlers increment.
import type { Connection } from '../../net/connection.ts'
import { DIRECTIONS, type Family } from '../../observe/family.ts'
import type { Cell, ThreadMetrics } from '../../observe/metrics.ts'

const TRANSPORTS = ['tcp', 'ws'] as const
const byTransport = { transport: TRANSPORTS }

export const ECHO_FAMILIES = {
  connections: {
    name: 'polyloop_echo_connections',
    type: 'gauge',
    help: 'Open echo connections.',
    labels: byTransport,
  },
  connectionsTotal: {
    name: 'polyloop_echo_connections_total',
    type: 'counter',
    help: 'Echo connections opened.',
    labels: byTransport,
  },
  idleTimeouts: {
    name: 'polyloop_echo_idle_timeouts_total',
    type: 'counter',
    help: 'Echo connections closed because they were silent.',
    labels: byTransport,
  },
  bytes: {
    name: 'polyloop_echo_bytes_total',
    type: 'counter',
    help: 'Payload bytes received and returned.',
    labels: { transport: TRANSPORTS, direction: DIRECTIONS },
  },
  datagrams: {
    name: 'polyloop_echo_datagrams_total',
    type: 'counter',
    help: 'Datagrams received and returned.',
    labels: { direction: DIRECTIONS },
  },
} as const satisfies Record<string, Family>

export interface EchoCounters {
  readonly bytesIn: Cell
  readonly bytesOut: Cell
  opened(): void
  closed(): void
  /** A connection moved here, or away: it was counted where it opened. */
  arrived(): void
  departed(): void
  /** Counts an idle timeout and closes the connection. */
  idle(connection: Connection): void
}

export function echoCounters(metrics: ThreadMetrics): {
  tcp: EchoCounters
  ws: EchoCounters
  datagramsIn: Cell
  datagramsOut: Cell
} {
  const datagrams = metrics.counter(ECHO_FAMILIES.datagrams)
  return {
    tcp: ofTransport(metrics, 'tcp'),
    ws: ofTransport(metrics, 'ws'),
    datagramsIn: datagrams.cell({ direction: 'in' }),
    datagramsOut: datagrams.cell({ direction: 'out' }),
  }
}

function ofTransport(metrics: ThreadMetrics, transport: (typeof TRANSPORTS)[number]): EchoCounters {
  const bytes = metrics.counter(ECHO_FAMILIES.bytes)
  const open = metrics.gauge(ECHO_FAMILIES.connections).cell({ transport })
  const total = metrics.counter(ECHO_FAMILIES.connectionsTotal).cell({ transport })
  const idle = metrics.counter(ECHO_FAMILIES.idleTimeouts).cell({ transport })
  return {
    bytesIn: bytes.cell({ transport, direction: 'in' }),
    bytesOut: bytes.cell({ transport, direction: 'out' }),
    opened() {
      open.value++
      total.value++
    },
    closed() {
      open.value--
    },
    arrived() {
      open.value++
    },
    departed() {
      open.value--
    },
    idle(connection) {
      idle.value++
      connection.closeIdle()
    },
  }
}
