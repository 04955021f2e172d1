// The chats one TCP connection follows. A subscription is there when the chat exists and its topic has said so; it ends
// with the connection, by Unsubscribe, or by a hole in what it gets, which a client could not see otherwise.
import type { TopicEvent } from '../../actor/topic-connection.ts'
import { ERRORS } from '../../lib/errors.ts'
import type { Connection } from '../../net/connection.ts'
import { feedOf } from './chat-actor.ts'
import type { ChatEdge } from './edge.ts'
import { storeText } from './text.ts'

/** Of one connection. */
export const SUBSCRIPTIONS_MAX = 256
export const SUBSCRIPTIONS_TOO_MANY = 'too many subscriptions'
/** A topic that has not answered in this time is given up. */
const JOIN_MS = 10_000

interface Joining {
  readonly topic: string
  /** Undefined: it is there. */
  readonly done: (problem: string | undefined) => void
}

export class SubscriptionList {
  readonly #connection: Connection
  readonly #edge: ChatEdge
  readonly #onLost: () => void
  readonly #chats: Set<number>
  /** One at a time: Subscribe is a barrier. */
  #joining: Joining | undefined

  /** `onLost`: one of them ended by itself. */
  constructor(connection: Connection, edge: ChatEdge, onLost: () => void, chats: readonly number[] = []) {
    this.#connection = connection
    this.#edge = edge
    this.#onLost = onLost
    this.#chats = new Set(chats)
    this.#edge.counters.subscriptions.value += this.#chats.size
  }

  get size(): number {
    return this.#chats.size
  }

  has(chatId: number): boolean {
    return this.#chats.has(chatId)
  }

  /** Subscribes; answers what is to be said if that did not work. */
  async add(chatId: number): Promise<string | undefined> {
    if (this.#chats.has(chatId)) return undefined
    if (this.#chats.size >= SUBSCRIPTIONS_MAX) return SUBSCRIPTIONS_TOO_MANY
    const looked = await this.#edge.look(chatId)
    if (!looked.ok) return looked.text
    const problem = await this.#join(feedOf(chatId))
    // A connection that has ended meanwhile has no subscriptions to count.
    if (problem !== undefined || !this.#connection.open) return problem
    this.#chats.add(chatId)
    this.#edge.counters.subscriptions.value++
    return undefined
  }

  remove(chatId: number): void {
    if (!this.#chats.delete(chatId)) return
    this.#edge.counters.subscriptions.value--
    this.#edge.context.unsubscribe(this.#connection, feedOf(chatId))
  }

  /** What the topics say. */
  hear(event: TopicEvent): void {
    const joining = this.#joining
    if (joining?.topic === event.topic) joining.done(event.type === 'subscribed' ? undefined : SUBSCRIPTIONS_TOO_MANY)
    else if (event.type !== 'subscribed') this.#onLost()
  }

  /** For a move: the runtime takes the subscriptions themselves along. */
  freeze(): readonly number[] {
    const chats = [...this.#chats]
    this.close()
    return chats
  }

  /** The connection has ended, and its subscriptions with it. */
  close(): void {
    this.#edge.counters.subscriptions.value -= this.#chats.size
    this.#chats.clear()
    this.#joining?.done(undefined)
  }

  #join(topic: string): Promise<string | undefined> {
    const { context } = this.#edge
    return new Promise((resolve) => {
      const done = (problem: string | undefined): void => {
        cancel()
        this.#joining = undefined
        resolve(problem)
      }
      const cancel = context.after(JOIN_MS, () => {
        context.unsubscribe(this.#connection, topic)
        done(storeText(ERRORS.ASK_TIMEOUT.text))
      })
      // Before it subscribes: the topic may answer at once.
      this.#joining = { topic, done }
      const outcome = context.subscribe(this.#connection, topic)
      if (outcome === 'accepted') return
      done(outcome === 'connection_limit' || outcome === 'topic_limit' ? SUBSCRIPTIONS_TOO_MANY : undefined)
    })
  }
}
