// What subscribers of a chat are told: the topic of each chat, and the lines that it carries, as clients get them.
import type { ActorContext } from '../../actor/context.ts'
import { defineTopic } from '../../actor/topic-definition.ts'
import { logLimitsOf, logOfTopic, packLogEntry } from '../../actor/topic-log.ts'
import { FORM } from '../../actor/topic-record.ts'
import type { LimitedLogger } from '../../observe/logger.ts'
import type { Announcement, StoredMessage } from '../../store/store.ts'
import { messageJson } from './message.ts'

/** The topic that a chat's subscribers follow; what it carries are whole lines of JSON. */
export const FEED_KIND = 'chat-feed'

export function feedOf(chatId: number): string {
  return `${FEED_KIND}.${chatId}`
}

/**
 * What subscribers of a chat get, as whole lines. Nothing is kept: whoever comes back reads the history. Hosts share it
 * that share the store, because it tells what is stored.
 */
export const FEED = defineTopic<string>({ kind: FEED_KIND, slow: 'disconnect', scope: 'store' })

const LIMITS = logLimitsOf(FEED)
/** Stands for the id that the store gives. */
const NO_ID = 0

/**
 * For a store that hosts share: the line that tells of a message, as it tells of it itself when it has an id. Otherwise two
 * hosts could tell of two messages in another order than they were stored in.
 */
export function announcementOf(message: Omit<StoredMessage, 'id' | 'sequence'>, wallMs: number): Announcement {
  const line = messageLine({ ...message, id: NO_ID, sequence: 0 })
  const mark = lineHead(message.chatId)
  return {
    ...LIMITS,
    log: logOfTopic(feedOf(message.chatId)),
    before: packLogEntry(FORM.text, 0, wallMs, Buffer.from(mark)),
    after: line.slice(mark.length + String(NO_ID).length),
    createdAt: message.createdAt,
  }
}

/** Of a message, up to its id. */
function lineHead(chatId: number): string {
  return `{"packet_type":"Message","chat_id":${chatId},"message":{"id":`
}

export function messageLine(message: StoredMessage): string {
  return `{"packet_type":"Message","chat_id":${message.chatId},"message":${messageJson(message, 'tcp')}}\n`
}

/** `expiresIn`: whole seconds. */
export function typingLine(chatId: number, userId: number, expiresIn: number): string {
  return `{"packet_type":"Typing","chat_id":${chatId},"user_id":${userId},"expires_in":${expiresIn}}\n`
}

/** `expiresIn`: whole seconds. */
export function statusLine(userId: number, status: string, expiresIn: number): string {
  return `{"packet_type":"Status","user_id":${userId},"status_data":${JSON.stringify(status)},"expires_in":${expiresIn}}\n`
}

/** Whole seconds until then, rounded up; 0 if it is over. */
export function secondsUntil(deadlineMs: number, nowMs: number): number {
  return Math.max(0, Math.ceil((deadlineMs - nowMs) / 1_000))
}

const LOGGED_PER_SECOND = 5

/** Tells feeds; what cannot be told is logged, and the subscribers miss it. */
export class Feeds {
  #untold: LimitedLogger | undefined

  publish(context: ActorContext, topic: string, line: string): void {
    // The way to the topic is full.
    if (!context.publish(topic, line)) this.untold(context, { topic })
  }

  untold(context: ActorContext, why: Readonly<Record<string, unknown>>): void {
    this.#untold ??= context.log.limited('chat.push_failed', LOGGED_PER_SECOND)
    this.#untold.warn(why)
  }
}
