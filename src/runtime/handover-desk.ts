// The acceptor's way to the shards: chooses the shard of a key and posts connections to it. Knows which shards take
// what is posted to them, and goes round those that do not.
import type { MessagePort } from 'node:worker_threads'
import type { Clock } from '../lib/clock.ts'
import { threadOfShard } from '../lib/thread.ts'
import type { Handover } from '../net/handover.ts'
import { add, FIGURE, type FigureTable, figureOf, serviceColumn } from '../observe/figure.ts'
import type { SlotTable } from '../placement/slots.ts'

/** A shard that took nothing for so long though something was posted gets nothing more until it moves. */
const STALLED_MS = 1_000
/** Nor does one that owes so many: what lies in the port of a shard that dies is lost. */
const UNTAKEN_MAX = 4_096

interface ShardLine {
  port: MessagePort | undefined
  /** Posted over the life of the process, by service index. */
  readonly posted: Float64Array
  /** Of those, counted as taken in the metrics. */
  readonly acknowledged: Float64Array
  postedAll: number
  /** What the shard had taken when the acceptor last looked, and since when that has not changed. */
  takenAll: number
  takenSinceMs: number
}

export interface HandoverDeskOptions {
  readonly shardCount: number
  readonly services: readonly number[]
  readonly table: FigureTable
  /** The acceptor's own row. */
  readonly figures: Float64Array
  readonly slots: SlotTable
  readonly clock: Clock
  readonly heapRefuseAt: number
}

export class HandoverDesk {
  readonly #options: HandoverDeskOptions
  readonly #lines: ShardLine[]
  readonly #rows: Float64Array[]
  readonly #serviceCount: number

  constructor(options: HandoverDeskOptions) {
    this.#options = options
    this.#serviceCount = Math.max(0, ...options.services) + 1
    this.#rows = Array.from({ length: options.shardCount }, (_, shard) => options.table.row(threadOfShard(shard)))
    this.#lines = this.#rows.map((row) => {
      const counts = (): Float64Array => new Float64Array(this.#serviceCount)
      const line = {
        port: undefined,
        posted: counts(),
        acknowledged: counts(),
        postedAll: 0,
        takenAll: 0,
        takenSinceMs: 0,
      }
      this.#settle(line, row)
      return line
    })
  }

  shardUp(shard: number, port: MessagePort): void {
    const line = this.#lines[shard]
    const row = this.#rows[shard]
    if (line === undefined || row === undefined) return
    this.#settle(line, row)
    line.port = port
  }

  /** What was posted and not taken is lost: the sockets were closed with the port that held them. */
  shardDown(shard: number): number {
    const line = this.#lines[shard]
    const row = this.#rows[shard]
    if (line === undefined || row === undefined) return 0
    line.port?.close()
    line.port = undefined
    this.acknowledge()
    const lost = line.postedAll - this.#takenOf(row)
    for (const service of this.#options.services) {
      const untaken = (line.posted[service] as number) - figureOf(row, serviceColumn(service, 'opened'))
      add(this.#options.figures, serviceColumn(service, 'handoffsFailed'), Math.max(0, untaken))
    }
    this.#settle(line, row)
    return lost
  }

  /** The shard for a key, or another that takes connections; -1: none does. */
  shardFor(key: string, serviceIndex: number): number {
    const chosen = this.#options.slots.shardOfKey(key)
    if (this.#takes(chosen)) return chosen
    for (let step = 1; step < this.#lines.length; step++) {
      const other = (chosen + step) % this.#lines.length
      if (!this.#takes(other)) continue
      add(this.#options.figures, serviceColumn(serviceIndex, 'handoffsRerouted'), 1)
      return other
    }
    return -1
  }

  /** Gives a connection away; whatever happens, the acceptor has no part in it any more. */
  post(shard: number, serviceIndex: number, handover: Handover): void {
    const line = this.#lines[shard]
    const moved = (handover.handle ?? handover.socket) as unknown as MessagePort
    line?.port?.postMessage(handover, [moved])
    if (line === undefined) return
    line.posted[serviceIndex] = (line.posted[serviceIndex] as number) + 1
    line.postedAll++
  }

  /** Brings the metrics up to what the shards have taken; with every beat. */
  acknowledge(): void {
    for (const [shard, line] of this.#lines.entries()) {
      for (const service of this.#options.services) {
        const opened = figureOf(this.#rows[shard] as Float64Array, serviceColumn(service, 'opened'))
        const newly = opened - (line.acknowledged[service] as number)
        line.acknowledged[service] = opened
        add(this.#options.figures, serviceColumn(service, 'handoffsOk'), newly)
      }
    }
  }

  /** Connections of a service that live on shards, or are on their way to one. */
  openOf(serviceIndex: number): number {
    let open = 0
    for (const [shard, line] of this.#lines.entries()) {
      const closed = figureOf(this.#rows[shard] as Float64Array, serviceColumn(serviceIndex, 'closed'))
      open += (line.posted[serviceIndex] as number) - closed
    }
    return open
  }

  #takes(shard: number): boolean {
    const line = this.#lines[shard]
    const row = this.#rows[shard]
    if (line?.port === undefined || row === undefined) return false
    const { table, clock, heapRefuseAt } = this.#options
    if (table.state(threadOfShard(shard)) !== 'ready') return false
    const taken = this.#takenOf(row)
    if (taken !== line.takenAll || taken === line.postedAll) {
      line.takenAll = taken
      line.takenSinceMs = clock.nowMs()
    } else if (clock.nowMs() - line.takenSinceMs > STALLED_MS || line.postedAll - taken >= UNTAKEN_MAX) return false
    return figureOf(row, FIGURE.heapUsedBytes) < heapRefuseAt * figureOf(row, FIGURE.heapLimitBytes)
  }

  #takenOf(row: Float64Array): number {
    let taken = 0
    for (const service of this.#options.services) taken += figureOf(row, serviceColumn(service, 'opened'))
    return taken
  }

  /** Nothing is under way: what was posted is what was taken. */
  #settle(line: ShardLine, row: Float64Array): void {
    for (const service of this.#options.services) {
      line.posted[service] = figureOf(row, serviceColumn(service, 'opened'))
      line.acknowledged[service] = line.posted[service] as number
    }
    line.postedAll = this.#takenOf(row)
    line.takenAll = line.postedAll
    line.takenSinceMs = this.#options.clock.nowMs()
  }
}
