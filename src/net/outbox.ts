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
  // Connections to flush, [0, #dirtyCount): the array keeps its length, because truncating it leaves optimised code.
  readonly #dirty: (Flushable | undefined)[] = []
  #dirtyCount = 0
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
    this.#dirty[this.#dirtyCount++] = connection
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
    if (--this.#depth === 0 && this.#dirtyCount > 0) this.#flush()
  }

  #flush(): void {
    // A flush may add connections: closing one that is too slow writes a close frame. It must not be flushed in between,
    // before the arena is known to be lent: what a handler does here is a turn within this one.
    this.#depth++
    for (let index = 0; index < this.#dirtyCount; index++) {
      const connection = this.#dirty[index]
      this.#dirty[index] = undefined
      if (connection?.flush() === true) this.#lent = true
    }
    this.#depth--
    this.#dirtyCount = 0
    if (!this.#lent) this.offset = 0
  }
}
