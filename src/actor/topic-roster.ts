// Where the subscribers of one topic stand: those that are level in an array per encoding, which is walked for every
// message, all others apart. Arrays have no order: whoever is last takes the place of one that leaves.
import type { TopicConnection } from './topic-connection.ts'
import type { TopicEncoder } from './topic-message.ts'
import { TopicEncoding } from './topic-message.ts'
import type { Subscriber, SubscriberState } from './topic-subscriber.ts'

export class TopicRoster {
  readonly encodings: TopicEncoding[] = []
  readonly apart: Subscriber[] = []
  readonly #topic: { readonly name: string; readonly epoch: number }

  constructor(topic: { readonly name: string; readonly epoch: number }) {
    this.#topic = topic
  }

  /** The encoding for a connection like this, with or without compression. */
  encodingFor(
    connection: TopicConnection,
    compresses: boolean,
    deliver: string | undefined,
    encoders: ReadonlyMap<string, TopicEncoder>,
    onError: (error: unknown) => void,
  ): TopicEncoding {
    const wire = connection.wire === 'deflated' && !compresses ? 'frame' : connection.wire
    for (const known of this.encodings) if (known.wire === wire && known.deliver === deliver) return known
    // After a reload an encoder may be gone: then there is nothing that its protocol would understand.
    const encoder = deliver === undefined ? undefined : (encoders.get(deliver) ?? (() => ''))
    const encoding = new TopicEncoding(this.encodings.length, wire, deliver, encoder, this.#topic, onError)
    this.encodings.push(encoding)
    return encoding
  }

  /** In any state. */
  all(): Subscriber[] {
    return [...this.encodings.flatMap((encoding) => encoding.level), ...this.apart]
  }

  /** Moves a subscriber to the array of its new state. */
  place(subscriber: Subscriber, state: SubscriberState): void {
    const from = subscriber.index < 0 ? undefined : this.#arrayOf(subscriber, subscriber.state)
    const to = this.#arrayOf(subscriber, state)
    subscriber.state = state
    if (from === to) return
    if (from !== undefined) {
      const last = from.pop() as Subscriber
      if (last !== subscriber) {
        from[subscriber.index] = last
        last.index = subscriber.index
      }
    }
    subscriber.index = to === undefined ? -1 : to.push(subscriber) - 1
  }

  /** Others that stand apart come before it the next time. */
  rotate(subscriber: Subscriber): void {
    const last = this.apart.at(-1)
    if (last === undefined || this.apart[subscriber.index] !== subscriber) return
    this.apart[subscriber.index] = last
    this.apart[this.apart.length - 1] = subscriber
    last.index = subscriber.index
    subscriber.index = this.apart.length - 1
  }

  #arrayOf(subscriber: Subscriber, state: SubscriberState): Subscriber[] | undefined {
    if (state === 'gone') return undefined
    return state === 'level' ? subscriber.encoding.level : this.apart
  }
}
