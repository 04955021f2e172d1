// Channels whose missed events were, or are about to be, asked for. Until the answer is there whatever comes on them
// waits: the server sends everything behind the position that was asked for, these included, after its answer.
import type { Position } from './position-table.ts'

/** Kept for the case that there is no answer; the oldest go first. */
const HELD_MAX = 1000

export class Recovery {
  readonly positions: Readonly<Record<string, Position>>
  #held: (() => void)[] = []

  constructor(positions: Readonly<Record<string, Position>>) {
    this.positions = positions
  }

  get channels(): string[] {
    return Object.keys(this.positions)
  }

  /** True: `deliver` waits. */
  hold(channel: unknown, deliver: () => void): boolean {
    if (typeof channel !== 'string' || !Object.hasOwn(this.positions, channel)) return false
    this.#held.push(deliver)
    if (this.#held.length > HELD_MAX) this.#held.shift()
    return true
  }

  /** Delivers what waited: it will not come again. */
  release(): void {
    for (const deliver of this.#held.splice(0)) deliver()
  }
}
