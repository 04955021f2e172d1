// Entries that go by themselves: all live equally long, so the one that was set longest ago is always the next to go,
// and a list in that order needs no timer per entry. One `ExpiryList` holds the entries of many tables in that order,
// for a bound over all of them. Knows no clock: times come from the caller.

/** One entry; in its table by key, in the list between two others. */
export interface ExpiringEntry<Key, Value> {
  readonly key: Key
  value: Value
  /** It is gone from then on. */
  deadlineMs: number
}

class Node<Key, Value> implements ExpiringEntry<Key, Value> {
  readonly table: ExpiringTable<Key, Value>
  readonly key: Key
  value: Value
  deadlineMs: number
  older: Node<Key, Value> | undefined = undefined
  newer: Node<Key, Value> | undefined = undefined

  constructor(table: ExpiringTable<Key, Value>, key: Key, value: Value, deadlineMs: number) {
    this.table = table
    this.key = key
    this.value = value
    this.deadlineMs = deadlineMs
  }
}

export interface ExpiryLimits {
  readonly ttlMs: number
  /** Over all tables; beyond it the oldest entry goes. */
  readonly entriesMax: number
}

export class ExpiryList<Key, Value> {
  readonly ttlMs: number
  readonly #entriesMax: number
  #oldest: Node<Key, Value> | undefined
  #newest: Node<Key, Value> | undefined
  /** Where the last one went that was not the newest. Those of another shard come in order: the next goes right behind it. */
  #restored: Node<Key, Value> | undefined
  #size = 0

  constructor({ ttlMs, entriesMax }: ExpiryLimits) {
    this.ttlMs = ttlMs
    this.#entriesMax = entriesMax
  }

  /** Entries of all tables, those whose time is over but that nobody dropped included. */
  get size(): number {
    return this.#size
  }

  /** The next to go. */
  get oldest(): ExpiringEntry<Key, Value> | undefined {
    return this.#oldest
  }

  isFull(): boolean {
    return this.#size >= this.#entriesMax
  }

  /** Drops the next to go, and answers it. */
  shift(): ExpiringEntry<Key, Value> | undefined {
    const node = this.#oldest
    node?.table.delete(node.key)
    return node
  }

  /** Drops what is over. */
  expire(nowMs: number): void {
    while (this.#oldest !== undefined && this.#oldest.deadlineMs <= nowMs) this.shift()
  }

  /** @internal Its place is by its deadline: only one that came from another shard is not the newest. */
  link(node: Node<Key, Value>): void {
    let older = this.#newest
    let newer: Node<Key, Value> | undefined
    if (older !== undefined && older.deadlineMs > node.deadlineMs) {
      older = this.#restored
      if (older !== undefined && older.deadlineMs > node.deadlineMs) older = undefined
      newer = older === undefined ? this.#oldest : older.newer
      for (; newer !== undefined && newer.deadlineMs <= node.deadlineMs; newer = newer.newer) older = newer
      this.#restored = node
    }
    node.older = older
    node.newer = newer
    if (older === undefined) this.#oldest = node
    else older.newer = node
    if (newer === undefined) this.#newest = node
    else newer.older = node
    this.#size++
  }

  /** @internal */
  unlink(node: Node<Key, Value>): void {
    const { older, newer } = node
    if (this.#restored === node) this.#restored = older
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    node.older = undefined
    node.newer = undefined
    this.#size--
  }
}

export class ExpiringTable<Key, Value> {
  readonly #list: ExpiryList<Key, Value>
  readonly #nodes = new Map<Key, Node<Key, Value>>()

  constructor(list: ExpiryList<Key, Value>) {
    this.#list = list
  }

  get size(): number {
    return this.#nodes.size
  }

  /** Also one whose time is over, until somebody drops it. */
  get(key: Key): ExpiringEntry<Key, Value> | undefined {
    return this.#nodes.get(key)
  }

  /** Adds or replaces; it lives for the whole time from now on. In a full list the oldest entry goes, of any table. */
  set(key: Key, value: Value, nowMs: number): void {
    this.restore(key, value, nowMs + this.#list.ttlMs)
  }

  /** Adds or replaces an entry that has lived for a while. */
  restore(key: Key, value: Value, deadlineMs: number): void {
    let node = this.#nodes.get(key)
    if (node === undefined) {
      if (this.#list.isFull()) this.#list.shift()
      node = new Node(this, key, value, deadlineMs)
      this.#nodes.set(key, node)
    } else {
      this.#list.unlink(node)
      node.value = value
      node.deadlineMs = deadlineMs
    }
    this.#list.link(node)
  }

  /** False: there was none. */
  delete(key: Key): boolean {
    const node = this.#nodes.get(key)
    if (node === undefined) return false
    this.#nodes.delete(key)
    this.#list.unlink(node)
    return true
  }

  clear(): void {
    for (const node of this.#nodes.values()) this.#list.unlink(node)
    this.#nodes.clear()
  }

  keys(): IterableIterator<Key> {
    return this.#nodes.keys()
  }

  /** In the order in which their keys came. */
  entries(): IterableIterator<ExpiringEntry<Key, Value>> {
    return this.#nodes.values()
  }
}
