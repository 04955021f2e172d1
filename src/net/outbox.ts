// The output of one event loop: small messages are copied into one arena, so that what a connection sends in one turn
// lies in one piece and leaves in one system call. Knows connections only as things that can flush.

/** Messages up to this size are copied together; larger ones travel as they are. */
export const COALESCE_BYTES_MAX = 16 * 1024
const ARENA_BYTES = 64 * 1024

export interface Flushable {
  /** Hands what is pending to the socket. True if the kernel did not take all: the arena is then still being read. */
  flush(): boolean
}

export class Outbox {
  arena: Buffer = Buffer.allocUnsafeSlow(ARENA_BYTES)
  offset = 0
  #dirty: Flushable[] = []
  #draining: Flushable[] = []
  #scheduled = false
  #depth = 0
  // Set when a socket kept a reference into the arena: its bytes must not be written again, so the arena is filled to
  // its end and then left to the garbage collector instead of being rewound.
  #lent = false

  /** Makes room for `bytes` in one piece; answers the offset to write at. The caller moves `offset` itself. */
  reserve(bytes: number): number {
    if (this.offset + bytes > ARENA_BYTES) {
      this.arena = Buffer.allocUnsafeSlow(ARENA_BYTES)
      this.offset = 0
      this.#lent = false
    }
    return this.offset
  }

  /** Registers a connection that has something pending; called once per connection and turn. */
  add(connection: Flushable): void {
    this.#dirty.push(connection)
    if (this.#depth === 0 && !this.#scheduled) {
      // A send from outside of a turn (a promise of user code): the microtask queue runs dry before the loop goes on.
      this.#scheduled = true
      queueMicrotask(() => {
        this.#scheduled = false
        this.#flush()
      })
    }
  }

  /** Flushes one connection ahead of the end of the turn. */
  flushNow(connection: Flushable): void {
    if (connection.flush()) this.#lent = true
  }

  enterTurn(): void {
    this.#depth++
  }

  /** Ends a turn: everything pending leaves. */
  leaveTurn(): void {
    if (--this.#depth === 0 && this.#dirty.length > 0) this.#flush()
  }

  #flush(): void {
    const connections = this.#dirty
    this.#dirty = this.#draining
    this.#draining = connections
    for (let index = 0; index < connections.length; index++) {
      if (connections[index]?.flush() === true) this.#lent = true
    }
    connections.length = 0
    if (!this.#lent && this.#dirty.length === 0) this.offset = 0
  }
}
