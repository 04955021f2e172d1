// Every option that is not a service's. Services bring their own rows (service-options.ts).
import { SHARDS_MAX } from '../lib/thread.ts'
import {
  auto,
  boolean,
  duration,
  host,
  integer,
  list,
  number,
  oneOf,
  optional,
  port,
  secret,
  size,
  string,
} from './kind.ts'
import { type ConfigOf, defineOptions, option } from './option.ts'
import { redisUrl } from './redis-url.ts'

export const CORE_OPTIONS = defineOptions({
  shards: option(
    auto(integer({ min: 1, max: SHARDS_MAX })),
    'auto',
    'Number of shards, each a thread with its own event loop; `auto` is the available cores minus one, at least 1. Lower it to leave cores to other programs.',
  ),
  modules: option(
    list(),
    [],
    'Files with your own actors and services, loaded in every shard; a relative path starts at the working directory.',
  ),

  'shard.hangLimit': option(
    duration({ max: '1h' }),
    '5s',
    'A shard without a heartbeat for so long counts as hung and is replaced; at least 1s. 0 turns that off, for a debugger.',
  ),
  'shard.heapLimit': option(
    auto(size({ min: '32MiB', max: '64GiB' })),
    'auto',
    'Heap of one shard; `auto` is the limit V8 chooses. The levels of `heap` act before it is reached. Raise it for many actors with much state.',
  ),
  'shard.rehearsal': option(
    duration({ max: '10s' }),
    '250ms',
    'At the start a shard may go through the hot paths of its services for so long before it is ready, so that its first clients meet compiled code. 0 turns that off.',
  ),
  'shard.healthyAfter': option(
    duration({ min: '100ms', max: '1h' }),
    '10s',
    'A shard that ran so long is healthy again: the pause before its next restart starts over.',
  ),
  'shard.restartBackoff.min': option(
    duration({ min: '1ms', max: '1h' }),
    '100ms',
    'Pause before the second restart of a shard; the first is at once, and each further one doubles the pause.',
  ),
  'shard.restartBackoff.max': option(
    duration({ min: '1ms', max: '1h' }),
    '10s',
    'Longest pause between restarts of a shard that keeps failing.',
  ),

  'heap.passivateAt': option(
    number({ min: 0.1, max: 1 }),
    0.7,
    'Share of the heap limit above which a shard passivates actors that are idle, however short they have been.',
  ),
  'heap.refuseAt': option(
    number({ min: 0.1, max: 1 }),
    0.85,
    'Share of the heap limit above which a shard activates no new actor (HEAP_FULL) and gets no new connections while another shard can take them.',
  ),
  'heap.replaceAt': option(
    number({ min: 0.1, max: 1 }),
    0.92,
    'Share of the heap limit above which a new thread takes over the shard, connections and all; 1 leaves it to V8, which may end the process.',
  ),

  'actor.mailbox': option(
    integer({ min: 1, max: 1_000_000 }),
    4_096,
    'Messages that wait for one actor; one more is refused with MAILBOX_FULL.',
  ),
  'actor.askTimeout': option(
    duration({ min: '1ms', max: '24h' }),
    '5s',
    'How long an ask waits for its answer unless it says otherwise; then it fails with ASK_TIMEOUT.',
  ),
  'actor.asks': option(
    integer({ min: 1, max: 1_000_000 }),
    65_536,
    'Asks of one thread that wait for their answers; one more fails with ASKS_TOO_MANY.',
  ),
  'actor.idleAfter': option(
    duration({ max: '24h' }),
    '10m',
    'An actor without a message or a timer for so long is passivated, unless its kind says otherwise; 0 keeps actors for ever.',
  ),
  'actor.serialiseLocal': option(
    boolean(),
    false,
    'Copies messages between actors of one shard too, as if they crossed threads. For tests: it shows values that cannot cross, and objects that are shared by mistake.',
  ),
  'actor.failures.max': option(
    integer({ min: 1, max: 1_000 }),
    5,
    'Failures of one actor within `actor.failures.window` after which it is stopped.',
  ),
  'actor.failures.window': option(duration({ min: '10ms', max: '1h' }), '30s', 'See `actor.failures.max`.'),
  'actor.failures.coolDown': option(
    duration({ min: '10ms', max: '24h' }),
    '60s',
    'How long the address of a stopped actor answers ACTOR_FAILED.',
  ),
  'actor.restartBackoff.min': option(
    duration({ min: '1ms', max: '1h' }),
    '50ms',
    'Pause before a failed actor handles its next message; each further failure doubles it.',
  ),
  'actor.restartBackoff.max': option(duration({ min: '1ms', max: '1h' }), '5s', 'Longest pause of a failed actor.'),

  'topic.recentBytes': option(
    size({ min: '4KiB', max: '1GiB' }),
    '1MiB',
    'What a topic keeps of its last ten seconds beside its history, so that connections can move between shards without a gap.',
  ),
  'topic.slowBytes': option(
    size({ min: '1KiB', max: '4GiB' }),
    '256KiB',
    'Unsent bytes of a subscriber above which its topic treats it as slow, unless its mode is `disconnect`.',
  ),
  'topic.queue': option(
    integer({ min: 1, max: 1_000_000 }),
    1_000,
    'Messages of one topic that wait for one slow subscriber; `drop-oldest` then drops the oldest.',
  ),

  'net.maxConnections': option(
    integer({ min: 1, max: 10_000_000 }),
    100_000,
    'Connections over all services; a surplus one is closed at once. The limit of open files must be higher.',
  ),
  'net.maxConnectionsPerAddress': option(
    integer({ min: 0, max: 10_000_000 }),
    0,
    'Connections from one address; a surplus one is closed at once. 0 is no limit: behind a proxy all clients share its address.',
  ),
  'net.backlog': option(
    integer({ min: 1, max: 65_535 }),
    511,
    'Connections the kernel holds until they are accepted; beyond it clients retry by themselves. The kernel caps it at its own limit (somaxconn).',
  ),
  'net.sniff.bytes': option(
    size({ min: '64B', max: '64KiB' }),
    '8KiB',
    'How far the acceptor reads to find the session key; beyond it the address of the peer is the key.',
  ),
  'net.sniff.timeout': option(
    duration({ min: '10ms', max: '5m' }),
    '5s',
    'How long the acceptor waits for the session key; after it the address of the peer is the key.',
  ),
  'net.handoff': option(
    oneOf(['auto', 'public']),
    'auto',
    'How sockets reach their shard: `auto` moves the native handle and falls back to `public` when the self-test fails; `public` uses documented API only, so that connections are placed by address and cannot move later.',
  ),
  'net.headTimeout': option(
    duration({ min: '10ms', max: '5m' }),
    '10s',
    'A request head that is not complete in this time closes the connection.',
  ),
  'net.closeTimeout': option(
    duration({ min: '10ms', max: '5m' }),
    '5s',
    'After its close frame the server waits so long for the close frame of the peer, then drops the connection.',
  ),
  'net.receiveBuffer': option(
    size({ min: '64KiB', max: '16MiB' }),
    '512KiB',
    'The buffer that all connections of one shard read into; it bounds what one read can return.',
  ),
  'net.sendBuffer.high': option(
    size({ min: '1KiB', max: '4GiB' }),
    '1MiB',
    'Unsent bytes of one connection above which its service is told to hold back; echo and chat then stop reading from it.',
  ),
  'net.sendBuffer.max': option(
    size({ min: '1KiB', max: '4GiB' }),
    '10MiB',
    'Unsent bytes of one connection above which it is closed as too slow (WebSocket 1008). Raise it for large bursts to slow clients.',
  ),
  'net.memory': option(
    size({ min: '1MiB', max: '1024GiB' }),
    '1GiB',
    'Unsent bytes of the whole process; above it the slowest receivers are closed first. Keep it well below the memory of the machine.',
  ),
  'net.lowPriorityBudget': option(
    integer({ min: 1, max: 10_000 }),
    5,
    'Low-priority connections served per turn of a shard; the rest wait for the next turn.',
  ),

  'ring.capacity': option(
    size({ min: '4KiB', max: '64MiB', powerOfTwo: true }),
    '256KiB',
    'Data ring of one ordered pair of threads, allocated on first use; when it is full, messages queue up to `ring.overflow`. `polyloop config print` shows the worst case of all rings.',
  ),
  'ring.controlCapacity': option(
    size({ min: '4KiB', max: '1MiB', powerOfTwo: true }),
    '64KiB',
    'The second ring of each pair, for replies and control, which is drained first.',
  ),
  'ring.overflow': option(
    size({ max: '4GiB' }),
    '8MiB',
    'Bytes queued per destination beyond its full ring; above it a send fails with RING_FULL. Raise it for bursts, not for a shard that is too slow.',
  ),
  'ring.messageMax': option(
    size({ min: '1KiB', max: '1GiB' }),
    '1MiB',
    'Largest message between threads; a larger one is refused. One above a quarter of the ring travels in pieces.',
  ),
  'ring.doorbell': option(
    oneOf(['port', 'wait']),
    'port',
    'What wakes a sleeping thread: an empty message on a `port`, or `wait` for Atomics.waitAsync. The bench decides per Node.js line.',
  ),

  'control.timeout': option(
    duration({ min: '10ms', max: '5m' }),
    '1s',
    'A control call that a thread does not answer in this time fails with CONTROL_TIMEOUT.',
  ),

  'offload.threads': option(
    auto(integer({ min: 1, max: 256 })),
    'auto',
    'Threads for work that would block a shard (hashing, compression, your own tasks); `auto` is half of the available cores, at least 1.',
  ),

  'bridge.kind': option(
    oneOf(['auto', 'local', 'redis']),
    'auto',
    'What connects hosts: `local` is this process alone, `redis` makes hosts one cluster, `auto` is `redis` when a URL is set.',
  ),
  'bridge.timeout': option(
    duration({ min: '10ms', max: '5m' }),
    '5s',
    'A call of the bridge that is not answered in this time fails with BRIDGE_TIMEOUT; it may be done all the same.',
  ),
  'bridge.calls': option(
    integer({ min: 1, max: 1_000_000 }),
    8_192,
    'Calls of one thread that wait for the bridge; one more fails with BRIDGE_BUSY.',
  ),
  'bridge.queue': option(
    integer({ min: 1, max: 1_000_000 }),
    65_536,
    'Calls of all threads that the bridge has not answered; one more fails with BRIDGE_BUSY.',
  ),
  'bridge.outboxBytes': option(
    size({ min: '64KiB', max: '16GiB' }),
    '64MiB',
    'Bytes of calls that the Redis server has not answered; one more fails with BRIDGE_BUSY. Raise it for bursts, not for a server that is too slow.',
  ),
  'bridge.local.memory': option(
    size({ min: '64KiB', max: '64GiB' }),
    '256MiB',
    'Keys and logs of the `local` bridge, which live in the memory of its thread; what would exceed it is refused.',
  ),
  'bridge.redis.url': option(
    optional(redisUrl()),
    undefined,
    'The Redis server of the cluster, 6.2 or later; with Cluster 7.0 or later. The environment variable REDIS_URL sets it too. While it is away, /health says `degraded` and the host serves what it can alone.',
  ),
  'bridge.redis.connectTimeout': option(
    duration({ min: '10ms', max: '5m' }),
    '5s',
    'A connection to Redis that is not ready in this time is given up, and another one tried.',
  ),
  'bridge.redis.pingTimeout': option(
    duration({ min: '100ms', max: '5m' }),
    '3500ms',
    'A connection that is probed every second and brings nothing for so long is given up: the server hangs.',
  ),
  'bridge.redis.backoff.min': option(
    duration({ min: '1ms', max: '1h' }),
    '100ms',
    'Pause before Redis is connected to again; each further attempt doubles it, and up to half of it is left to chance.',
  ),
  'bridge.redis.backoff.max': option(
    duration({ min: '1ms', max: '1h' }),
    '5s',
    'Longest pause between attempts to reach Redis; they never end.',
  ),

  'store.kind': option(
    oneOf(['sqlite', 'memory', 'redis']),
    'sqlite',
    'Where durable data lives: `sqlite` in one file, `memory` until the process or the thread of the store ends, `redis` on the server of the bridge, for hosts that share it.',
  ),
  'store.path': option(
    string(),
    'data/polyloop.db',
    'File of the `sqlite` store; a relative path starts at the working directory, and missing folders are made. One process uses it at a time: another one is answered STORE_LOCKED.',
  ),
  'store.timeout': option(
    duration({ min: '10ms', max: '5m' }),
    '5s',
    'A call of the store that is not answered in this time fails with STORE_TIMEOUT; it may be stored all the same.',
  ),
  'store.calls': option(
    integer({ min: 1, max: 1_000_000 }),
    8_192,
    'Calls of one thread that wait for the store; one more fails with STORE_BUSY. Raise it for bursts, not for a disk that is too slow.',
  ),
  'store.queue': option(
    integer({ min: 1, max: 1_000_000 }),
    16_384,
    'Calls of all threads that wait in the store for the next commit; one more fails with STORE_BUSY. Not with `redis`: there it is bridge.queue.',
  ),
  'store.redis.ack': option(
    oneOf(['server', 'disk']),
    'server',
    'When a write to the `redis` store is answered: `server` when Redis has done it (its `appendfsync` says how durable that is), `disk` when Redis says with WAITAOF that it is on disk; that needs Redis 7.2 and `appendonly yes`.',
  ),
  'store.redis.replicas': option(
    integer({ min: 0, max: 16 }),
    0,
    'With `store.redis.ack: disk`: replicas that have a write on their disk, too, before it is answered.',
  ),

  'admin.host': option(
    host(),
    'localhost',
    'Address of metrics, health, dashboard and admin API. Set a token before you make it public.',
  ),
  'admin.port': option(port(), 9464, 'Port of the admin endpoint; 0 picks a free one.'),
  'admin.token': option(
    optional(secret({ minBytes: 8 })),
    undefined,
    'With a token, everything but /health and /ready needs `Authorization: Bearer <token>`.',
  ),
  'admin.hosts': option(
    list(),
    [],
    'Names a request to the admin endpoint may carry as Host, besides loopback names and addresses; others are refused (DNS rebinding).',
  ),

  'log.level': option(
    oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    'info',
    'The least important log lines that are written.',
  ),
  'log.pretty': option(auto(boolean()), 'auto', 'Log lines for people instead of JSON; `auto` is true on a terminal.'),

  'shutdown.grace': option(
    duration({ max: '1h' }),
    '30s',
    'What is left so long after SIGTERM is dropped, and the exit status is 1. Keep it below the patience of whatever stops the process.',
  ),
  'reload.grace': option(
    duration({ max: '24h' }),
    '5m',
    'How long an old shard keeps connections that cannot move (TLS, a service that does not support it); then they are closed with 1012, paced.',
  ),
  'reload.handlerGrace': option(
    duration({ min: '100ms', max: '1h' }),
    '30s',
    'How long a move waits for the handler that an actor is in; an actor that takes longer loses its state.',
  ),

  'rebalance.auto': option(
    boolean(),
    false,
    'Moves slots, with their connections and actors, from the busiest shard to the least busy one when they differ by more than `rebalance.difference` for ten seconds.',
  ),
  'rebalance.difference': option(
    number({ min: 0.05, max: 1 }),
    0.3,
    'Difference of event-loop utilisation above which `rebalance.auto` acts.',
  ),
})

export type CoreConfig = ConfigOf<typeof CORE_OPTIONS>
