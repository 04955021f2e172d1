// What the chat service answers, as far as a load generator has to understand it. Pure.

/** The protocol fixes members, order and spaces: an acknowledgement is recognised by its bytes, without JSON.parse. */
const ACK_HEAD = Buffer.from('{"message_id":')
const ACK_TAIL = Buffer.from(',"success":true,"error":null}')
const DIGITS_MAX = 16
const REASON_CHARACTERS_MAX = 80

/** The message id of a successful acknowledgement; −1 for any other line. */
export function ackedId(bytes: Buffer, start: number, end: number): number {
  const digitsEnd = end - ACK_TAIL.length
  let at = start + ACK_HEAD.length
  if (digitsEnd <= at || digitsEnd - at > DIGITS_MAX) return -1
  if (ACK_HEAD.compare(bytes, start, at) !== 0 || ACK_TAIL.compare(bytes, digitsEnd, end) !== 0) return -1
  let id = 0
  for (; at < digitsEnd; at++) {
    const digit = (bytes[at] ?? 0) - 48
    if (digit < 0 || digit > 9) return -1
    id = id * 10 + digit
  }
  return id
}

/** Undefined for an answer that tells of success. */
export function errorOf(bytes: Buffer, start: number, end: number): string | undefined {
  const text = bytes.toString('utf8', start, end)
  try {
    const { success, error } = JSON.parse(text) as { success?: unknown; error?: unknown }
    if (success === true) return undefined
    if (typeof error === 'string') return error.slice(0, REASON_CHARACTERS_MAX)
  } catch {
    // Not JSON: the line itself is what there is to say.
  }
  return `not an answer: ${text.slice(0, REASON_CHARACTERS_MAX)}`
}

/** A pushed message: its chat, its id, its text. */
export interface PushedMessage {
  readonly chatId: number
  readonly id: number
  readonly content: string
}

interface Push {
  readonly packet_type?: unknown
  readonly chat_id?: unknown
  readonly message?: { readonly id?: unknown; readonly content?: unknown } | null
}

/** `other`: a push that tells of no message. `garbled`: no push at all. */
export function pushOf(line: string): PushedMessage | 'other' | 'garbled' {
  let push: Push | null
  try {
    push = JSON.parse(line) as Push | null
  } catch {
    return 'garbled'
  }
  const { packet_type, chat_id, message } = push ?? {}
  if (packet_type === 'Typing' || packet_type === 'Status') return 'other'
  if (packet_type !== 'Message' || typeof chat_id !== 'number') return 'garbled'
  const { id, content } = message ?? {}
  return typeof id === 'number' && typeof content === 'string' ? { chatId: chat_id, id, content } : 'garbled'
}
