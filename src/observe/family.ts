// Every metric family of the runtime itself, in one table: names, types, meanings and the closed sets of label
// values. docs/METRICS.md and the dashboard are held against it. Services bring tables of the same shape.

export type FamilyType = 'counter' | 'gauge' | 'histogram'

/** Label name → every value it may have. A value outside the set is counted as `other`. */
export type LabelSets = Readonly<Record<string, readonly string[]>>

export interface Family<L extends LabelSets = LabelSets> {
  /** `polyloop_<noun>_<what>[_<unit>][_total]`, base units. */
  readonly name: string
  readonly type: FamilyType
  readonly help: string
  readonly labels: L
  /** Upper bounds in ascending order, without +Inf; histograms only. */
  readonly buckets?: readonly number[]
}

/** The label value that stands for all values outside a closed set. */
export const OTHER = 'other'

/** A label set that is known only at start: the names of the configured services, the version. */
export const AT_START: readonly string[] = []

export const DIRECTIONS = ['in', 'out'] as const

/** Why a connection ended. */
export const CLOSE_REASONS = [
  'client',
  'server',
  'idle_timeout',
  'head_timeout',
  'too_slow',
  'too_large',
  'protocol_error',
  'bad_request',
  'limit',
  'handler_error',
  'shutdown',
  'restart',
  'error',
] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]

/** Why an accepted socket never became a connection. */
export const REFUSE_REASONS = [
  'process_limit',
  'service_limit',
  'address_limit',
  'proxy_header',
  'no_shard',
  'shutdown',
  'error',
] as const
export type RefuseReason = (typeof REFUSE_REASONS)[number]

export const HANDOFF_RESULTS = ['ok', 'failed', 'rerouted'] as const

/** What became of a message to an actor. */
export const MESSAGE_RESULTS = ['ok', 'failed', 'refused', 'dead'] as const
export type MessageResult = (typeof MESSAGE_RESULTS)[number]

/** Why a message was never handled. */
export const DEAD_REASONS = [
  'mailbox_full',
  'ring_full',
  'expired',
  'actor_failed',
  'kind_unknown',
  'method_unknown',
  'value_invalid',
  'heap_full',
  'left_over',
  'move_failed',
  'shutdown',
] as const
export type DeadReason = (typeof DEAD_REASONS)[number]

/** Why a message of a topic did not reach a subscriber it was meant for. */
export const DROP_REASONS = ['slow', 'conflated', 'closed', 'gap', 'ring_full', 'moved'] as const
export type DropReason = (typeof DROP_REASONS)[number]

/** Why a message of a channel did not reach a thread that subscribed it; each is told as a gap. */
export const BRIDGE_DROP_REASONS = ['ring_full', 'too_large'] as const

export const MIGRATION_RESULTS = ['ok', 'failed', 'lingered'] as const

const PAUSE_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

// From a tenth of the shortest useful turn to the hang limit's neighbourhood; guessed, not measured.
const TURN_BUCKETS_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]

// From a sync that a disk's cache answers to the timeout's neighbourhood; guessed, not measured.
const COMMIT_BUCKETS_SECONDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
// Up to the largest batch (store/store-host.ts).
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

export const FAMILIES = {
  buildInfo: family('gauge', 'polyloop_build_info', 'Always 1; what is running.', {
    version: AT_START,
    node: AT_START,
  }),
  up: family(
    'gauge',
    'polyloop_shard_up',
    '1 while the thread is ready or draining, 0 while it starts, hangs or is dead.',
  ),
  restarts: family(
    'counter',
    'polyloop_shard_restarts_total',
    'Times the thread was replaced because it died or hung.',
  ),
  connections: family('gauge', 'polyloop_shard_connections', 'Open connections.', { service: AT_START }),
  utilization: family(
    'gauge',
    'polyloop_shard_eventloop_utilization',
    'Share of the last sampling interval in which the event loop was busy, 0 to 1.',
  ),
  delay: family(
    'gauge',
    'polyloop_shard_eventloop_delay_seconds',
    'How late the event loop ran its timers in the last two sampling intervals (p99).',
  ),
  heapUsed: family('gauge', 'polyloop_shard_heap_used_bytes', "Bytes in use in the thread's V8 heap."),
  heapLimit: family('gauge', 'polyloop_shard_heap_limit_bytes', "The limit of the thread's V8 heap."),
  turn: {
    ...family('histogram', 'polyloop_shard_turn_seconds', 'Time one turn of the event loop spent in our code.'),
    buckets: TURN_BUCKETS_SECONDS,
  },
  handoffs: family(
    'counter',
    'polyloop_handoffs_total',
    'Sockets given to a shard: acknowledged, given up, or sent to another shard because the first did not answer.',
    { service: AT_START, result: HANDOFF_RESULTS },
  ),
  ringRecords: family('counter', 'polyloop_ring_records_total', 'Records written to and read from rings.', {
    direction: DIRECTIONS,
  }),
  ringFull: family(
    'counter',
    'polyloop_ring_full_total',
    'Records that found their ring full and had to wait in the overflow queue.',
  ),
  ringRefused: family(
    'counter',
    'polyloop_ring_refused_total',
    'Records refused because the overflow queue was full too.',
  ),
  ringWatchdogWakes: family(
    'counter',
    'polyloop_ring_watchdog_wakes_total',
    'Records found by the watchdog: each is a lost wake-up, so a bug.',
  ),
  ringUsed: family('gauge', 'polyloop_ring_used_bytes', 'Bytes that wait in the rings this thread writes.'),
  ringOverflow: family(
    'gauge',
    'polyloop_ring_overflow_bytes',
    'Bytes that wait in the overflow queues of this thread.',
  ),
  timersScheduled: family('gauge', 'polyloop_timers_scheduled', 'Timers now waiting in the wheel.'),
  timersFired: family('counter', 'polyloop_timers_fired_total', 'Timers that fired.'),
  timersLate: family('counter', 'polyloop_timers_late_total', 'Timers that fired later than the wheel promises.'),
  netBytes: family('counter', 'polyloop_net_bytes_total', 'Bytes read from and written to sockets.', {
    direction: DIRECTIONS,
  }),
  netMessages: family('counter', 'polyloop_net_messages_total', 'Messages received from and sent to peers.', {
    direction: DIRECTIONS,
    service: AT_START,
  }),
  netUnsent: family('gauge', 'polyloop_net_unsent_bytes', 'Bytes queued for peers that the kernel has not taken.'),
  netOpened: family('counter', 'polyloop_net_opened_total', 'Connections opened.', { service: AT_START }),
  netClosed: family('counter', 'polyloop_net_closed_total', 'Connections closed, by what ended them.', {
    reason: CLOSE_REASONS,
  }),
  netRefused: family('counter', 'polyloop_net_refused_total', 'Accepted sockets that were closed at once.', {
    reason: REFUSE_REASONS,
  }),
  datagramsDropped: family(
    'counter',
    'polyloop_net_datagrams_dropped_total',
    'Datagrams dropped because a ring or a socket was full, or no shard was ready.',
    { direction: DIRECTIONS },
  ),
  actorActive: family('gauge', 'polyloop_actor_active', 'Active actors.', { kind: AT_START }),
  actorMailboxDepth: family(
    'gauge',
    'polyloop_actor_mailbox_depth',
    'Messages that wait in the fullest mailbox of the kind.',
    { kind: AT_START },
  ),
  actorMessages: family(
    'counter',
    'polyloop_actor_messages_total',
    'Messages to actors, by what became of them; `dead` ones were never handled.',
    { kind: AT_START, result: MESSAGE_RESULTS },
  ),
  actorDeadLetters: family('counter', 'polyloop_actor_dead_letters_total', 'Messages that no actor handled, by why.', {
    reason: DEAD_REASONS,
  }),
  topicPublished: family(
    'counter',
    'polyloop_topic_published_total',
    'Deliveries due: each message counts once for each subscriber it is meant for. Always delivered + in flight + dropped.',
    { kind: AT_START },
  ),
  topicDelivered: family(
    'counter',
    'polyloop_topic_delivered_total',
    'Messages given to the connection of a subscriber.',
    { kind: AT_START },
  ),
  topicDropped: family('counter', 'polyloop_topic_dropped_total', 'Deliveries that will not happen, by why.', {
    kind: AT_START,
    reason: DROP_REASONS,
  }),
  topicUnpublished: family(
    'counter',
    'polyloop_topic_unpublished_total',
    'Messages for topics that span hosts, which Redis did not take.',
    {},
  ),
  topicInFlight: family('gauge', 'polyloop_topic_in_flight', 'Deliveries that wait for slow subscribers.', {
    kind: AT_START,
  }),
  migrations: family(
    'counter',
    'polyloop_migrations_total',
    'Connections moved to another shard, or that could not be: `lingered` ones stay where they are until they end.',
    { result: MIGRATION_RESULTS },
  ),
  migrationPause: {
    ...family(
      'histogram',
      'polyloop_migration_pause_seconds',
      'How long a connection that moved was not read from: from its freeze to its thaw.',
    ),
    buckets: PAUSE_BUCKETS_SECONDS,
  },
  storeCommit: {
    ...family(
      'histogram',
      'polyloop_store_commit_seconds',
      'What one group of calls took the store, commit and sync of the disk included; groups that only read do not count. With `store.kind: redis` each shard counts each write, from the call to its answer.',
    ),
    buckets: COMMIT_BUCKETS_SECONDS,
  },
  storeBatch: {
    ...family('histogram', 'polyloop_store_batch_size', 'Writes that shared one commit of the store.'),
    buckets: BATCH_BUCKETS,
  },
  bridgeUp: family(
    'gauge',
    'polyloop_bridge_up',
    '1 while the bridge can reach its server; always 1 with `bridge.kind: local`.',
  ),
  bridgeRoundTrip: family(
    'gauge',
    'polyloop_bridge_roundtrip_seconds',
    'What the last round trip to the server took; one is made every second.',
  ),
  bridgeReconnects: family(
    'counter',
    'polyloop_bridge_reconnects_total',
    'Connections to the server that were made after one was lost.',
  ),
  bridgeOutbox: family('gauge', 'polyloop_bridge_outbox_bytes', 'Bytes of calls that the server has not answered.'),
  bridgeSubscriptions: family(
    'gauge',
    'polyloop_bridge_subscriptions',
    'Channels this host is subscribed to, each once however many want it.',
  ),
  bridgeMessages: family('counter', 'polyloop_bridge_messages_total', 'Messages of channels from and to the server.', {
    direction: DIRECTIONS,
  }),
  bridgeDropped: family(
    'counter',
    'polyloop_bridge_dropped_total',
    'Messages of channels that a thread did not get, by why; it is told of the gap.',
    { reason: BRIDGE_DROP_REASONS },
  ),
  bridgeGaps: family('counter', 'polyloop_bridge_gaps_total', 'Channels of which messages may be missing, each time.'),
  logDropped: family('counter', 'polyloop_log_dropped_total', 'Log lines dropped because nobody read the output.'),
  cpu: family('counter', 'process_cpu_seconds_total', 'User and system CPU time of the process.'),
  residentMemory: family('gauge', 'process_resident_memory_bytes', 'Resident memory of the process.'),
  openFiles: family('gauge', 'process_open_fds', 'Open file descriptors of the process.'),
  startTime: family('gauge', 'process_start_time_seconds', 'When the process started, in seconds since 1970.'),
} as const satisfies Record<string, Family>

export type FamilyName = keyof typeof FAMILIES

/** The name of every metric of the runtime; a service's names are in its own table. */
export const METRIC_NAMES: readonly string[] = Object.values(FAMILIES).map((row) => row.name)

function family<T extends FamilyType>(type: T, name: string, help: string): Family<Record<never, never>> & { type: T }
function family<T extends FamilyType, const L extends LabelSets>(
  type: T,
  name: string,
  help: string,
  labels: L,
): Family<L> & { type: T }
function family(type: FamilyType, name: string, help: string, labels: LabelSets = {}): Family {
  return { name, type, help, labels }
}

/** The family with the values of its label `kind`, which are known only at start. */
export function ofKinds<L extends LabelSets & { kind: readonly string[] }, F extends Family<L>>(
  family: F,
  kinds: readonly string[],
): F {
  return { ...family, labels: { ...family.labels, kind: kinds } }
}

/** The value itself if it is in the closed set, else `other`. */
export function closedValue(set: readonly string[], value: string): string {
  return set.includes(value) ? value : OTHER
}
