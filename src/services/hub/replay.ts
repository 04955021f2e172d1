// What a client missed on its way to it, before live events: as fast as it reads, so that a long past does not make it
// look too slow. What is published meanwhile is appended, so nothing overtakes.
import type { Connection } from '../../net/connection.ts'
import type { Subscription } from './channel-log.ts'
import { bufferedForm, type HubEvent } from './event.ts'
import type { KeptPosition } from './session-record.ts'

type ReplayConnection = Pick<Connection, 'open' | 'congested' | 'sendShared'>

export class Replay {
  /** Events at the front that say when they were buffered. */
  #buffered: number
  #events: readonly HubEvent[]
  #next = 0
  readonly #connection: ReplayConnection
  readonly #subscriptions: readonly Subscription[]

  /** `subscriptions` are held back, and stand behind `events`. */
  constructor(
    connection: ReplayConnection,
    subscriptions: readonly Subscription[],
    events: readonly HubEvent[],
    isBuffered: boolean,
  ) {
    this.#connection = connection
    this.#subscriptions = subscriptions
    this.#events = events
    this.#buffered = isBuffered ? events.length : 0
  }

  /**
   * Sends what it may; true: everything was, and its subscriptions get every event from now on. To who has said good-bye
   * nothing: its session misses the rest.
   */
  pump(sent: (event: HubEvent, subscription: Subscription | undefined) => void): boolean {
    const connection = this.#connection
    for (;;) {
      for (; this.#next < this.#events.length; this.#next++) {
        if (!connection.open || connection.congested) return false
        const event = this.#events[this.#next] as HubEvent
        const subscription = this.#subscriptions.find(({ log }) => log.channel === event.channel)
        const form = subscription?.form ?? 0
        connection.sendShared(event.frame(this.#next < this.#buffered ? bufferedForm(form) : form), 1)
        sent(event, subscription)
      }
      this.#events = mergedOf(this.#subscriptions.map(({ log, held }) => log.after(held)))
      this.#next = 0
      this.#buffered = 0
      for (const subscription of this.#subscriptions) subscription.held = subscription.log.position
      if (this.#events.length === 0) break
    }
    for (const subscription of this.#subscriptions) subscription.log.enter(subscription)
    return true
  }

  /** Where a channel really stands: before the first of its events that was not sent. */
  positionOf({ log, position }: Subscription): KeptPosition {
    for (let index = this.#next; index < this.#events.length; index++) {
      const event = this.#events[index] as HubEvent
      if (event.channel === log.channel) return [log.channel, event.epoch, event.offset - 1]
    }
    return [log.channel, position.epoch, position.offset]
  }
}

/** Of several channels, in the order of publication; within a channel the order stays. */
export function mergedOf(lists: readonly (readonly HubEvent[])[]): readonly HubEvent[] {
  const filled = lists.filter((list) => list.length > 0)
  if (filled.length <= 1) return filled[0] ?? []
  const next = filled.map(() => 0)
  const merged: HubEvent[] = []
  for (;;) {
    let first = -1
    let event: HubEvent | undefined
    for (const [index, list] of filled.entries()) {
      const candidate = list[next[index] as number]
      if (candidate === undefined || (event !== undefined && !isEarlier(candidate, event))) continue
      first = index
      event = candidate
    }
    if (event === undefined) return merged
    merged.push(event)
    next[first] = (next[first] as number) + 1
  }
}

function isEarlier(one: HubEvent, other: HubEvent): boolean {
  return one.wallMs === other.wallMs ? one.sequence < other.sequence : one.wallMs < other.wallMs
}
