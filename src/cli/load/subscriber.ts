// A connection that follows the chat the others write to: each acknowledged message has to arrive once, in the order of
// the ids, with the content that was sent.
import { pushOf } from './chat-answer.ts'
import { greetingsOf } from './chat-link.ts'
import { GreetedLink } from './greeted-link.ts'
import type { LinkAddress } from './link.ts'
import type { MessagePattern } from './message.ts'
import { type ChatPlan, memberOf } from './plan.ts'
import type { ErrorKind, Tally } from './tally.ts'

/** Who has to hear all messages of the run that were acknowledged. */
export interface Follower {
  /** Messages of this run that have arrived. */
  readonly received: number
  /** In a room: others heard them in another order. */
  readonly hasOtherOrder?: boolean
  close(): void
}

/** What all subscribers of a thread share, and tell. */
export interface SubscriberOwner {
  readonly pattern: MessagePattern
  readonly errors: Tally
  subscribed(): void
  pushed(): void
  /** It failed to open (`wasOpen` is false), or its connection ended. */
  unsubscribed(subscriber: Follower, wasOpen: boolean): void
}

export class Subscriber implements Follower {
  received = 0
  readonly #chatId: number
  readonly #owner: SubscriberOwner
  readonly #link: GreetedLink
  #open = false
  #lastId = 0

  constructor(chat: ChatPlan, timeoutMs: number, where: LinkAddress, owner: SubscriberOwner) {
    this.#chatId = memberOf(chat.chats, 0)
    this.#owner = owner
    const subscribe = `${JSON.stringify({ packet_type: 'Subscribe', chat_id: this.#chatId })}\n`
    this.#link = new GreetedLink(where, timeoutMs, [...greetingsOf(chat), subscribe], {
      opened: () => {
        this.#open = true
        owner.subscribed()
      },
      received: (bytes, start, end) => this.#onLine(bytes.toString('utf8', start, end)),
      garbled: () => owner.errors.count('mismatch', 'a pushed line'),
      closed: (kind, detail) => this.#onClose(kind, detail),
    })
  }

  close(): void {
    this.#link.close()
  }

  #onLine(line: string): void {
    const { errors, pattern } = this.#owner
    const push = pushOf(line)
    if (push === 'other') return
    if (push === 'garbled' || push.chatId !== this.#chatId) {
      errors.count('mismatch', 'a pushed line')
      return
    }
    const { id, content } = push
    if (id <= this.#lastId) {
      errors.count(id === this.#lastId ? 'duplicate' : 'reordered', 'a pushed message')
      return
    }
    this.#lastId = id
    const bytes = Buffer.from(content)
    const from = pattern.connectionOf(bytes, 0, bytes.length)
    // Of somebody else who writes to the chat.
    if (from < 0) return
    if (pattern.read(bytes, 0, bytes.length, from) < 0) errors.count('mismatch', 'a pushed message')
    this.received++
    this.#owner.pushed()
  }

  #onClose(kind: ErrorKind, detail: string): void {
    const wasOpen = this.#open
    this.#open = false
    this.#owner.errors.count(kind, detail === '' ? 'subscriber' : `subscriber: ${detail}`)
    this.#owner.unsubscribed(this, wasOpen)
  }
}
