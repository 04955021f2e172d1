// A sender of chat messages: each message of the generator is the content of a SendMessage packet, and its answer the
// acknowledgement. Answers come in the order of the requests; what they have to show is an id that nobody had before.
import { ackedId, errorOf } from './chat-answer.ts'
import { GreetedLink } from './greeted-link.ts'
import type { Link, LinkAddress, LinkListener } from './link.ts'
import type { MessageIds } from './message-ids.ts'
import { type ChatPlan, memberOf } from './plan.ts'

const TAIL = '","message_type":"Text"}}'

export interface ChatLinkOptions {
  readonly chat: ChatPlan
  readonly sizeBytes: number
  readonly timeoutMs: number
  /** Of the connection: decides which sender and which chat it takes. */
  readonly number: number
  readonly ids: MessageIds
}

export class ChatLink implements Link {
  readonly #link: GreetedLink
  readonly #listener: LinkListener
  readonly #ids: MessageIds
  /** One packet; the content is overwritten by each message. */
  readonly #packet: Buffer
  readonly #contentAt: number
  #answers = 0
  #lastId = 0

  constructor(options: ChatLinkOptions, where: LinkAddress, listener: LinkListener) {
    const { chat, sizeBytes, number, ids } = options
    const head = `{"packet_type":"SendMessage","message":{"chat_id":${memberOf(chat.chats, number)},"sender_id":${memberOf(chat.senders, number)},"content":"`
    this.#contentAt = head.length
    this.#packet = Buffer.from(head + ' '.repeat(sizeBytes) + TAIL)
    this.#ids = ids
    this.#listener = listener
    this.#link = new GreetedLink(where, options.timeoutMs, greetingsOf(chat), {
      opened: () => listener.opened(),
      received: (bytes, start, end) => this.#onAnswer(bytes, start, end),
      garbled: () => listener.failed(this.#answers++, 'mismatch', ''),
      closed: (kind, detail) => listener.closed(kind, detail),
    })
  }

  get bufferedBytes(): number {
    return this.#link.bufferedBytes
  }

  begin(): void {
    this.#link.begin()
  }

  send(message: Buffer): void {
    message.copy(this.#packet, this.#contentAt)
    this.#link.send(this.#packet)
  }

  end(): void {
    this.#link.end()
  }

  close(): void {
    this.#link.close()
  }

  #onAnswer(bytes: Buffer, start: number, end: number): void {
    const sequence = this.#answers++
    const id = ackedId(bytes, start, end)
    if (id > this.#lastId && this.#ids.take(id)) {
      this.#lastId = id
      this.#listener.answered(sequence)
    } else if (id >= 0) {
      this.#listener.failed(sequence, 'wrong-id', id === 0 ? 'zero' : id > this.#lastId ? 'not unique' : 'not rising')
    } else {
      const error = errorOf(bytes, start, end)
      // A success that is not written as the protocol writes it.
      if (error === undefined) this.#listener.failed(sequence, 'mismatch', '')
      else this.#listener.failed(sequence, 'failed', error)
    }
  }
}

/** What a chat connection says first. */
export function greetingsOf({ token }: ChatPlan): string[] {
  return token === undefined ? [] : [`${JSON.stringify({ packet_type: 'Auth', token })}\n`]
}
