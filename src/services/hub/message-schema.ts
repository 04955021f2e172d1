// What is said over the hub's WebSocket, as JSON Schema (draft 7): requests, within the limits that request.ts checks them
// by, and everything the hub sends. A test holds requests against those checks, and frames against what is really sent.
// [PROTOCOLS 4.2, 4.4]
import { BINARY_TYPES } from './binary-message.ts'
import type { Rated } from './rate-limit.ts'
import {
  CHANNEL_LENGTH_MAX,
  CHANNELS_MAX,
  DEFAULT_EVENT_TYPE,
  EVENT_TYPE_LENGTH_MAX,
  ID_LENGTH_MAX,
  POSITIONS_MAX,
} from './request.ts'
import type { FrameType } from './text.ts'

export type Schema = Readonly<Record<string, unknown>>

/** What a client can ask for. */
export type RequestType = Exclude<Rated, 'binary' | 'invalid'>

export interface Message {
  readonly summary: string
  readonly schema: Schema
}

export interface RequestMessage extends Message {
  readonly replies: readonly FrameType[]
}

// ---- parts --------------------------------------------------------------------------------------------------------

const TEXT: Schema = { type: 'string' }
const TEXT_OR_NULL: Schema = { type: ['string', 'null'] }
const NUMBER: Schema = { type: 'number', minimum: 0 }
const COUNT: Schema = { type: 'integer', minimum: 0 }
const BOOLEAN: Schema = { type: 'boolean' }
const OBJECT: Schema = { type: 'object' }
const UUID: Schema = { type: 'string', format: 'uuid' }
const TIMESTAMP: Schema = { type: 'string', format: 'date-time', description: 'UTC, with milliseconds.' }
const TOKEN: Schema = { type: 'string', minLength: 43, maxLength: 43, description: 'Good for one new connection.' }
const CHANNEL: Schema = { type: 'string', maxLength: CHANNEL_LENGTH_MAX }
const CHANNELS: Schema = { type: 'array', items: CHANNEL }
const EVENT_TYPE: Schema = { type: 'string', minLength: 1, maxLength: EVENT_TYPE_LENGTH_MAX }
const EPOCH: Schema = { type: 'string', description: 'Offsets of different epochs have nothing to do with each other.' }
const ID: Schema = {
  description: 'Chosen by the client; the reply repeats it.',
  anyOf: [{ type: 'integer' }, { type: 'string', maxLength: ID_LENGTH_MAX }],
}
const COMPRESSION = ['gzip', 'none'] as const

/** Absent or null: as if it were not there. */
function optional(schema: Schema): Schema {
  return { anyOf: [schema, { type: 'null' }] }
}

function object(properties: Readonly<Record<string, Schema>>, notRequired: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !notRequired.includes(name))
  return { type: 'object', properties, ...(required.length === 0 ? {} : { required }) }
}

function request(type: RequestType, properties: Readonly<Record<string, Schema>>, required: readonly string[]): Schema {
  return {
    type: 'object',
    properties: { type: { const: type }, ...properties, id: ID },
    required: ['type', ...required],
  }
}

/** A frame of the hub; a reply may have an id. */
function frame(
  type: FrameType,
  properties: Readonly<Record<string, Schema>>,
  notRequired: readonly string[] = [],
  last: Readonly<Record<string, Schema>> = { timestamp: TIMESTAMP },
): Schema {
  return object({ type: { const: type }, ...properties, ...last, id: ID }, [...notRequired, 'id'])
}

// ---- requests -----------------------------------------------------------------------------------------------------

const NAMED_CHANNELS = {
  channels: optional({ ...CHANNELS, maxItems: CHANNELS_MAX }),
  channel: optional(CHANNEL),
}

export const REQUEST_MESSAGES: Readonly<Record<RequestType, RequestMessage>> = {
  ping: { summary: 'Is the hub there?', schema: request('ping', {}, []), replies: ['pong', 'error'] },
  subscribe: {
    summary: 'Events of these channels, from now on.',
    schema: request('subscribe', NAMED_CHANNELS, []),
    replies: ['subscribed', 'error'],
  },
  unsubscribe: {
    summary: 'No more events of these channels.',
    schema: request('unsubscribe', NAMED_CHANNELS, []),
    replies: ['unsubscribed', 'error'],
  },
  get_subscriptions: {
    summary: 'What is subscribed?',
    schema: request('get_subscriptions', {}, []),
    replies: ['subscriptions', 'error'],
  },
  get_reconnection_token: {
    summary: 'A token that resumes this session.',
    schema: request('get_reconnection_token', {}, []),
    replies: ['reconnection_token', 'error'],
  },
  set_options: {
    summary: 'How events are sent; what is absent stays.',
    schema: request(
      'set_options',
      {
        binary: optional(BOOLEAN),
        compression: optional({ enum: COMPRESSION }),
        offsets: optional(BOOLEAN),
      },
      [],
    ),
    replies: ['options', 'error'],
  },
  broadcast: {
    summary: 'An event for everybody who is subscribed; needs the right to broadcast.',
    schema: request(
      'broadcast',
      {
        channel: CHANNEL,
        event_type: optional({ ...EVENT_TYPE, default: DEFAULT_EVENT_TYPE }),
        data: optional(OBJECT),
      },
      ['channel'],
    ),
    replies: ['broadcast_ack', 'error'],
  },
  recover: {
    summary: 'What was missed behind these positions.',
    schema: request(
      'recover',
      {
        positions: {
          type: 'object',
          maxProperties: POSITIONS_MAX,
          propertyNames: { maxLength: CHANNEL_LENGTH_MAX },
          additionalProperties: object({ epoch: EPOCH, offset: COUNT }),
        },
      },
      ['positions'],
    ),
    replies: ['recovered', 'error'],
  },
}

// ---- frames -------------------------------------------------------------------------------------------------------

const OPTIONS = { binary: BOOLEAN, compression: { enum: COMPRESSION }, offsets: { const: true } }
const LIFETIME: Schema = { type: 'number', exclusiveMinimum: 0, description: 'Seconds.' }
const SESSION = { client_id: UUID, user_id: TEXT_OR_NULL }

export const FRAME_MESSAGES: Readonly<Record<FrameType, Message>> = {
  connected: {
    summary: 'The first frame of every connection.',
    schema: frame('connected', { ...SESSION, reconnected: BOOLEAN }),
  },
  session_restored: {
    summary: 'A session is resumed; what it missed follows.',
    schema: frame(
      'session_restored',
      {
        reconnected: { const: true },
        ...SESSION,
        channels: CHANNELS,
        denied: CHANNELS,
        missed: COUNT,
        dropped: COUNT,
      },
      ['denied'],
    ),
  },
  pong: { summary: 'The hub is there.', schema: frame('pong', {}) },
  ping: { summary: 'The hub is there, and needs no answer.', schema: frame('ping', {}) },
  subscribed: {
    summary: 'What is subscribed from now on, and what was refused.',
    schema: frame('subscribed', { channels: CHANNELS, denied: CHANNELS, message: TEXT }, ['denied', 'message']),
  },
  unsubscribed: { summary: 'As it was asked for.', schema: frame('unsubscribed', { channels: CHANNELS }) },
  subscriptions: { summary: 'In the order of subscription.', schema: frame('subscriptions', { channels: CHANNELS }) },
  reconnection_token: {
    summary: 'A token, and how long it is valid.',
    schema: frame('reconnection_token', { token: TOKEN, expires_in: LIFETIME }),
  },
  options: { summary: 'The options as they are now.', schema: frame('options', OPTIONS, ['offsets']) },
  broadcast_ack: {
    summary: 'The event is on its way, to so many.',
    schema: frame('broadcast_ack', { channel: CHANNEL, subscribers: COUNT }),
  },
  recovered: {
    summary: 'How many missed events follow, and whether these are all.',
    schema: frame('recovered', {
      channels: { type: 'object', additionalProperties: object({ recovered: BOOLEAN, missed: COUNT }) },
    }),
  },
  error: {
    summary: 'A request was refused; the connection stays open.',
    schema: frame(
      'error',
      { message: TEXT, retry_after: { type: 'number', exclusiveMinimum: 0 } },
      ['retry_after'],
      {},
    ),
  },
  disconnected: {
    summary: 'The hub shuts down; the token resumes the session.',
    schema: frame('disconnected', { reconnection_token: TOKEN, expires_in: LIFETIME }, [], {}),
  },
}

// ---- events -------------------------------------------------------------------------------------------------------

const HOST = { host: { type: 'string', description: 'Of a cluster, the host that this is about.' } }
const OPTIONAL_DATA = ['host', 'metadata', 'details', 'reason']
const PRIORITY: Schema = { type: 'integer', minimum: 0, maximum: 255 }

function event(eventType: Schema, data: Schema, more: Readonly<Record<string, Schema>> = {}): Schema {
  return object(
    {
      channel: CHANNEL,
      timestamp: TIMESTAMP,
      event_type: eventType,
      data,
      ...more,
      offset: { ...COUNT, description: 'Its place in the channel; with the option `offsets`.' },
      epoch: EPOCH,
      buffered_at: { ...TIMESTAMP, description: 'It was missed, and is sent late.' },
    },
    ['offset', 'epoch', 'buffered_at', ...Object.keys(more)],
  )
}

/** Any event; those of the hub itself are described beside it. Has no `type`: that tells it from frames. */
export const EVENT_MESSAGE: Message = {
  summary: 'An event of a channel.',
  schema: { ...event(EVENT_TYPE, OBJECT), not: { properties: { type: {} }, required: ['type'] } },
}

export interface ChannelEvent extends Message {
  readonly channel: string
}

/** What publishers send on a channel of the default, by the name of the message. */
export const CHANNEL_EVENTS: Readonly<Record<string, ChannelEvent>> = {
  systemMetrics: channelEvent('metrics', 'Figures of the process.', '^system_metrics$', {
    cpu_percent: NUMBER,
    memory_mb: NUMBER,
    events_per_sec: NUMBER,
    total_tokens: { type: ['number', 'null'] },
    total_connections: COUNT,
    total_channels: COUNT,
    total_subscriptions: COUNT,
    buffered_events: COUNT,
    ...HOST,
  }),
  signal: channelEvent('signals', 'A signal of a publisher.', '^signal\\..', {
    event_id: TEXT,
    event_type: TEXT,
    is_novel: BOOLEAN,
    priority: PRIORITY,
    resonance_score: { type: 'number' },
    neighbors_count: COUNT,
    metadata: OBJECT,
  }),
  actionExecuted: channelEvent('actions', 'An operation of an administrator, or a rate limit.', '^action\\.executed$', {
    action_id: UUID,
    action_type: TEXT,
    status: { enum: ['completed', 'failed'] },
    result: { type: ['object', 'null'] },
    execution_time_ms: NUMBER,
    error: TEXT_OR_NULL,
    ...HOST,
  }),
  log: channelEvent('logs', 'A line of the log, without its details.', '^log\\..', {
    level: TEXT,
    message: TEXT,
    service: TEXT,
    correlation_id: TEXT_OR_NULL,
    ...HOST,
  }),
  status: channelEvent('status', 'The process, or a part of it, starts, fails or ends.', '^status\\..', {
    status: { enum: ['running', 'stopped', 'error'] },
    uptime_seconds: NUMBER,
    version: TEXT,
    details: OBJECT,
    ...HOST,
  }),
  client: channelEvent('connections', 'A client comes or goes.', '^client\\.(connected|disconnected)$', {
    client_id: UUID,
    user_id: TEXT_OR_NULL,
    total_connections: COUNT,
    reason: TEXT,
    ...HOST,
  }),
}

/** What those get of a binary message who take no binary frames. */
export const BINARY_EVENT: Message = {
  summary: 'A binary message was sent, which this connection does not take.',
  schema: event(
    { type: 'string', pattern: '^binary\\.' },
    object({ type: { enum: BINARY_TYPES }, metadata: OBJECT, payload_length: COUNT }),
  ),
}

function channelEvent(
  channel: string,
  summary: string,
  pattern: string,
  data: Readonly<Record<string, Schema>>,
): ChannelEvent {
  return { channel, summary, schema: event({ type: 'string', pattern }, object(data, OPTIONAL_DATA)) }
}
