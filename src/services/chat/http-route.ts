// Every route of chat's HTTP API, in one table: what is served, what is validated, and what the OpenAPI document says.
import type { FastifyReply } from 'fastify'
import type { ApiRequest } from './http-access.ts'
import { HTTP_TEXT } from './http-answer.ts'
import type { BodySchema } from './http-body.ts'
import {
  CHAT_BODY,
  CHAT_CREATED,
  CHAT_EXAMPLE,
  CHAT_ID_PARAMS,
  CREATED,
  CREATED_EXAMPLE,
  envelopeOf,
  failureOf,
  type JsonSchema,
  listOf,
  MESSAGE_BODY,
  MESSAGE_PAGE,
  PAGE_QUERY,
  PRESENT_EXAMPLE,
  TYPIST_EXAMPLE,
  USER_BODY,
} from './http-schema.ts'
import { storeText, TEXT } from './text.ts'

/** The name of a route: what its handler is called. */
export type Operation =
  | 'listChats'
  | 'readChat'
  | 'createChat'
  | 'listMessages'
  | 'sendMessage'
  | 'listTypists'
  | 'listPresence'
  | 'createUser'
  | 'health'
  | 'ready'

export type Handler = (request: ApiRequest, reply: FastifyReply) => Promise<FastifyReply>
export type Handlers = { readonly [Name in Operation]?: Handler }

export interface RouteRow {
  readonly operation: Operation
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly summary: string
  /** Open to everybody, as often as they like; else `chat.auth` and `chat.rateLimit` hold. */
  readonly isOpen?: boolean
  /** What a 500 says; default: what the store said. */
  readonly failure?: string
  readonly params?: JsonSchema
  readonly querystring?: JsonSchema
  readonly body?: BodySchema
  /** By status. */
  readonly response: Readonly<Record<number, JsonSchema>>
}

const UNAUTHORIZED = { 401: failureOf('With `chat.auth: jwt`: no token, or a bad one.', TEXT.tokenInvalid) }
const LIMITED = {
  429: {
    ...failureOf('Above `chat.rateLimit`.', TEXT.rateLimited),
    headers: { 'Retry-After': { type: 'integer', description: 'whole seconds' } },
  },
}
const STORE_FAILED = { 500: failureOf('The store failed.', storeText('database or disk is full')) }
const READ = { ...UNAUTHORIZED, ...LIMITED, ...STORE_FAILED }
const CHAT_UNKNOWN = { 404: failureOf('There is no such chat.', TEXT.chatUnknown) }

const MALFORMED = {
  413: failureOf('The body is over 2 MiB.', HTTP_TEXT.bodyTooLarge),
  415: failureOf('The body is not `application/json`.', HTTP_TEXT.bodyNotJson),
}
const WRITE = { ...UNAUTHORIZED, ...MALFORMED, ...LIMITED }

export const ROUTES: readonly RouteRow[] = [
  {
    operation: 'listChats',
    method: 'GET',
    url: '/api/chats',
    summary: "The acting user's chats, latest first",
    response: { 200: envelopeOf(null, listOf('Chat'), 'At most 1,000 chats.', [CHAT_EXAMPLE]), ...READ },
  },
  {
    operation: 'readChat',
    method: 'GET',
    url: '/api/chats/:id',
    summary: 'One chat',
    params: CHAT_ID_PARAMS,
    response: { 200: envelopeOf(null, { $ref: 'Chat#' }, 'The chat.', CHAT_EXAMPLE), ...CHAT_UNKNOWN, ...READ },
  },
  {
    operation: 'createChat',
    method: 'POST',
    url: '/api/chats',
    summary: 'Creates a chat; the acting user takes part as its admin',
    failure: HTTP_TEXT.chatFailed,
    body: CHAT_BODY,
    response: {
      201: envelopeOf(HTTP_TEXT.chatCreated, CHAT_CREATED, 'Created, and on disk.', CREATED_EXAMPLE),
      400: failureOf('The body is wrong.', TEXT.invalidJson, 'invalid body: name is missing'),
      ...WRITE,
      500: failureOf('The store failed, or there is no such acting user.', HTTP_TEXT.chatFailed),
    },
  },
  {
    operation: 'listMessages',
    method: 'GET',
    url: '/api/chats/:id/messages',
    summary: 'Messages of a chat, oldest first',
    params: CHAT_ID_PARAMS,
    querystring: PAGE_QUERY,
    response: {
      200: MESSAGE_PAGE,
      400: failureOf('The query is wrong.', 'invalid query: page must be an integer of at least 1'),
      404: failureOf('The id is no positive integer.', TEXT.chatUnknown),
      ...READ,
    },
  },
  {
    operation: 'sendMessage',
    method: 'POST',
    url: '/api/chats/:id/messages',
    summary: 'Sends a message as the acting user',
    failure: HTTP_TEXT.messageFailed,
    params: CHAT_ID_PARAMS,
    body: MESSAGE_BODY,
    response: {
      201: envelopeOf(HTTP_TEXT.messageSent, CREATED, 'Sent, and on disk.', CREATED_EXAMPLE),
      400: failureOf('The body is wrong.', TEXT.invalidJson, TEXT.contentEmpty, TEXT.contentTooLong),
      ...CHAT_UNKNOWN,
      ...WRITE,
      500: failureOf('The store failed, or there is no such acting user.', HTTP_TEXT.messageFailed),
    },
  },
  {
    operation: 'listTypists',
    method: 'GET',
    url: '/api/chats/:id/typing',
    summary: 'Who is typing in a chat',
    params: CHAT_ID_PARAMS,
    response: { 200: envelopeOf(null, listOf('Typist'), 'The users.', [TYPIST_EXAMPLE]), ...CHAT_UNKNOWN, ...READ },
  },
  {
    operation: 'listPresence',
    method: 'GET',
    url: '/api/presence',
    summary: 'Who is online, by user id',
    response: { 200: envelopeOf(null, listOf('Present'), 'The users.', [PRESENT_EXAMPLE]), ...READ },
  },
  {
    operation: 'createUser',
    method: 'POST',
    url: '/api/users',
    summary: 'Creates a user',
    body: USER_BODY,
    response: {
      201: envelopeOf(null, CREATED, 'Created, and on disk.', CREATED_EXAMPLE),
      400: failureOf('The body is wrong.', TEXT.invalidJson, 'invalid body: username is missing'),
      409: failureOf('The name is taken.', HTTP_TEXT.nameTaken),
      ...WRITE,
      ...STORE_FAILED,
    },
  },
  {
    operation: 'health',
    method: 'GET',
    url: '/health',
    summary: 'How the process is, as on the admin endpoint',
    isOpen: true,
    response: {
      200: {
        description: '`healthy`, or `degraded`: a shard is down.',
        type: 'object',
        properties: {
          status: { type: 'string', enum: ['healthy', 'degraded'] },
          uptime_seconds: { type: 'integer' },
          version: { type: 'string' },
          services: { type: 'object', additionalProperties: true },
          shards: { type: 'array', items: { type: 'object', additionalProperties: true } },
          listeners: { type: 'array', items: { type: 'object', additionalProperties: true } },
        },
      },
      503: {
        description: '`unhealthy`: no shard is ready.',
        type: 'object',
        properties: { status: { const: 'unhealthy' } },
        additionalProperties: true,
      },
    },
  },
  {
    operation: 'ready',
    method: 'GET',
    url: '/ready',
    summary: 'Whether the process serves, as on the admin endpoint',
    isOpen: true,
    response: {
      200: { description: 'It does.', type: 'object', properties: { status: { const: 'ready' } } },
      503: {
        description: 'Not yet, or not for long.',
        type: 'object',
        properties: { status: { type: 'string', enum: ['starting', 'draining'] } },
      },
    },
  },
]
