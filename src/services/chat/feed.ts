// What subscribers of a chat are told: the topic of each chat, and the lines that it carries, as clients get them.
import type { ActorContext } from '../../actor/context.ts'
import type { LimitedLogger } from '../../observe/logger.ts'
import type { StoredMessage } from '../../store/store.ts'
import { messageJson } from './message.ts'

/** The topic that a chat's subscribers follow; what it carries are whole lines of JSON. */
export const FEED_KIND = 'chat-feed'

export function feedOf(chatId: number): string {
  return `${FEED_KIND}.${chatId}`
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
