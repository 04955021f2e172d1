// Channels whose missed events were, or are about to be, asked for. What comes on them waits until the answer is there,
// which says how many were missed, and until so many have come: the server sends those first, and nothing twice.
import type { Position } from './position-table.ts'

/** Of a channel; the oldest go first. */
const HELD_MAX = 1000

interface Lane {
  readonly held: (() => void)[]
  /** Missed events that are still to come; undefined: nobody has said how many. */
  left: number | undefined
}

export class Recovery {
  readonly positions: Readonly<Record<string, Position>>
  readonly #lanes = new Map<string, Lane>()

  constructor(positions: Readonly<Record<string, Position>>) {
    this.positions = positions
    for (const channel of Object.keys(positions)) this.#lanes.set(channel, { held: [], left: undefined })
  }

  get channels(): string[] {
    return Object.keys(this.positions)
  }

  /** Nothing waits, and nothing will. */
  get isOver(): boolean {
    return this.#lanes.size === 0
  }

  /** True: `deliver` is called in its time, perhaps at once. */
  take(channel: unknown, deliver: () => void): boolean {
    const lane = this.#lanes.get(channel as string)
    if (lane === undefined) return false
    if (lane.left === undefined) {
      if (lane.held.push(deliver) > HELD_MAX) lane.held.shift()
      return true
    }
    lane.left--
    deliver()
    if (lane.left === 0) this.#release(channel as string, lane)
    return true
  }

  /** So many of that channel were missed, and come now. */
  expect(channel: string, missed: number): void {
    const lane = this.#lanes.get(channel)
    if (lane === undefined) return
    lane.left = missed
    if (missed <= 0) this.#release(channel, lane)
  }

  /** There is no answer: what waited is all there is. */
  release(): void {
    for (const [channel, lane] of this.#lanes) this.#release(channel, lane)
  }

  #release(channel: string, { held }: Lane): void {
    this.#lanes.delete(channel)
    for (const deliver of held) deliver()
  }
}
