// What clients of chat say over TCP and UDP: one JSON object each, checked member by member. Pure and never throwing.
import { isUtf8 } from 'node:buffer'
import type { MessageType } from '../../store/store.ts'
import type { ErrorReason, PacketType } from './counter.ts'
import { CONTENT_BYTES_MAX, fits, HTTP_TYPES } from './message.ts'
import { TEXT } from './text.ts'

export const PER_PAGE_DEFAULT = 50
export const PER_PAGE_MAX = 200
const STATUS_BYTES_MAX = 64
/** Of a packet type that does not exist, in the answer. */
const TYPE_SHOWN_MAX = 64

const MESSAGE_TYPES: readonly unknown[] = Object.keys(HTTP_TYPES)

/** A packet that is not valid, and what is said about it. */
export interface PacketProblem {
  readonly type: 'problem'
  /** What it said it was, if there is such a type. */
  readonly packetType: PacketType | 'other'
  readonly reason: ErrorReason
  readonly text: string
}

/** `token`: looked at over UDP only; undefined when it is no string. */
export type Packet =
  | {
      readonly type: 'SendMessage'
      readonly chatId: number
      readonly senderId: number
      readonly content: string
      readonly messageType: MessageType
    }
  | { readonly type: 'GetMessages'; readonly chatId: number; readonly page: number; readonly perPage: number }
  | { readonly type: 'Ack' }
  | { readonly type: 'Ping' }
  | {
      readonly type: 'Status'
      readonly userId: number
      readonly status: string
      readonly token: string | undefined
    }
  | {
      readonly type: 'Typing'
      readonly chatId: number
      readonly userId: number
      readonly token: string | undefined
    }
  | { readonly type: 'Subscribe'; readonly chatId: number }
  | { readonly type: 'Unsubscribe'; readonly chatId: number }
  | { readonly type: 'Auth'; readonly token: string }
  | PacketProblem

type Members = Readonly<Record<string, unknown>>

const ACK: Packet = { type: 'Ack' }
const PING: Packet = { type: 'Ping' }
const INVALID_JSON: PacketProblem = {
  type: 'problem',
  packetType: 'other',
  reason: 'invalid_json',
  text: TEXT.invalidJson,
}
/** What stands between packets and is none. */
export const NOT_AN_OBJECT: PacketProblem = {
  type: 'problem',
  packetType: 'other',
  reason: 'not_an_object',
  text: TEXT.notAnObject,
}

/** The packet in `bytes[start, end)`. */
export function parsePacket(bytes: Buffer, start: number, end: number): Packet {
  const members = membersOf(bytes, start, end)
  if (members === undefined) return INVALID_JSON
  const type = members.packet_type
  switch (type) {
    case 'SendMessage':
      return sendMessage(members)
    case 'GetMessages':
      return getMessages(members)
    case 'Ack':
      return ACK
    case 'Ping':
      return PING
    case 'Status':
      return status(members)
    case 'Typing':
      return typing(members)
    case 'Subscribe':
    case 'Unsubscribe': {
      const problem = integerProblem(members.chat_id, 'chat_id')
      return problem === undefined ? { type, chatId: Number(members.chat_id) } : invalid(type, problem)
    }
    case 'Auth':
      return { type, token: textOr(members.token) ?? '' }
    default: {
      if (typeof type === 'string') return unknownType(type)
      return invalid('other', `packet_type ${isAbsent(type) ? 'is missing' : 'must be a string'}`)
    }
  }
}

/** What is said to a packet of a type that does not exist. */
export function unknownType(type: string): PacketProblem {
  // Characters, not UTF-16 units: half a character has no UTF-8.
  const shown = [...type.slice(0, 2 * TYPE_SHOWN_MAX)].slice(0, TYPE_SHOWN_MAX).join('')
  return { type: 'problem', packetType: 'other', reason: 'unknown_type', text: `unknown packet_type: ${shown}` }
}

/** The members of the JSON object in `bytes[start, end)`; undefined: it is not JSON, not UTF-8, or no object. */
export function membersOf(bytes: Buffer, start: number, end: number): Members | undefined {
  const text = bytes.toString('utf8', start, end)
  // Decoding leaves U+FFFD where bytes are ill-formed; whether it was there before is asked only then.
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : undefined
  } catch {
    // The only way to ask JSON.parse is to let it throw. Not JSON is an answer here.
    return undefined
  }
}

export function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

function sendMessage(members: Members): Packet {
  const type = 'SendMessage'
  const { message } = members
  if (isAbsent(message)) return invalid(type, 'message is missing')
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    return invalid(type, 'message must be an object')
  const { chat_id, sender_id, content, message_type, is_edited } = message as Members
  const problem = integerProblem(chat_id, 'message.chat_id') ?? integerProblem(sender_id, 'message.sender_id')
  if (problem !== undefined) return invalid(type, problem)
  if (isAbsent(content)) return invalid(type, 'message.content is missing')
  if (typeof content !== 'string') return invalid(type, 'message.content must be a string')
  const messageType = isAbsent(message_type) ? 'Text' : message_type
  if (!MESSAGE_TYPES.includes(messageType))
    return invalid(type, `message.message_type must be one of ${MESSAGE_TYPES.join(', ')}`)
  if (!isAbsent(is_edited) && typeof is_edited !== 'boolean')
    return invalid(type, 'message.is_edited must be a boolean')
  if (content === '') return { type: 'problem', packetType: type, reason: 'content', text: TEXT.contentEmpty }
  if (!fits(content, CONTENT_BYTES_MAX))
    return { type: 'problem', packetType: type, reason: 'content', text: TEXT.contentTooLong }
  // An escape can say what no UTF-8 can: half of a surrogate pair.
  if (!content.isWellFormed()) return invalid(type, 'message.content must be well-formed Unicode')
  return {
    type,
    chatId: Number(chat_id),
    senderId: Number(sender_id),
    content,
    messageType: messageType as MessageType,
  }
}

function getMessages({ chat_id, page, per_page }: Members): Packet {
  const type = 'GetMessages'
  const problem = integerProblem(chat_id, 'chat_id') ?? countProblem(page, 'page') ?? countProblem(per_page, 'per_page')
  if (problem !== undefined) return invalid(type, problem)
  const perPage = Math.min(Number(per_page ?? PER_PAGE_DEFAULT), PER_PAGE_MAX)
  return { type, chatId: Number(chat_id), page: Number(page ?? 1), perPage }
}

function status({ user_id, status_data, token }: Members): Packet {
  const type = 'Status'
  const problem = integerProblem(user_id, 'user_id')
  if (problem !== undefined) return invalid(type, problem)
  if (isAbsent(status_data)) return invalid(type, 'status_data is missing')
  if (typeof status_data !== 'string' || status_data === '' || !fits(status_data, STATUS_BYTES_MAX))
    return invalid(type, `status_data must be a string of 1 to ${STATUS_BYTES_MAX} bytes`)
  if (!status_data.isWellFormed()) return invalid(type, 'status_data must be well-formed Unicode')
  return { type, userId: Number(user_id), status: status_data, token: textOr(token) }
}

function typing({ chat_id, user_id, token }: Members): Packet {
  const type = 'Typing'
  const problem = integerProblem(chat_id, 'chat_id') ?? integerProblem(user_id, 'user_id')
  if (problem !== undefined) return invalid(type, problem)
  return { type, chatId: Number(chat_id), userId: Number(user_id), token: textOr(token) }
}

function invalid(packetType: PacketType | 'other', problem: string): PacketProblem {
  return { type: 'problem', packetType, reason: 'invalid_packet', text: `invalid packet: ${problem}` }
}

function integerProblem(value: unknown, member: string): string | undefined {
  if (isInteger(value)) return undefined
  return isAbsent(value) ? `${member} is missing` : `${member} must be an integer`
}

/** An optional member that counts from 1. */
function countProblem(value: unknown, member: string): string | undefined {
  if (isAbsent(value) || (isInteger(value) && value >= 1)) return undefined
  return `${member} must be an integer of at least 1`
}

/** Absent and `null` mean the same. */
function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

function textOr(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
