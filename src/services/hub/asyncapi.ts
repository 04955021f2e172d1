// The AsyncAPI 3 document of the hub's WebSocket, made of the schemas of its messages and of its configuration. From the
// hub's side: it receives requests, and sends events. [PROTOCOLS 4.10]
import { stringify } from 'yaml'
import type { HubConfig } from './config.ts'
import {
  BINARY_EVENT,
  CHANNEL_EVENTS,
  EVENT_MESSAGE,
  FRAME_MESSAGES,
  type Message,
  REQUEST_MESSAGES,
  type Schema,
} from './message-schema.ts'
import { HUB_PATH } from './session-id.ts'

/** Of the protocol, not of Polyloop. */
const API_VERSION = '1.0.0'
const CHANNEL = 'hub'

/** Who asks knows where the hub is: a proxy may be in front of it. */
export interface ServerPlace {
  /** With its port. */
  readonly host: string
  readonly isSecure: boolean
}

export type DescribedConfig = Pick<HubConfig, 'channels' | 'tokenTtl'>

/** Stands for the place in the text that is made once. */
const MARK: ServerPlace = { host: '«host»', isSecure: true }
const HOST = /^[a-zA-Z0-9.:[\]-]{1,255}$/

/** YAML, made on first use: making it takes long, and asking for it costs nothing. */
export class AsyncApiText {
  readonly #config: DescribedConfig
  #text: string | undefined

  constructor(config: DescribedConfig) {
    this.#config = config
  }

  at({ host, isSecure }: ServerPlace): string {
    // Without aliases: each schema is readable where it stands.
    this.#text ??= stringify(asyncApiOf(this.#config, MARK), { aliasDuplicateObjects: false, lineWidth: 120 })
    return this.#text
      .replace(MARK.host, `"${HOST.test(host) ? host : 'localhost'}"`)
      .replace('protocol: wss', `protocol: ${isSecure ? 'wss' : 'ws'}`)
  }
}

export function asyncApiOf({ channels, tokenTtl }: DescribedConfig, { host, isSecure }: ServerPlace): Schema {
  const messages = messagesOf(channels)
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Polyloop hub',
      version: API_VERSION,
      description:
        'Publish and subscribe over a WebSocket: JSON objects as text frames, one each. An event has no `type`, every other frame has one. ' +
        'Binary frames are opt-in. Clients ignore types and members they do not know.',
    },
    defaultContentType: 'application/json',
    servers: {
      hub: {
        host,
        pathname: HUB_PATH,
        protocol: isSecure ? 'wss' : 'ws',
        security: [{ $ref: '#/components/securitySchemes/jwt' }],
      },
    },
    channels: {
      [CHANNEL]: {
        address: HUB_PATH,
        description: `The WebSocket. Channels that can be subscribed to: ${channels.join(', ')}. A reconnection token lives ${tokenTtl / 1_000} s.`,
        messages: Object.fromEntries(
          Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]),
        ),
        bindings: { ws: { method: 'GET', query: QUERY, bindingVersion: '0.1.0' } },
      },
    },
    operations: operations(channels),
    components: {
      messages: Object.fromEntries(
        Object.entries(messages).map(([name, { summary, schema }]) => [
          name,
          { name, title: name, summary, payload: schema },
        ]),
      ),
      securitySchemes: {
        jwt: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'HS256, in the header or as `token` in the query. Without one a client is anonymous.',
        },
      },
    },
  }
}

const QUERY: Schema = {
  type: 'object',
  properties: {
    token: { type: 'string', description: 'A JWT; better in the header.' },
    reconnection_token: { type: 'string', description: 'Resumes a session.' },
    binary: { enum: ['0', '1'] },
    compression: { enum: ['gzip', 'none'] },
    offsets: { enum: ['0', '1'] },
  },
}

/** By name; a frame of the hub and a request may be of one type. */
export function messagesOf(channels: readonly string[]): Readonly<Record<string, Message>> {
  const named = (messages: object, nameOf: (type: string) => string): [string, Message][] =>
    Object.entries(messages).map(([type, message]) => [nameOf(type), message as Message])
  return Object.fromEntries([
    ...named(REQUEST_MESSAGES, requestName),
    ...named(FRAME_MESSAGES, frameName),
    ['event', EVENT_MESSAGE],
    ['binaryEvent', BINARY_EVENT],
    ...Object.entries(CHANNEL_EVENTS).filter(([, { channel }]) => channels.includes(channel)),
  ])
}

export function requestName(type: string): string {
  return `${camelOf(type)}Request`
}

export function frameName(type: string): string {
  return camelOf(type)
}

function operations(channels: readonly string[]): Schema {
  const asked = Object.entries(REQUEST_MESSAGES).map(([type, { summary, replies }]) => [
    camelOf(type),
    {
      action: 'receive',
      channel: { $ref: `#/channels/${CHANNEL}` },
      summary,
      messages: [refOf(requestName(type))],
      reply: { channel: { $ref: `#/channels/${CHANNEL}` }, messages: replies.map((reply) => refOf(frameName(reply))) },
    },
  ])
  const told = ['connected', 'session_restored', 'ping', 'disconnected'].map(frameName)
  const published = Object.entries(CHANNEL_EVENTS)
    .filter(([, { channel }]) => channels.includes(channel))
    .map(([name, { channel, summary }]) => [`publish${upperOf(name)}`, sent(`${channel}: ${summary}`, [name])])
  return Object.fromEntries([
    ...asked,
    ['tell', sent('What the hub tells a client of its connection.', told)],
    ['publish', sent(EVENT_MESSAGE.summary, ['event', 'binaryEvent'])],
    ...published,
  ])
}

function sent(summary: string, names: readonly string[]): Schema {
  return { action: 'send', channel: { $ref: `#/channels/${CHANNEL}` }, summary, messages: names.map(refOf) }
}

/** Operations name messages of their channel, not of the components. */
function refOf(name: string): Schema {
  return { $ref: `#/channels/${CHANNEL}/messages/${name}` }
}

function camelOf(type: string): string {
  return type.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function upperOf(name: string): string {
  return name.slice(0, 1).toUpperCase() + name.slice(1)
}
