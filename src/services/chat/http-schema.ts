// What goes in and out of chat's HTTP API, as JSON Schema: bodies are held against it, and the OpenAPI document shows it.
import type { BodySchema, TextSchema } from './http-body.ts'
import { CONTENT_BYTES_MAX, HTTP_TYPES } from './message.ts'
import { PER_PAGE_DEFAULT, PER_PAGE_MAX } from './packet.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

/** Of a chat's name, UTF-8. */
export const CHAT_NAME_BYTES_MAX = 255
/** Of a user's name, UTF-8. */
export const USER_NAME_BYTES_MAX = 64
/** Of a new chat. Guessed: one transaction should not hold up the others for longer than some 20 ms. */
export const PARTICIPANTS_MAX = 10_000

const id = { type: 'integer', minimum: 1 } as const
const date = { type: 'string', description: '`YYYY-MM-DD HH:MM:SS`, UTC' } as const

const MESSAGE_EXAMPLE = {
  id: 1,
  chat_id: 1,
  sender_id: 1,
  content: 'Hello!',
  message_type: 'text',
  created_at: '2026-01-02 03:04:05',
  is_edited: false,
  edited_at: null,
}

export const CHAT_EXAMPLE = {
  id: 1,
  name: 'General',
  chat_type: 'group',
  creator_id: 1,
  created_at: '2026-01-02 03:00:00',
  updated_at: '2026-01-02 03:04:05',
  participants_count: 1,
  last_message: MESSAGE_EXAMPLE,
}
export const TYPIST_EXAMPLE = { user_id: 2, expires_in: 5 }
export const PRESENT_EXAMPLE = { user_id: 1, status_data: 'online', updated_at: '2026-01-02 03:04:05', expires_in: 60 }
export const CREATED_EXAMPLE = { id: 1 }

/** Schemas with a name of their own in the document. */
export const SHARED_SCHEMAS = [
  {
    $id: 'Message',
    type: 'object',
    properties: {
      id,
      chat_id: id,
      sender_id: id,
      content: { type: 'string', description: `1 to ${CONTENT_BYTES_MAX} bytes of UTF-8` },
      message_type: { type: 'string', enum: Object.values(HTTP_TYPES) },
      created_at: date,
      is_edited: { type: 'boolean' },
      edited_at: { ...date, type: ['string', 'null'] },
    },
    examples: [MESSAGE_EXAMPLE],
  },
  {
    $id: 'Chat',
    type: 'object',
    properties: {
      id,
      name: { type: 'string' },
      chat_type: { type: 'string', enum: ['direct', 'group', 'channel'] },
      creator_id: id,
      created_at: date,
      updated_at: { ...date, description: 'of its last message, or its creation' },
      participants_count: { type: 'integer' },
      last_message: { anyOf: [{ $ref: 'Message#' }, { type: 'null' }] },
    },
    examples: [CHAT_EXAMPLE],
  },
  {
    $id: 'Typist',
    type: 'object',
    properties: { user_id: id, expires_in: { type: 'integer', description: 'seconds' } },
    examples: [TYPIST_EXAMPLE],
  },
  {
    $id: 'Present',
    type: 'object',
    properties: {
      user_id: id,
      status_data: { type: 'string', description: 'usually `online`, `away`' },
      updated_at: date,
      expires_in: { type: 'integer', description: 'seconds' },
    },
    examples: [PRESENT_EXAMPLE],
  },
  {
    $id: 'Failure',
    type: 'object',
    properties: { success: { const: false }, message: { type: 'string' }, data: { type: 'null' } },
  },
] as const

export const MESSAGE_BODY: BodySchema = {
  type: 'object',
  required: ['content'],
  properties: {
    content: textOf(CONTENT_BYTES_MAX),
    message_type: {
      type: ['string', 'null'],
      description: '`text` (default, and what an unknown one means), `image`, `file` or `system`',
    },
  },
  examples: [{ content: 'Hello!', message_type: 'text' }],
}

export const CHAT_BODY: BodySchema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: textOf(CHAT_NAME_BYTES_MAX),
    chat_type: {
      type: ['string', 'null'],
      description: '`group` (default, and what an unknown one means), `direct` or `channel`',
    },
    participants: {
      type: ['array', 'null'],
      items: { type: 'integer' },
      maxItems: PARTICIPANTS_MAX,
      description: 'Users who take part beside the creator; those that do not exist are skipped.',
    },
  },
  examples: [{ name: 'Team', chat_type: 'group', participants: [2, 3] }],
}

export const USER_BODY: BodySchema = {
  type: 'object',
  required: ['username'],
  properties: { username: textOf(USER_NAME_BYTES_MAX) },
  examples: [{ username: 'ada' }],
}

export const CHAT_ID_PARAMS = {
  type: 'object',
  required: ['id'],
  properties: { id: { ...id, description: 'the chat; anything but a positive integer is a 404' } },
} as const

export const PAGE_QUERY = {
  type: 'object',
  properties: {
    page: { ...id, default: 1, description: '1 has the oldest messages' },
    per_page: {
      ...id,
      default: PER_PAGE_DEFAULT,
      description: `more than ${PER_PAGE_MAX} is served and reported as ${PER_PAGE_MAX}`,
    },
  },
} as const

function textOf(bytesMax: number): TextSchema {
  return {
    type: 'string',
    minLength: 1,
    maxLength: bytesMax,
    'x-bytes-max': bytesMax,
    description: `1 to ${bytesMax} bytes of UTF-8`,
  }
}

/** The envelope of a success. `example`: of its data. */
export function envelopeOf(
  message: string | null,
  data: JsonSchema,
  description: string,
  example: unknown,
): JsonSchema {
  return {
    description,
    type: 'object',
    properties: {
      success: { const: true },
      message: message === null ? { type: 'null' } : { const: message },
      data,
    },
    examples: [{ success: true, message, data: example }],
  }
}

export function listOf(name: string): JsonSchema {
  return { type: 'array', items: { $ref: `${name}#` } }
}

export const CREATED: JsonSchema = { type: 'object', properties: { id } }

export const CHAT_CREATED: JsonSchema = {
  type: 'object',
  properties: {
    id,
    skipped: { type: 'array', items: { type: 'integer' }, description: 'only if some participants do not exist' },
  },
}

export const MESSAGE_PAGE: JsonSchema = {
  description: 'A page of messages, oldest first. An unknown chat, or a page past the end, is empty.',
  type: 'object',
  properties: {
    success: { const: true },
    data: listOf('Message'),
    pagination: {
      type: 'object',
      properties: {
        page: id,
        per_page: id,
        total: { type: 'integer' },
        total_pages: { type: 'integer' },
      },
    },
  },
  examples: [
    {
      success: true,
      data: [MESSAGE_EXAMPLE],
      pagination: { page: 1, per_page: 50, total: 1, total_pages: 1 },
    },
  ],
}

/** A refusal, with the texts that `message` may have. */
export function failureOf(description: string, ...texts: string[]): JsonSchema {
  return {
    description,
    allOf: [{ $ref: 'Failure#' }],
    examples: texts.map((message) => ({ success: false, message, data: null })),
  }
}
