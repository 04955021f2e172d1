// The ids that acknowledgements named, over all threads of a run: one bit each, so that one id given to two messages
// shows whichever connections they came from.

/**
 * Ids this far apart share a bit (32 MiB of memory, of which only the used pages exist): an hour, the longest run, at
 * 74,000 messages a second.
 */
const IDS_MAX = 2 ** 28

export class MessageIds {
  readonly #words: Int32Array

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared)
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(IDS_MAX / 8)
  }

  /** False when it was taken before. `id` is a positive whole number. */
  take(id: number): boolean {
    const bit = id % IDS_MAX
    const mask = 1 << (bit & 31)
    return (Atomics.or(this.#words, bit >>> 5, mask) & mask) === 0
  }
}
