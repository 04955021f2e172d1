// What moves to another shard waits there behind a gate, until what it sent from its old one has arrived (barrier.ts).
// One gate for all that is posted in one turn.

/** From the old shard to the new one, on the port on which what waits was posted. */
export interface GateMessage {
  readonly kind: 'flushed'
  readonly gate: number
}

export interface GatesOptions {
  readonly barrier: (done: () => void) => void
  /** Runs after what is on the stack. */
  readonly soon: (run: () => void) => void
}

export class Gates {
  readonly #options: GatesOptions
  /** By new thread: the gate of this turn. */
  readonly #closing = new Map<number, number>()
  /** By old thread and gate: what waits here. */
  readonly #waiting = new Map<number, Map<number, (() => void)[]>>()
  #count = 0

  constructor(options: GatesOptions) {
    this.#options = options
  }

  /** The gate for what is posted to `to` now. `post` tells when it opens. */
  close(to: number, post: (message: GateMessage) => void): number {
    const closing = this.#closing.get(to)
    if (closing !== undefined) return closing
    const gate = ++this.#count
    this.#closing.set(to, gate)
    this.#options.soon(() => {
      this.#closing.delete(to)
      this.#options.barrier(() => post({ kind: 'flushed', gate }))
    })
    return gate
  }

  /** Something arrived from `from` behind a gate. */
  wait(from: number, gate: number, run: () => void): void {
    const gates = this.#waiting.get(from) ?? new Map<number, (() => void)[]>()
    this.#waiting.set(from, gates)
    const waiting = gates.get(gate)
    if (waiting === undefined) gates.set(gate, [run])
    else waiting.push(run)
  }

  opened(from: number, gate: number): void {
    const gates = this.#waiting.get(from)
    const waiting = gates?.get(gate) ?? []
    gates?.delete(gate)
    for (const run of waiting) run()
  }

  /** What it had sent is as far as it will get. */
  threadDown(thread: number): void {
    const gates = this.#waiting.get(thread)
    this.#waiting.delete(thread)
    for (const waiting of gates?.values() ?? []) for (const run of waiting) run()
  }

  /** How much waits. */
  get waiting(): number {
    let count = 0
    for (const gates of this.#waiting.values()) for (const waiting of gates.values()) count += waiting.length
    return count
  }
}
