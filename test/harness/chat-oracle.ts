// What the chat protocol says must come back for bytes that a client sends: the framing and the error table read once
// more, slowly and without regard to speed, from the protocol's page alone.
import {
  CHAT_UNKNOWN,
  CONTENT_EMPTY,
  CONTENT_TOO_LONG,
  DONE,
  FOREIGN_KEY,
  failure,
  PONG,
  subscribed,
} from './chat-packet.ts'

export const PACKET_BYTES_MAX = 65_536
export const DATAGRAM_BYTES_MAX = 1_500
const CONTENT_BYTES_MAX = 4_000
const STATUS_BYTES_MAX = 64
const NAME_CHARACTERS_MAX = 64
const PER_PAGE = 50
const PER_PAGE_MAX = 200
const MESSAGE_TYPES: readonly unknown[] = ['Text', 'Image', 'File', 'System']

const TOO_LARGE = failure('packet larger than 65536 bytes')
const INCOMPLETE = failure('incomplete packet')
const INVALID_JSON = failure('invalid JSON')
const NO_OBJECT = failure('expected a JSON object')
const ACK = /^\{"message_id":[1-9]\d*,"success":true,"error":null\}$/

/** One line, any of these: where a packet has two faults the page does not say which is told. */
export type Answer = readonly (string | RegExp)[]

export interface Conversation {
  /** One per line, in order; then the end. */
  readonly answers: readonly Answer[]
  /** Of the last answer it is not said whether it comes. */
  readonly isLastOptional: boolean
}

/** Ids that exist. */
export interface Known {
  readonly chats: ReadonlySet<number>
  readonly users: ReadonlySet<number>
}

type Members = Readonly<Record<string, unknown>>

/** For all of `bytes` followed by a half-close. */
export function conversationOf(bytes: Buffer, known: Known): Conversation {
  const answers: Answer[] = []
  const done = (isLastOptional = false): Conversation => ({ answers, isLastOptional })
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at]
    if (byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a) {
      at++
      continue
    }
    if (byte === 0x7b) {
      const end = endOfObject(bytes, at)
      if ((end ?? bytes.length) - at > PACKET_BYTES_MAX) {
        answers.push([TOO_LARGE])
        return done()
      }
      if (end === undefined) {
        answers.push([INCOMPLETE])
        return done()
      }
      const answer = answerTo(bytes.subarray(at, end), known)
      if (answer !== undefined) answers.push(answer)
      at = end
      continue
    }
    answers.push([NO_OBJECT])
    const newline = bytes.indexOf(0x0a, at)
    if ((newline === -1 ? bytes.length : newline) - at > PACKET_BYTES_MAX) {
      answers.push([TOO_LARGE])
      return done()
    }
    if (newline === -1) {
      answers.push([INCOMPLETE])
      return done(true)
    }
    at = newline + 1
  }
  return done()
}

/** Behind its last brace; undefined: it has none. */
function endOfObject(bytes: Buffer, start: number): number | undefined {
  let depth = 0
  let isString = false
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]
    if (isString) {
      if (byte === 0x5c) at++
      else if (byte === 0x22) isString = false
    } else if (byte === 0x22) isString = true
    else if (byte === 0x7b) depth++
    else if (byte === 0x7d && --depth === 0) return at + 1
  }
  return undefined
}

/** The value of strict UTF-8 and strict JSON; undefined for anything else. */
export function parseStrictly(bytes: Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as unknown }
  } catch {
    return undefined
  }
}

/** Undefined: no answer. */
function answerTo(bytes: Buffer, known: Known): Answer | undefined {
  const parsed = parseStrictly(bytes)
  if (parsed === undefined) return [INVALID_JSON]
  const packet = parsed.value as Members
  const { packet_type: type } = packet
  if (typeof type !== 'string') return [invalid('packet_type')]
  switch (type) {
    case 'Ping':
      return [PONG]
    case 'Ack':
      return undefined
    case 'SendMessage':
      return isObject(packet.message) ? answerToMessage(packet.message, known) : [invalid('message')]
    case 'GetMessages':
      return answerToPage(packet)
    case 'Status': {
      const faults = [...intFault(packet, 'user_id'), ...statusFault(packet.status_data)]
      const good = known.users.has(packet.user_id as number) ? DONE : failure(FOREIGN_KEY)
      return answer(faults, ...(isHalf(packet.status_data) ? [good, invalid('status_data')] : [good]))
    }
    case 'Typing': {
      const unknown = known.chats.has(packet.chat_id as number) ? [] : [failure(CHAT_UNKNOWN)]
      if (!known.users.has(packet.user_id as number)) unknown.push(failure(FOREIGN_KEY))
      return answer(
        [...intFault(packet, 'chat_id'), ...intFault(packet, 'user_id')],
        ...(unknown.length === 0 ? [DONE] : unknown),
      )
    }
    case 'Subscribe':
    case 'Unsubscribe': {
      const chatId = packet.chat_id as number
      const isRefused = type === 'Subscribe' && !known.chats.has(chatId)
      return answer(intFault(packet, 'chat_id'), isRefused ? failure(CHAT_UNKNOWN) : subscribed(chatId, type))
    }
    default:
      return [failure(`unknown packet_type: ${[...type].slice(0, NAME_CHARACTERS_MAX).join('')}`)]
  }
}

function answerToMessage(message: Members, known: Known): Answer {
  const { content, message_type: type, is_edited: isEdited } = message
  const faults = [...intFault(message, 'chat_id'), ...intFault(message, 'sender_id')]
  if (typeof content !== 'string') faults.push(invalid('content'))
  else if (content === '') faults.push(failure(CONTENT_EMPTY))
  else if (Buffer.byteLength(content) > CONTENT_BYTES_MAX) faults.push(failure(CONTENT_TOO_LONG))
  if (isPresent(type) && !MESSAGE_TYPES.includes(type)) faults.push(invalid('message_type'))
  if (isPresent(isEdited) && typeof isEdited !== 'boolean') faults.push(invalid('is_edited'))
  const exists = known.chats.has(message.chat_id as number) && known.users.has(message.sender_id as number)
  const good = exists ? ACK : failure(FOREIGN_KEY)
  return answer(faults, ...(isHalf(content) ? [good, invalid('content')] : [good]))
}

function answerToPage(packet: Members): Answer {
  const { chat_id: chatId, page, per_page: perPage } = packet
  const faults = intFault(packet, 'chat_id')
  if (isPresent(page) && !isCount(page)) faults.push(invalid('page'))
  if (isPresent(perPage) && !isCount(perPage)) faults.push(invalid('per_page'))
  if (faults.length > 0) return faults
  const served = Math.min(isCount(perPage) ? perPage : PER_PAGE, PER_PAGE_MAX)
  const head = `\\{"packet_type":"GetMessages","chat_id":${chatId},"page":${isCount(page) ? page : 1},"per_page":${served},`
  return [new RegExp(`^${head}"messages":\\[.*\\],"total":\\d+,"total_pages":\\d+,"success":true,"error":null\\}$`)]
}

/** What becomes of a datagram; undefined: the page does not say. */
export function fateOf(datagram: Buffer): 'pong' | 'taken' | 'oversize' | 'dropped' | undefined {
  if (datagram.length > DATAGRAM_BYTES_MAX) return 'oversize'
  const packet = parseStrictly(datagram)?.value
  if (!isObject(packet)) return 'dropped'
  if (packet.packet_type === 'Ping') return 'pong'
  const ids = packet.packet_type === 'Status' ? ['user_id'] : ['chat_id', 'user_id']
  if (packet.packet_type !== 'Status' && packet.packet_type !== 'Typing') return 'dropped'
  const faults = ids.flatMap((name) => intFault(packet, name))
  if (packet.packet_type === 'Status') faults.push(...statusFault(packet.status_data))
  if (faults.length > 0) return 'dropped'
  return isHalf(packet.status_data) ? undefined : 'taken'
}

/** Half a surrogate pair is JSON and no UTF-8: the page does not say what it counts as. */
export function isHalf(value: unknown): boolean {
  return typeof value === 'string' && !value.isWellFormed()
}

/** The faults if there are any, else what is left to say. */
function answer(faults: Answer, ...good: Answer): Answer {
  return faults.length > 0 ? faults : good
}

function invalid(member: string): RegExp {
  return new RegExp(`^\\{"message_id":0,"success":false,"error":"invalid packet: (message\\.)?${member} [^"]+"\\}$`)
}

function intFault(members: Members, name: string): (string | RegExp)[] {
  return Number.isSafeInteger(members[name]) ? [] : [invalid(name)]
}

function statusFault(value: unknown): (string | RegExp)[] {
  const isGood = typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= STATUS_BYTES_MAX
  return isGood ? [] : [invalid('status_data')]
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
