// Watches how busy the shards are and relieves the busiest one, if that is wanted. Decides; the rollout moves.
import { shardOfSeat, threadOfSeat } from '../lib/thread.ts'
import type { ActionAnswer } from '../observe/admin-server.ts'
import { FIGURE, type FigureTable, figureOf } from '../observe/figure.ts'
import type { SeatBook } from './seat-book.ts'

/** The difference has to last: seconds, one look each. */
const LOOKS = 10
/** Share of the difference that one move takes from the busier shard, of the connections it has. */
const SHARE = 0.5
/** A move makes work itself: so many looks pass before the next one. */
const REST_LOOKS = 20

export interface BalancerOptions {
  readonly table: FigureTable
  readonly book: SeatBook
  readonly config: () => { readonly auto: boolean; readonly difference: number }
  readonly migrate: (from: number, to: number, connections: number) => ActionAnswer
}

export class Balancer {
  readonly #options: BalancerOptions
  #looks = 0
  #rest = 0

  constructor(options: BalancerOptions) {
    this.#options = options
  }

  /** Once a second. */
  look(): void {
    const { table, book, config, migrate } = this.#options
    const { auto, difference } = config()
    if (!auto || book.count < 2) return
    if (this.#rest > 0) {
      this.#rest--
      return
    }
    const loads = book.seats.map((seat) => figureOf(table.row(threadOfSeat(seat)), FIGURE.utilization))
    const most = indexOf(loads, Math.max(...loads))
    const least = indexOf(loads, Math.min(...loads))
    const gap = (loads[most] ?? 0) - (loads[least] ?? 0)
    this.#looks = gap > difference ? this.#looks + 1 : 0
    if (this.#looks < LOOKS) return
    this.#looks = 0
    this.#rest = REST_LOOKS
    const seat = book.seats[most] ?? 0
    const connections = Math.floor(table.connections(threadOfSeat(seat)) * gap * SHARE)
    if (connections > 0) migrate(shardOfSeat(seat), shardOfSeat(book.seats[least] ?? 0), connections)
  }
}

function indexOf(loads: readonly number[], load: number): number {
  return Math.max(0, loads.indexOf(load))
}
