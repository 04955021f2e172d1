// The metrics of rooms in one table, and as cells that hot code increments.
import { DIRECTIONS, type Family } from '../../observe/family.ts'
import type { Cell, ThreadMetrics } from '../../observe/metrics.ts'
import { MESSAGE_TYPE } from './descriptor.ts'

const LOGIN_RESULTS = ['accepted', 'exists', 'bad_username', 'bad_login', 'timeout'] as const
export type LoginResult = (typeof LOGIN_RESULTS)[number]

const TYPES = ['image', 'utf8', 'file', 'voice'] as const
const SCOPES = ['room', 'private'] as const
export type MessageScope = (typeof SCOPES)[number]

/** Why something of a client was not accepted. `stall`: a frame that did not go on. `refusals`: too many logins. */
const REJECT_REASONS = [
  'recipient',
  'file_name',
  'not_utf8',
  'type',
  'header',
  'spool_full',
  'content',
  'stall',
  'refusals',
] as const
export type RejectReason = (typeof REJECT_REASONS)[number]

/** Why a member was dropped that does not read. */
const DROP_REASONS = ['queue', 'stall'] as const
export type DropReason = (typeof DROP_REASONS)[number]

export const ROOMS_FAMILIES = {
  members: { name: 'polyloop_rooms_members', type: 'gauge', help: 'Users that are in the room.', labels: {} },
  connections: {
    name: 'polyloop_rooms_connections_total',
    type: 'counter',
    help: 'Connections opened.',
    labels: {},
  },
  logins: {
    name: 'polyloop_rooms_logins_total',
    type: 'counter',
    help: 'Attempts to log in, by how they were answered; `timeout`: none came in time.',
    labels: { result: LOGIN_RESULTS },
  },
  messages: {
    name: 'polyloop_rooms_messages_total',
    type: 'counter',
    help: 'Messages of users that were accepted; a private one counts once.',
    labels: { type: TYPES, scope: SCOPES },
  },
  contentBytes: {
    name: 'polyloop_rooms_content_bytes_total',
    type: 'counter',
    help: 'Content of messages, accepted from senders and given to the connections of recipients.',
    labels: { direction: DIRECTIONS },
  },
  rejected: {
    name: 'polyloop_rooms_rejected_total',
    type: 'counter',
    help: 'Input that was not accepted, by why.',
    labels: { reason: REJECT_REASONS },
  },
  dropped: {
    name: 'polyloop_rooms_dropped_recipients_total',
    type: 'counter',
    help: 'Members dropped because too much waited for them, or because they took nothing for too long.',
    labels: { reason: DROP_REASONS },
  },
  spoolBytes: {
    name: 'polyloop_rooms_spool_bytes',
    type: 'gauge',
    help: 'Contents on disk, and room that was given to those on their way there.',
    labels: {},
  },
} as const satisfies Record<string, Family>

export interface RoomsCounters {
  readonly members: Cell
  readonly connections: Cell
  readonly contentIn: Cell
  readonly contentOut: Cell
  login(result: LoginResult): void
  /** `type`: as in a descriptor. */
  message(type: number, scope: MessageScope): void
  rejected(reason: RejectReason): void
  dropped(reason: DropReason): void
}

export function roomsCounters(metrics: ThreadMetrics, spoolBytes: () => number): RoomsCounters {
  metrics.gauge(ROOMS_FAMILIES.spoolBytes).read({}, spoolBytes)
  const logins = metrics.counter(ROOMS_FAMILIES.logins)
  const messages = metrics.counter(ROOMS_FAMILIES.messages)
  const content = metrics.counter(ROOMS_FAMILIES.contentBytes)
  const rejected = metrics.counter(ROOMS_FAMILIES.rejected)
  const dropped = metrics.counter(ROOMS_FAMILIES.dropped)
  const ofLogin = cellsOf(LOGIN_RESULTS, (result) => logins.cell({ result }))
  const ofReason = cellsOf(REJECT_REASONS, (reason) => rejected.cell({ reason }))
  const ofDrop = cellsOf(DROP_REASONS, (reason) => dropped.cell({ reason }))
  const ofScope = cellsOf(SCOPES, (scope) =>
    Object.fromEntries(TYPES.map((type) => [MESSAGE_TYPE[type], messages.cell({ type, scope })])),
  )
  return {
    members: metrics.gauge(ROOMS_FAMILIES.members).cell({}),
    connections: metrics.counter(ROOMS_FAMILIES.connections).cell({}),
    contentIn: content.cell({ direction: 'in' }),
    contentOut: content.cell({ direction: 'out' }),
    login(result) {
      ofLogin[result].value++
    },
    message(type, scope) {
      const cell = ofScope[scope][type]
      if (cell !== undefined) cell.value++
    },
    rejected(reason) {
      ofReason[reason].value++
    },
    dropped(reason) {
      ofDrop[reason].value++
    },
  }
}

/** Looked up once: making the key of a series costs more than counting. */
function cellsOf<Name extends string, Found>(
  names: readonly Name[],
  cell: (name: Name) => Found,
): Readonly<Record<Name, Found>> {
  return Object.fromEntries(names.map((name) => [name, cell(name)])) as Record<Name, Found>
}
