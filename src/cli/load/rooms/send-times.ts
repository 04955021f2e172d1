// When messages to a room were due, for all threads to see: a message arrives at members of every thread. Each sender
// has a ring of its newest messages; the number of the message stands beside its time, so an overwritten one is told apart.
const SLOTS = 1_024
const WORDS = 2

export class SendTimes {
  readonly #words: Float64Array

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Float64Array(memory)
  }

  static allocate(senders: number): SharedArrayBuffer {
    return new SharedArrayBuffer(senders * SLOTS * WORDS * Float64Array.BYTES_PER_ELEMENT)
  }

  set(sender: number, sequence: number, dueMs: number): void {
    const at = this.#at(sender, sequence)
    this.#words[at] = dueMs
    // From 1: memory that nobody wrote is no message.
    this.#words[at + 1] = sequence + 1
  }

  /** NaN when the sender has sent so many more that nobody knows any more. */
  get(sender: number, sequence: number): number {
    const at = this.#at(sender, sequence)
    return this.#words[at + 1] === sequence + 1 ? (this.#words[at] ?? Number.NaN) : Number.NaN
  }

  #at(sender: number, sequence: number): number {
    return (sender * SLOTS + (sequence % SLOTS)) * WORDS
  }
}
