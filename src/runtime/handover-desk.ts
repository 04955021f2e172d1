// The acceptor's way to the shards: chooses the shard of a key and posts connections to it. Knows which shards take
// what is posted to them, and goes round those that do not.
import type { MessagePort } from 'node:worker_threads'
import type { Clock } from '../lib/clock.ts'
import { threadOfSeat } from '../lib/thread.ts'
import type { Handover } from '../net/handover.ts'
import { type AcceptorLine, add, FIGURE, type FigureTable, figureOf, serviceColumn } from '../observe/figure.ts'
import type { SlotTable } from '../placement/slots.ts'

/** A shard that took nothing for so long though something was posted gets nothing more until it moves. */
const STALLED_MS = 1_000
/** Nor does one that owes so many: what lies in the port of a shard that dies is lost. */
const UNTAKEN_MAX = 4_096
/** Heartbeats of a stalled shard after which what it owes was not lost in its loop but on the way. */
const STALLED_BEATS = 8

interface ShardLine {
  readonly row: Float64Array
  port: MessagePort | undefined
  /** Posted over the life of the process, by service index. */
  readonly posted: Float64Array
  /** Of those, counted as taken in the metrics. */
  readonly acknowledged: Float64Array
  /** Number of the last connection posted through this port. */
  sequence: number
  /** What the shard had taken when the acceptor last looked, and since when that has not changed. */
  taken: number
  takenSinceMs: number
  beats: number
  /** Set when nothing more is to be posted to it; called when it owes nothing. */
  left: (() => void) | undefined
}

export interface HandoverDeskOptions {
  /** Of shards; a shard is named by its seat here. */
  readonly seats: number
  readonly services: readonly number[]
  readonly table: FigureTable
  /** The acceptor's own row. */
  readonly figures: Float64Array
  readonly slots: SlotTable
  readonly clock: Clock
  readonly heapRefuseAt: number
  /** Which acceptor this is. */
  readonly line: AcceptorLine
}

export class HandoverDesk {
  readonly #options: HandoverDeskOptions
  readonly #lines: ShardLine[]
  /** Its successor keeps the books. */
  #retired = false

  constructor(options: HandoverDeskOptions) {
    this.#options = options
    const counts = (): Float64Array => new Float64Array(Math.max(0, ...options.services) + 1)
    this.#lines = Array.from({ length: options.seats }, (_, shard) => ({
      row: options.table.row(threadOfSeat(shard)),
      port: undefined,
      posted: counts(),
      acknowledged: counts(),
      sequence: 0,
      taken: 0,
      takenSinceMs: 0,
      beats: 0,
      left: undefined,
    }))
    // The metrics outlive an acceptor: what its predecessor counted is not counted again.
    for (const line of this.#lines) {
      for (const service of options.services) {
        line.acknowledged[service] = figureOf(line.row, serviceColumn(service, 'opened'))
      }
      this.#settle(line)
    }
  }

  shardUp(shard: number, port: MessagePort): void {
    const line = this.#lines[shard]
    if (line === undefined) return
    this.#settle(line)
    line.port = port
    line.sequence = 0
    line.taken = 0
    line.takenSinceMs = this.#options.clock.nowMs()
    line.left = undefined
  }

  /** Nothing more is posted to the shard; settles when it has taken what was. */
  shardLeaving(shard: number): Promise<void> {
    const line = this.#lines[shard]
    if (line?.port === undefined) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    line.left = resolve
    this.#endIfLeft(shard, line)
    return promise
  }

  #endIfLeft(shard: number, line: ShardLine): void {
    if (line.left === undefined || (line.port !== undefined && this.#look(shard, line) > 0)) return
    line.left()
  }

  /** What was posted and not taken is lost: the sockets were closed with the port that held them. */
  shardDown(shard: number): number {
    const line = this.#lines[shard]
    if (line === undefined) return 0
    line.port?.close()
    line.port = undefined
    line.left?.()
    return this.#settle(line)
  }

  /** The shard for a key, or another that takes connections; -1: none does. */
  shardFor(key: string, serviceIndex: number): number {
    const chosen = this.#options.slots.shardOfKey(key)
    if (this.#takes(chosen) && this.#hasHeap(chosen)) return chosen
    // First one with heap to spare; a full one is still better than none.
    const other = this.#nextAfter(chosen, (shard) => this.#takes(shard) && this.#hasHeap(shard))
    const found =
      other >= 0 ? other : this.#takes(chosen) ? chosen : this.#nextAfter(chosen, (shard) => this.#takes(shard))
    if (found >= 0 && found !== chosen) add(this.#options.figures, serviceColumn(serviceIndex, 'handoffsRerouted'), 1)
    return found
  }

  /** Gives a connection away; whatever happens, the acceptor has no part in it any more. */
  post(shard: number, serviceIndex: number, connection: Omit<Handover, 'sequence'>): void {
    const line = this.#lines[shard]
    if (line === undefined) return
    line.sequence = (line.sequence + 1) | 0
    line.posted[serviceIndex] = (line.posted[serviceIndex] as number) + 1
    const handover: Handover = { sequence: line.sequence, ...connection }
    const moved = (connection.handle ?? connection.socket) as unknown as MessagePort
    line.port?.postMessage(handover, [moved])
  }

  /**
   * With every beat: brings the metrics up to what the shards have taken, and writes off what got lost on the way. Node
   * drops a message silently when the process has no descriptor left for the handle in it. Answers how many were lost.
   */
  acknowledge(): number {
    const { table, clock } = this.#options
    let lost = 0
    for (const [shard, line] of this.#lines.entries()) {
      if (line.port === undefined) continue
      this.#countTaken(line)
      this.#endIfLeft(shard, line)
      const owed = this.#look(shard, line)
      const stalled = clock.nowMs() - line.takenSinceMs > STALLED_MS
      const alive = table.beats(threadOfSeat(shard)) - line.beats >= STALLED_BEATS
      if (owed <= 0 || (stalled && alive)) lost += this.#settle(line)
    }
    return lost
  }

  /** A successor has the listeners; this one only gives away what it still holds. */
  retire(): void {
    this.#retired = true
  }

  /** Connections that were given away and have not arrived. */
  get owed(): number {
    return this.#lines.reduce(
      (sum, line, shard) => sum + (line.port === undefined ? 0 : Math.max(0, this.#look(shard, line))),
      0,
    )
  }

  /** Connections of a service that live on shards, or are on their way to one. */
  openOf(serviceIndex: number): number {
    let open = 0
    for (const { row, posted } of this.#lines) {
      open += (posted[serviceIndex] as number) - figureOf(row, serviceColumn(serviceIndex, 'closed'))
    }
    return open
  }

  #nextAfter(chosen: number, fits: (shard: number) => boolean): number {
    for (let step = 1; step < this.#lines.length; step++) {
      const shard = (chosen + step) % this.#lines.length
      if (fits(shard)) return shard
    }
    return -1
  }

  #takes(shard: number): boolean {
    const line = this.#lines[shard]
    if (
      line?.port === undefined ||
      line.left !== undefined ||
      this.#options.table.state(threadOfSeat(shard)) !== 'ready'
    )
      return false
    const owed = this.#look(shard, line)
    if (owed <= 0) return true
    return owed < UNTAKEN_MAX && this.#options.clock.nowMs() - line.takenSinceMs <= STALLED_MS
  }

  #hasHeap(shard: number): boolean {
    const row = this.#lines[shard]?.row
    if (row === undefined) return false
    return figureOf(row, FIGURE.heapUsedBytes) < this.#options.heapRefuseAt * figureOf(row, FIGURE.heapLimitBytes)
  }

  /** Notes what the shard has taken; answers how many it owes. */
  #look(shard: number, line: ShardLine): number {
    const { table, clock } = this.#options
    const thread = threadOfSeat(shard)
    const taken = table.taken(thread, this.#options.line)
    // A shard that owed nothing until now starts to owe now.
    if (taken !== line.taken || line.sequence === line.taken) {
      line.taken = taken
      line.takenSinceMs = clock.nowMs()
      line.beats = table.beats(thread)
    }
    return (line.sequence - taken) | 0
  }

  #countTaken(line: ShardLine): void {
    if (this.#retired) return
    for (const service of this.#options.services) {
      const opened = figureOf(line.row, serviceColumn(service, 'opened'))
      add(this.#options.figures, serviceColumn(service, 'handoffsOk'), opened - (line.acknowledged[service] as number))
      line.acknowledged[service] = opened
    }
  }

  /** What was posted is what was taken: the difference, if any, is lost and counted. */
  #settle(line: ShardLine): number {
    let lost = 0
    this.#countTaken(line)
    for (const service of this.#options.services) {
      const opened = figureOf(line.row, serviceColumn(service, 'opened'))
      const untaken = (line.posted[service] as number) - opened
      if (untaken > 0 && !this.#retired) {
        lost += untaken
        add(this.#options.figures, serviceColumn(service, 'handoffsFailed'), untaken)
      }
      line.posted[service] = opened
    }
    line.sequence = line.taken
    return lost
  }
}
