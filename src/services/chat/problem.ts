// What an actor of chat could not do, as a value: it crosses threads, and its text is the client's.
import { ERRORS, PolyloopError } from '../../lib/errors.ts'
import { FOREIGN_KEY_FAILED, storeText, TEXT } from './text.ts'

/** `text` is the client's: the wire's error text. `chatUnknown`: there is no such chat. */
export interface ChatProblem {
  readonly ok: false
  readonly chatUnknown: boolean
  readonly text: string
}

/** Handlers that need no more than a chat. */
export const CHAT_UNKNOWN: ChatProblem = { ok: false, chatUnknown: true, text: TEXT.chatUnknown }
/** A message to an unknown chat is told what the store would say. */
export const SEND_CHAT_UNKNOWN: ChatProblem = { ok: false, chatUnknown: true, text: storeText(FOREIGN_KEY_FAILED) }
export const USER_UNKNOWN: ChatProblem = { ok: false, chatUnknown: false, text: storeText(FOREIGN_KEY_FAILED) }
export const OVERLOADED: ChatProblem = { ok: false, chatUnknown: false, text: storeText(ERRORS.MAILBOX_FULL.text) }

/** What the store failed with. Anything else is a bug, and thrown on. */
export function problemOf(error: unknown): ChatProblem {
  if (!(error instanceof PolyloopError)) throw error
  return { ok: false, chatUnknown: false, text: failureText(error) }
}

/** What a client is told of it. */
export function failureText({ code, details: { problem } }: PolyloopError): string {
  return storeText(typeof problem === 'string' ? problem : ERRORS[code].text)
}

/** Nobody knows whether the store did what it was called for. */
export function isDoubtful(error: unknown): boolean {
  return error instanceof PolyloopError && (error.code === 'STORE_TIMEOUT' || error.code === 'STORE_LOST')
}
