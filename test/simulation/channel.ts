// A queue between two threads, or of one: whatever could happen next is the first item of some channel. The switch of
// all of them knows which have one, so that a step is a cheap choice.

export interface Channel<T = unknown> {
  readonly name: string
  /** The thread that takes the items. */
  readonly to: number
  readonly items: T[]
  readonly take: (item: T) => void
  /** Items that are gone. */
  taken: number
}

export class Switchboard {
  readonly #channels = new Map<string, Channel>()
  /** Those with something in them; some that were emptied by hand. */
  readonly #busy: Channel[] = []
  readonly #isBusy = new Set<Channel>()

  /** The channel of this name, made if there is none. */
  channel<T>(name: string, to: number, take: (item: T) => void): Channel<T> {
    let channel = this.#channels.get(name) as Channel<T> | undefined
    if (channel === undefined) {
      channel = { name, to, items: [], take, taken: 0 }
      this.#channels.set(name, channel as Channel)
    }
    return channel
  }

  push<T>(channel: Channel<T>, item: T): void {
    channel.items.push(item)
    if (this.#isBusy.has(channel as Channel)) return
    this.#isBusy.add(channel as Channel)
    this.#busy.push(channel as Channel)
  }

  /** A channel with something in it; `index` picks one. */
  busy(index: number): Channel | undefined {
    while (this.#busy.length > 0) {
      const at = index % this.#busy.length
      const channel = this.#busy[at] as Channel
      if (channel.items.length > 0) return channel
      this.#isBusy.delete(channel)
      const last = this.#busy.pop() as Channel
      if (last !== channel) this.#busy[at] = last
    }
    return undefined
  }

  get busyCount(): number {
    return this.#busy.length
  }

  remove(name: string): void {
    const channel = this.#channels.get(name)
    if (channel === undefined) return
    channel.items.length = 0
    this.#channels.delete(name)
  }

  all(): Iterable<Channel> {
    return this.#channels.values()
  }
}

/** Takes the first item. False: there was none. */
export function step<T>(channel: Channel<T>): boolean {
  if (channel.items.length === 0) return false
  channel.taken++
  channel.take(channel.items.shift() as T)
  return true
}
