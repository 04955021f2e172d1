// What a storm of the hub costs in CPU, apart: the servers that take the clients, and the clients. Times depend on who else
// uses the machine, and this hardly.
import { cpuNsOf, type Usage, usageOf } from '../../bench/process-usage.ts'
import type { SoakFigure } from './scenario.ts'

export class StormCost {
  readonly #pids: readonly number[]
  readonly #before: Usage
  readonly #ownBefore = process.cpuUsage()
  serverUs = 0
  ownUs = 0

  /** It begins. */
  constructor(pids: readonly number[]) {
    this.#pids = pids
    this.#before = usageOf(pids)
  }

  /** All are back. */
  end(): void {
    const { user, system } = process.cpuUsage(this.#ownBefore)
    this.serverUs = cpuNsOf(this.#before, usageOf(this.#pids)) / 1_000
    this.ownUs = user + system
  }
}

/** Of each client, with the events that all of them get meanwhile. */
export function costFigures(costs: readonly StormCost[], clients: number): readonly SoakFigure[] {
  const each = (of: (cost: StormCost) => number): string => {
    const sorted = costs.map((cost) => of(cost) / clients).sort((one, other) => one - other)
    return `P50 ${(sorted[sorted.length >> 1] ?? Number.NaN).toFixed(0)} µs, least ${(sorted[0] ?? Number.NaN).toFixed(0)} µs`
  }
  return [
    { name: 'CPU of the server for each that came back, events included', value: each(({ serverUs }) => serverUs) },
    { name: 'CPU of the client, too', value: each(({ ownUs }) => ownUs) },
  ]
}
