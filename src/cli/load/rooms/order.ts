// The books of what members of a room heard: of each sender every message once and in order, and all members the same
// messages in the same order. Pure: no socket, no clock.

/** The newest messages of the room that members are compared by; a member that is further behind is not. */
const ROOM_MESSAGES_MAX = 65_536
/** Messages a member has not heard although it heard later ones; more are only `lost` in the end. */
const GAPS_MAX = 1_024
const GAP_SHIFT = 2 ** 36

/** The order in which the first member of a thread heard the messages of the run; all others have to hear the same. */
export class RoomOrder {
  readonly #senders = new Int32Array(ROOM_MESSAGES_MAX)
  readonly #sequences = new Float64Array(ROOM_MESSAGES_MAX)
  #length = 0

  /** False when another message was the one at `index`. */
  place(index: number, sender: number, sequence: number): boolean {
    const at = index % ROOM_MESSAGES_MAX
    if (index === this.#length) {
      this.#senders[at] = sender
      this.#sequences[at] = sequence
      this.#length++
      return true
    }
    if (index < this.#length - ROOM_MESSAGES_MAX || index > this.#length) return true
    return this.#senders[at] === sender && this.#sequences[at] === sequence
  }
}

export type Hearing = 'heard' | 'reordered' | 'duplicate'

/** What one member heard. */
export class HearingBook {
  /** Messages, each once. */
  received = 0
  /** A message was in another place than with other members. That is an error when nobody has lost one. */
  hasOtherOrder = false
  readonly #order: RoomOrder
  /** Of each sender, the number that comes next. */
  readonly #next: Float64Array
  #gaps: Set<number> | undefined

  constructor(order: RoomOrder, senders: number) {
    this.#order = order
    this.#next = new Float64Array(senders)
  }

  next(sender: number): number {
    return this.#next[sender] ?? 0
  }

  hear(sender: number, sequence: number): Hearing {
    const expected = this.#next[sender] ?? 0
    if (sequence < expected) {
      if (this.#gaps?.delete(sender * GAP_SHIFT + sequence) !== true) return 'duplicate'
      this.received++
      return 'reordered'
    }
    for (let gap = expected; gap < sequence && (this.#gaps?.size ?? 0) < GAPS_MAX; gap++) {
      this.#gaps ??= new Set()
      this.#gaps.add(sender * GAP_SHIFT + gap)
    }
    this.#next[sender] = sequence + 1
    // Behind one message in another place, all others are.
    if (!this.hasOtherOrder) this.hasOtherOrder = !this.#order.place(this.received, sender, sequence)
    this.received++
    return 'heard'
  }
}
