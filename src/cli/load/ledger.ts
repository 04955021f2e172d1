// The books of one connection: which messages are out, which came back, and what is wrong with those that did. Pure:
// no socket, no clock.
//
//   head           top             next
//    │ settled or   │ not answered  │ not sent yet
//    │ skipped over │ yet           │
//
// On an ordered transport an answer to `top + n` skips n messages: they no longer count as in flight (so a server that
// loses a message does not stall a closed loop), and turn into `reordered` if they come after all, into `lost` if not.

/** Messages one connection keeps books of; beyond it nothing is sent until old ones are settled or written off. */
export const LEDGER_MESSAGES_MAX = 65_536
/** Written-off messages that are remembered, to tell a late answer from a duplicate. */
const WRITTEN_OFF_MAX = 1_024

export const VERDICT = { answered: 0, reordered: 1, duplicate: 2, unexpected: 3, late: 4 } as const
export type Verdict = (typeof VERDICT)[keyof typeof VERDICT]

/** Told of each message that is written off: when it was due, and whether a later one was answered. */
export type WriteOff = (dueMs: number, skipped: boolean) => void

const OUT = 1
const SETTLED = 0

export class Ledger {
  /** When the message of the last `answered` or `reordered` verdict was due. */
  dueMs = 0
  /** Messages without an answer, skipped ones included. */
  unanswered = 0
  readonly #ordered: boolean
  #head = 0
  #top = 0
  #next = 0
  #dueMs: Float64Array
  #sentMs: Float64Array
  #state: Uint8Array
  #writtenOff: Set<number> | undefined

  constructor(ordered: boolean, messages: number) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(messages, 2)))
    this.#ordered = ordered
    this.#dueMs = new Float64Array(capacity)
    this.#sentMs = new Float64Array(capacity)
    this.#state = new Uint8Array(capacity)
  }

  /** The sequence number that the next message will have. */
  get next(): number {
    return this.#next
  }

  get inFlight(): number {
    return this.#ordered ? this.#next - this.#top : this.unanswered
  }

  get full(): boolean {
    return this.#next - this.#head >= LEDGER_MESSAGES_MAX
  }

  sent(dueMs: number, sentMs: number): void {
    if (this.#next - this.#head === this.#state.length) this.#grow()
    const index = this.#next & (this.#state.length - 1)
    this.#dueMs[index] = dueMs
    this.#sentMs[index] = sentMs
    this.#state[index] = OUT
    this.#next++
    this.unanswered++
  }

  settle(sequence: number): Verdict {
    if (sequence >= this.#next) return VERDICT.unexpected
    const index = sequence & (this.#state.length - 1)
    if (sequence < this.#head || this.#state[index] !== OUT) {
      return this.#writtenOff?.delete(sequence) === true ? VERDICT.late : VERDICT.duplicate
    }
    this.#state[index] = SETTLED
    this.dueMs = this.#dueMs[index] ?? 0
    this.unanswered--
    const inOrder = sequence >= this.#top
    if (inOrder) this.#top = sequence + 1
    this.#advance()
    return inOrder || !this.#ordered ? VERDICT.answered : VERDICT.reordered
  }

  /**
   * The message that an unreadable answer most likely belongs to: the next in line on an ordered transport, the only
   * one in flight on another. −1 when there is no telling.
   */
  guess(): number {
    if (this.#ordered) return this.#top < this.#next ? this.#top : -1
    return this.unanswered === 1 ? this.#head : -1
  }

  /** Writes off what was sent before `sentBeforeMs`. */
  writeOff(sentBeforeMs: number, tell: WriteOff): void {
    const mask = this.#state.length - 1
    while (this.#head < this.#next) {
      const index = this.#head & mask
      if (this.#state[index] === OUT) {
        if ((this.#sentMs[index] ?? 0) >= sentBeforeMs) return
        this.#giveUp(index, tell)
      }
      this.#head++
      if (this.#top < this.#head) this.#top = this.#head
    }
  }

  /** Writes off what was skipped over, to make room in a full ledger. */
  writeOffSkipped(tell: WriteOff): void {
    const mask = this.#state.length - 1
    while (this.#head < this.#top) {
      if (this.#state[this.#head & mask] === OUT) this.#giveUp(this.#head & mask, tell)
      this.#head++
    }
  }

  #giveUp(index: number, tell: WriteOff): void {
    this.#state[index] = SETTLED
    this.unanswered--
    this.#writtenOff ??= new Set()
    if (this.#writtenOff.size < WRITTEN_OFF_MAX) this.#writtenOff.add(this.#head)
    tell(this.#dueMs[index] ?? 0, this.#head < this.#top)
  }

  #advance(): void {
    const mask = this.#state.length - 1
    while (this.#head < this.#next && this.#state[this.#head & mask] === SETTLED) this.#head++
  }

  #grow(): void {
    const from = this.#state.length - 1
    const dueMs = new Float64Array(2 * this.#state.length)
    const sentMs = new Float64Array(dueMs.length)
    const state = new Uint8Array(dueMs.length)
    for (let sequence = this.#head; sequence < this.#next; sequence++) {
      const to = sequence & (state.length - 1)
      dueMs[to] = this.#dueMs[sequence & from] ?? 0
      sentMs[to] = this.#sentMs[sequence & from] ?? 0
      state[to] = this.#state[sequence & from] ?? SETTLED
    }
    this.#dueMs = dueMs
    this.#sentMs = sentMs
    this.#state = state
  }
}
