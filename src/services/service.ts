// How a service is defined: its options, its listeners, and the handlers it runs in every shard. The five that come
// with Polyloop and a user's own are made the same way.

import type { Socket } from 'node:net'
import type { ActorRef } from '../actor/actor-ref.ts'
import type { ActorDefinition, Handlers } from '../actor/definition.ts'
import type { SessionDefinition } from '../actor/session.ts'
import type { SubscribeOptions, TopicEvent } from '../actor/topic-connection.ts'
import type { TopicDefinition } from '../actor/topic-definition.ts'
import type { TopicEncoder } from '../actor/topic-message.ts'
import type { Presence, SubscribeOutcome } from '../actor/topic-relay.ts'
import type { TopicListener } from '../actor/topic-tap.ts'
import type { Bridge } from '../bridge/bridge.ts'
import type { ConfigOf, OptionRows } from '../config/option.ts'
import type { ServiceRows, Transport } from '../config/service-options.ts'
import type { Clock } from '../lib/clock.ts'
import type { Connection } from '../net/connection.ts'
import type { ConnectionRef } from '../net/connection-ref.ts'
import type { HttpHandler, TcpHandler, UdpHandler, WebSocketHandler } from '../net/handler.ts'
import type { RemoteAddress } from '../net/identity.ts'
import type { SessionOf } from '../net/session-key.ts'
import type { AdminRoute } from '../observe/admin-route.ts'
import type { Logger } from '../observe/logger.ts'
import type { ThreadMetrics } from '../observe/metrics.ts'
import type { HealthReport, Readiness, RuntimeReport } from '../observe/report.ts'
import type { Store } from '../store/store.ts'

/** One listening address of a service. */
export interface ListenerDefinition {
  /** Default port. */
  readonly port: number
  /** Reads the session key from the first bytes; without it a connection is placed by its peer's address. */
  readonly sessionOf?: SessionOf
}

/** The transports that services can listen on. */
const TRANSPORTS: readonly string[] = ['tcp', 'udp', 'ws', 'http'] satisfies Transport[]

export type ListenerDefinitions = { readonly [T in Transport]?: ListenerDefinition }

/** How the whole process is, as main knows. Rejects with CONTROL_TIMEOUT when main does not answer. */
export interface StatusSource {
  health(): HealthReport | Promise<HealthReport>
  readiness(): Readiness | Promise<Readiness>
  /** The page of metrics, of the families whose names begin so. */
  metrics(prefix: string): Promise<string>
}

/** What a service runs with, in one shard. */
export interface ServiceContext<Config> {
  /** The service's own part of the configuration, frozen. */
  readonly config: Config
  readonly shard: { readonly id: number; readonly count: number }
  readonly log: Logger
  readonly metrics: ThreadMetrics
  readonly clock: Clock
  /** A timer on the shard's wheel: never early; answers the function that cancels it. */
  after(delayMs: number, callback: () => void | Promise<void>): () => void
  /** Opens an outbound TCP connection on this shard. A failure ends in the handler's `close` with reason `error`. */
  connect<State>(target: RemoteAddress, handler: TcpHandler<State>): Connection<State>
  refOf(connection: Connection): ConnectionRef
  /** Sends to a connection on any shard. False: it is gone, or its shard is overloaded; never waits. */
  send(connection: ConnectionRef, payload: Uint8Array | string, isBinary?: boolean): boolean
  close(connection: ConnectionRef, code?: number, reason?: string): boolean
  /**
   * Runs the exported function `task` of `module` (a file URL) in the pool for CPU-bound work. Argument and result are
   * structured clones. Rejects with what the task threw, or when the pool's queue is full.
   */
  offload(module: string | URL, task: string, argument: unknown): Promise<unknown>
  /** Durable storage of the whole process. Only for a service that says `usesStore`. */
  readonly store: Store
  /**
   * Channels, keys and logs that all hosts of the cluster share. Only for a service that says `usesBridge`, and those of
   * modules. What is subscribed in a shard ends with it.
   */
  readonly bridge: Bridge
  readonly status: StatusSource
  /**
   * One token of the bucket `key` of this service, which all shards share: `rate` a second, at most `burst` at once. 0: it
   * was there; otherwise none was taken, and the next one is there in so many milliseconds.
   */
  takeToken(key: string, rate: number, burst: number): number
  /** A reference to an actor, wherever it lives; nothing is sent yet. */
  actor<State, H extends Handlers<State>>(definition: ActorDefinition<State, H>, id: string): ActorRef<H>
  /**
   * The connection belongs to a session from now on: it gets what the session sends, and the session hears when it ends.
   * False: it has ended, belongs to eight sessions already, or the way there is full.
   */
  attach<State>(connection: Connection, definition: SessionDefinition<State>, id: string): boolean
  /** Publishes to the topic `kind.id`. False: refused, the way there is full. */
  publish(topic: string, message: unknown): boolean
  /** The connection gets the topic's messages from now on, or from `since` on as far as they are kept. */
  subscribe(connection: Connection, topic: string, options?: SubscribeOptions): SubscribeOutcome
  /** False: it had not subscribed. */
  unsubscribe(connection: Connection, topic: string): boolean
  /**
   * This shard itself hears a topic from now on, what is kept of its past first. For a service that keeps what it hears
   * and serves its connections from that; others subscribe their connections. `retry` is for one that was `refused`.
   */
  tap(topic: string, listener: TopicListener): { retry(): void }
  /** Who is subscribed, if the topic's kind has presence. Rejects with ASK_TIMEOUT. */
  presence(topic: string): Promise<Presence>
}

/** What a service does with its listeners' input. A handler per listener. */
export interface ServiceHandlers {
  readonly tcp?: TcpHandler
  readonly udp?: UdpHandler
  readonly ws?: WebSocketHandler
  /** Requests of an `http` listener, and those of a `ws` listener that ask for no upgrade. */
  readonly http?: HttpHandler
  /** What happens to a subscription: it began, or has a gap. Comes before the messages behind it. */
  topicEvent?(connection: Connection<never>, event: TopicEvent): void
  /**
   * What this service makes of topic payloads for protocols of its own, by the name that `subscribe` gives as `deliver`;
   * called once per message and shard. Names are shared by all services.
   */
  readonly topicEncoders?: Readonly<Record<string, TopicEncoder>>
  /** Longest WebSocket message; a longer one gets 1009. Default 1 MiB. */
  readonly messageBytesMax?: number
  /**
   * Goes through the service's hot path, so that the first clients of a new shard meet compiled code. Called before the
   * shard is ready; what it rejects with is logged, and does no harm. Only while the process starts, and not where
   * `shard.rehearsal` is 0.
   */
  rehearse?(stage: Stage): Promise<void>
  /** The shard is about to end; nothing arrives any more. */
  stop?(): void | Promise<void>
}

/** What a service rehearses with: things like those of the shard, of which nobody else knows. */
export interface Stage {
  /** Instead of the shard's. */
  readonly metrics: ThreadMetrics
  /** Aborted when the time is over: nobody waits for it any more. */
  readonly signal: AbortSignal
  /** A WebSocket of this shard, its handshake behind it; answers the client's end. All of them end with the rehearsal. */
  connect<State>(handler: WebSocketHandler<State>): Promise<Socket>
}

/** What a service's part of the admin endpoint works with, in main. */
export interface AdminContext<Config = unknown> {
  /** The service's own part of the configuration at the start. */
  readonly config: Config
  readonly bridge: Bridge
}

/** What a service's part in main works with: the process as a whole, and a way to tell of it. */
export interface HostContext<Config = unknown> {
  /** The service's own part of the configuration at the start. */
  readonly config: Config
  readonly clock: Clock
  readonly version: string
  /** Publishes to the topic `kind.id`. False: refused, the way there is full. */
  publish(topic: string, message: unknown): boolean
  actor<State, H extends Handlers<State>>(definition: ActorDefinition<State, H>, id: string): ActorRef<H>
  health(): HealthReport
  report(): RuntimeReport
  /** Every line of the log, of all threads, as JSON with its newline; several at a time. It must not throw or log. */
  onLog(listener: (lines: string) => void): void
  /** Every request to the admin endpoint that changes something, when it is answered. */
  onAction(listener: (action: AdminAction) => void): void
}

export interface AdminAction {
  /** `POST /api/v1/reload`: the route, without values of parameters. */
  readonly route: string
  readonly status: number
  readonly durationMs: number
}

/** A service's part in main. */
export interface HostPart {
  /** A drain begins: connections are closed behind this, or after a second if it takes longer. */
  draining?(): void | Promise<void>
  stop(): void
}

export interface ServiceDefinition<Name extends string = string, Config = unknown> {
  readonly kind: 'service'
  readonly name: Name
  /** Rows below `services.<name>`. */
  readonly options: OptionRows
  readonly listeners: ListenerDefinitions
  /** Connections a listener serves at a time; others are closed without a byte. Undefined: no limit of its own. */
  connectionsMax?(transport: Transport, config: Config): number | undefined
  /** Its own actors, made with its configuration; once in every shard, before `start`. */
  actors?(config: Config): readonly ActorDefinition[]
  /** Its own topics. With a function they are made with its configuration, once in every shard, before `start`. */
  readonly topics?: readonly TopicDefinition[] | ((config: Config) => readonly TopicDefinition[])
  /** The store's thread runs while this service is enabled. */
  readonly usesStore?: boolean
  /** The bridge's thread runs while this service is enabled. */
  readonly usesBridge?: boolean
  /** Its part of the process as a whole: called once in main, when all is ready and the service is enabled. */
  host?(context: HostContext<Config>): HostPart
  /** What it adds to the admin endpoint; called once in main, while the service is enabled at the start. */
  adminRoutes?(context: AdminContext<Config>): readonly AdminRoute[]
  /** Called once in every shard. */
  start(context: ServiceContext<Config>): ServiceHandlers | Promise<ServiceHandlers>
}

type ServiceConfig<Name extends string, Rows extends OptionRows, L> =
  ConfigOf<ServiceRows<Name, Rows, L>> extends { readonly services: { readonly [N in Name]: infer Config } }
    ? Config
    : never

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/

/**
 * Defines a service. Put it in a module of its own and name that module in `modules` (configuration, or
 * `createRuntime`): every shard imports it. Throws a TypeError on a name that is not kebab-case, or an unknown transport.
 */
export function defineService<
  const Name extends string,
  const L extends ListenerDefinitions,
  // Without options a service has none of its own; the constraint would make every key of its config unknown.
  const Rows extends OptionRows = Record<never, never>,
>(definition: {
  readonly name: Name
  readonly options?: Rows
  readonly listeners: L
  connectionsMax?(transport: Transport, config: ServiceConfig<Name, Rows, L>): number | undefined
  actors?(config: ServiceConfig<Name, Rows, L>): readonly ActorDefinition[]
  readonly topics?: readonly TopicDefinition[] | ((config: ServiceConfig<Name, Rows, L>) => readonly TopicDefinition[])
  readonly usesStore?: boolean
  readonly usesBridge?: boolean
  host?(context: HostContext<ServiceConfig<Name, Rows, L>>): HostPart
  adminRoutes?(context: AdminContext<ServiceConfig<Name, Rows, L>>): readonly AdminRoute[]
  start(context: ServiceContext<ServiceConfig<Name, Rows, L>>): ServiceHandlers | Promise<ServiceHandlers>
}): ServiceDefinition<Name, ServiceConfig<Name, Rows, L>> {
  if (!NAME.test(definition.name)) throw new TypeError(`service name ${definition.name} is not kebab-case`)
  const unknown = Object.keys(definition.listeners).find((one) => !TRANSPORTS.includes(one))
  if (unknown !== undefined) throw new TypeError(`service ${definition.name}: there is no transport ${unknown}`)
  return { ...definition, kind: 'service', options: definition.options ?? {} }
}

/** Whether a module's export is a service; modules may export other things beside. */
export function isService(value: unknown): value is ServiceDefinition {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'service' && 'start' in value
}
