// What a service gets of its shard.
import { refTo } from '../actor/actor-ref.ts'
import type { ActorServices } from '../actor/context.ts'
import type { ActorSystem } from '../actor/system.ts'
import type { Bridge } from '../bridge/bridge.ts'
import type { Clock } from '../lib/clock.ts'
import type { Connection } from '../net/connection.ts'
import type { EventLoop } from '../net/event-loop.ts'
import { StreamFraming } from '../net/tcp.ts'
import type { TokenBuckets } from '../net/token-buckets.ts'
import type { Logger } from '../observe/logger.ts'
import type { ThreadMetrics } from '../observe/metrics.ts'
import type { ServiceContext, StatusSource } from '../services/service.ts'
import type { Store } from '../store/store.ts'
import type { ConnectionPost } from './connection-post.ts'
import { type Remote, within } from './control.ts'
import type { SessionBook } from './session-book.ts'
import type { ShardTopics } from './shard-topics.ts'
import type { MainControl } from './thread-data.ts'

export interface ShardContextOptions {
  readonly shard: { readonly id: number; readonly count: number }
  readonly log: Logger
  readonly metrics: ThreadMetrics
  readonly clock: Clock
  readonly loop: EventLoop
  readonly post: ConnectionPost
  readonly system: ActorSystem
  readonly topics: ShardTopics
  readonly sessions: SessionBook
  readonly services: ActorServices
  readonly store: Store
  readonly bridge: Bridge
  readonly status: StatusSource
  readonly buckets: TokenBuckets
  /** What an asynchronous callback without a connection rejects with is logged. */
  readonly watch: (result: unknown) => void
}

export function serviceContextOf(options: ShardContextOptions, name: string, config: unknown): ServiceContext<unknown> {
  const { shard, log, metrics, clock, loop, post, system, topics, sessions, services, status, buckets, watch } = options
  return {
    config,
    shard,
    log: log.child({ service: name }),
    metrics,
    clock,
    store: options.store,
    bridge: options.bridge,
    status,
    takeToken: (key, rate, burst) => buckets.take(`${name} ${key}`, rate, burst),
    after: (delayMs, callback) => loop.after(delayMs, () => watch(callback())),
    connect: (target, handler) =>
      loop.connect(target, (connection) => new StreamFraming(connection, handler)) as Connection<never>,
    refOf: (connection) => post.refOf(connection),
    send: services.send,
    close: services.close,
    offload: services.offload,
    attach: (connection, definition, id) => sessions.attach(connection, definition.kind, id),
    actor: (definition, id) => refTo(system, definition, id),
    publish: services.publish,
    subscribe: (connection, topic, subscribing) => topics.subscribe(connection, topic, subscribing),
    unsubscribe: (connection, topic) => topics.unsubscribe(connection, topic),
    tap: (topic, listener) => topics.tap(topic, listener),
    presence: (topic) => topics.presence(topic),
  }
}

export function statusOf(main: Remote<MainControl>, timeoutMs: number): StatusSource {
  const ask = <T>(call: string, answer: PromiseLike<T>): Promise<T> => within(timeoutMs, call, 'main', answer)
  return {
    health: () => ask('health', main.health()),
    readiness: () => ask('readiness', main.readiness()),
    metrics: (prefix) => ask('metrics', main.metrics(prefix)),
  }
}
