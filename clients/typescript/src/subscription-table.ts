// What the server was asked to send, against what handlers want: the difference is the next request. So subscribing
// works in every state, and a new connection needs nothing but an empty table.

export interface Difference {
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
}

export class SubscriptionTable {
  /** Asked for on this connection, granted or denied. */
  #asked = new Set<string>()
  #granted = new Set<string>()

  /** A fresh session has no subscriptions; these the old one had. */
  reset(): readonly string[] {
    const granted = [...this.#granted]
    this.#asked.clear()
    this.#granted.clear()
    return granted
  }

  grant(channels: readonly string[]): void {
    for (const channel of channels) this.#granted.add(channel)
  }

  /** A restored one has what it had: of what we asked for, the rest has to be asked for again. */
  restore(subscribed: readonly string[], denied: readonly string[]): void {
    const known = new Set([...subscribed, ...denied])
    this.#asked = new Set([...this.#asked].filter((channel) => known.has(channel)))
    this.#granted = new Set(subscribed)
  }

  /** The difference, which counts as asked for from here on. */
  take(wanted: ReadonlySet<string>): Difference {
    const subscribe = [...wanted].filter((channel) => !this.#asked.has(channel))
    const unsubscribe = [...this.#asked].filter((channel) => !wanted.has(channel))
    this.#asked = new Set(wanted)
    for (const channel of unsubscribe) this.#granted.delete(channel)
    return { subscribe, unsubscribe }
  }

  /** They were not asked for after all. */
  forget(channels: readonly string[]): void {
    for (const channel of channels) this.#asked.delete(channel)
  }
}
