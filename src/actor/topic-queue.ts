// What waits for one slow subscriber: the newest messages, or the latest of each key, never more than a bound.
import type { TopicMessage } from './topic-message.ts'

export class TopicQueue {
  readonly #conflates: boolean
  readonly #countMax: number
  /** By key, or by offset. A Map gives them back in the order they were set: oldest first. */
  readonly #waiting = new Map<string | number, TopicMessage>()

  constructor(conflates: boolean, countMax: number) {
    this.#conflates = conflates
    this.#countMax = countMax
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Answers what had to go for it: a message with the same key, or the oldest. */
  put(message: TopicMessage): 'conflated' | 'slow' | undefined {
    const place = this.#conflates ? message.key : message.offset
    // The newer value goes to the end: delivery stays in the order of offsets.
    const isReplaced = this.#waiting.delete(place)
    const isFull = this.#waiting.size >= this.#countMax
    if (isFull) this.take()
    this.#waiting.set(place, message)
    return isReplaced ? 'conflated' : isFull ? 'slow' : undefined
  }

  /** The oldest. */
  take(): TopicMessage | undefined {
    const [first] = this.#waiting
    if (first === undefined) return undefined
    this.#waiting.delete(first[0])
    return first[1]
  }

  all(): TopicMessage[] {
    return [...this.#waiting.values()]
  }
}
