// The public API, and nothing else.
export type { ActorRef } from './actor/actor-ref.ts'
export type { ActorContext } from './actor/context.ts'
export { type ActorDefinition, defineActor, Refusal } from './actor/definition.ts'
export { defineSession, type Session, type SessionDefinition } from './actor/session.ts'
export type { SubscribeOptions, TopicEvent } from './actor/topic-connection.ts'
export { defineTopic, type TopicDefinition } from './actor/topic-definition.ts'
export type { TopicEncoder } from './actor/topic-message.ts'
export type { Presence, SubscribeOutcome } from './actor/topic-relay.ts'
export type { TopicListener } from './actor/topic-tap.ts'
export type {
  Bridge,
  BridgeOperations,
  ChannelListener,
  ChannelPosition,
  ChannelSubscription,
} from './bridge/bridge.ts'
export { decodeLogEntry, type PublishedEntry } from './bridge/log-entry.ts'
export {
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
  url,
} from './config/kind.ts'
export { option } from './config/option.ts'
export { type Clock, ManualClock, systemClock } from './lib/clock.ts'
export { ERRORS, type ErrorCode, PolyloopError } from './lib/errors.ts'
export type { Connection } from './net/connection.ts'
export type { ConnectionRef } from './net/connection-ref.ts'
export { DEFAULT_LIMITS, type NetLimits } from './net/event-loop.ts'
export type {
  DatagramPeer,
  HandlerResult,
  HttpHandler,
  TcpHandler,
  UdpHandler,
  UpgradeAnswer,
  UpgradeRequest,
  WebSocketHandler,
} from './net/handler.ts'
export { queryValueOf, requestTargetOf } from './net/head.ts'
export { remoteOf, sessionKeyOf } from './net/http-stream.ts'
export type { RemoteAddress } from './net/identity.ts'
export type { ListeningAddress } from './net/listener-spec.ts'
export type { SessionKey, SessionOf } from './net/session-key.ts'
export { createEventLoop, type StandaloneLoop, type StandaloneLoopOptions } from './net/standalone-loop.ts'
export { encodeFrame, OPCODE } from './net/websocket/frame.ts'
export type { AdminAnswer, AdminEvents, AdminRequest, AdminRoute } from './observe/admin-route.ts'
export type { CloseReason, Family } from './observe/family.ts'
export type { LogStream } from './observe/log-sink.ts'
export type { Logger } from './observe/logger.ts'
export type { Cell, HistogramCell, Series, ThreadMetrics } from './observe/metrics.ts'
export type { HealthReport, RuntimeReport } from './observe/report.ts'
export { slotOf } from './placement/slots.ts'
export { type CreateRuntimeOptions, createRuntime } from './runtime/create-runtime.ts'
export type { Runtime } from './runtime/runtime.ts'
export { type HubPublisher, hubOf } from './services/hub/publisher.ts'
export {
  type AdminAction,
  type AdminContext,
  defineService,
  type HostContext,
  type HostPart,
  type ServiceContext,
  type ServiceDefinition,
  type ServiceHandlers,
  type Stage,
  type StatusSource,
} from './services/service.ts'
export type { Store, StoredChat, StoredMessage } from './store/store.ts'
