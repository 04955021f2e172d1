// The state of the presence actor: who is online, until when, in two orders: by the time they go and, for lists, by id.
import { type ExpiringEntry, ExpiringTable, ExpiryList } from './expiring-table.ts'
import { IdOrder } from './id-order.ts'
import { StoreCalls } from './store-calls.ts'

/** A user's status. `updatedAt`: whole seconds since 1970. */
export interface Status {
  readonly status: string
  readonly updatedAt: number
}

/** What moves. Deadlines stay as they are: the clock has one origin for all threads. */
export interface FrozenPresence {
  readonly isArmed: boolean
  /** Next to go first. */
  readonly entries: readonly (Status & { readonly userId: number; readonly deadlineMs: number })[]
}

export interface PresenceLimits {
  readonly ttlMs: number
  readonly entriesMax: number
}

export class PresenceState {
  readonly calls = new StoreCalls()
  readonly #list: ExpiryList<number, Status>
  readonly #table: ExpiringTable<number, Status>
  /** Changes the store is asked about, by user: later ones wait their turn behind it. */
  readonly #changing = new Map<number, number>()
  readonly #order = new IdOrder()
  /** A timer for the next to go is set. */
  isArmed = false

  constructor(limits: PresenceLimits) {
    this.#list = new ExpiryList(limits)
    this.#table = new ExpiringTable(this.#list)
  }

  get size(): number {
    return this.#table.size
  }

  /** The next to go. */
  get oldest(): ExpiringEntry<number, Status> | undefined {
    return this.#list.oldest
  }

  statusOf(userId: number): string | undefined {
    return this.#table.get(userId)?.value.status
  }

  isChanging(userId: number): boolean {
    return this.#changing.has(userId)
  }

  /** Until as many `changed` came. */
  changing(userId: number): void {
    this.#changing.set(userId, (this.#changing.get(userId) ?? 0) + 1)
  }

  changed(userId: number): void {
    const left = (this.#changing.get(userId) ?? 1) - 1
    if (left === 0) this.#changing.delete(userId)
    else this.#changing.set(userId, left)
  }

  /** Sets or renews. Answers the user who goes for this one to have room. */
  set(userId: number, status: Status, nowMs: number): number | undefined {
    let goneId: number | undefined
    if (this.#table.get(userId) === undefined) {
      if (this.#list.isFull()) {
        goneId = this.#list.shift()?.key
        this.#order.remove()
      }
      this.#order.add(userId)
    }
    this.#table.set(userId, status, nowMs)
    return goneId
  }

  /** False: there was none. */
  delete(userId: number): boolean {
    if (!this.#table.delete(userId)) return false
    this.#order.remove()
    return true
  }

  /** Users above `after` whose time is not over, ascending. */
  list(after: number, nowMs: number, countMax: number): ExpiringEntry<number, Status>[] {
    const ids = this.#order.ascending(this.#table)
    const listed: ExpiringEntry<number, Status>[] = []
    for (let index = firstAbove(ids, after); index < ids.length && listed.length < countMax; index++) {
      const entry = this.#table.get(ids[index] as number)
      if (entry !== undefined && entry.deadlineMs > nowMs) listed.push(entry)
    }
    return listed
  }

  freeze(): FrozenPresence {
    const entries: FrozenPresence['entries'][number][] = []
    for (let entry = this.#list.shift(); entry !== undefined; entry = this.#list.shift())
      entries.push({ userId: entry.key, deadlineMs: entry.deadlineMs, ...entry.value })
    return { isArmed: this.isArmed, entries }
  }

  thaw({ isArmed, entries }: FrozenPresence): void {
    this.isArmed = isArmed
    for (const { userId, deadlineMs, status, updatedAt } of entries) {
      this.#table.restore(userId, { status, updatedAt }, deadlineMs)
      this.#order.add(userId)
    }
  }
}

/** Index of the first value above `limit`, in an ascending array. */
function firstAbove(ascending: Float64Array, limit: number): number {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] as number) > limit) high = middle
    else low = middle + 1
  }
  return low
}
