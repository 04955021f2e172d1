// Reads the figure table into reports. Needs no answer from any thread, so it works while they hang.
import type { Clock } from '../lib/clock.ts'
import { THREAD, threadLabel } from '../lib/thread.ts'
import {
  FIGURE,
  type FigureTable,
  figureOf,
  openConnections,
  SERVICE_FIGURES,
  type ServiceFigureName,
  serviceColumn,
} from './figure.ts'
import type {
  HealthReport,
  HealthStatus,
  ListenerReport,
  Readiness,
  RuntimeReport,
  ServiceReport,
  ShardState,
  ThreadReport,
} from './report.ts'

export interface StatusOptions {
  readonly table: FigureTable
  /** Names by service index. */
  readonly services: readonly string[]
  /** Indexes of the services that run; default all. Only they are in reports. */
  readonly enabled?: ReadonlySet<number>
  readonly version: string
  readonly clock: Clock
  readonly readiness: () => Readiness
  /** The listeners that are open. */
  readonly listeners: () => readonly ListenerReport[]
}

type ServiceTotals = Readonly<Record<ServiceFigureName, number>>

interface Sample {
  readonly atMs: number
  readonly totals: readonly ServiceTotals[]
}

export class Status {
  readonly #options: StatusOptions
  readonly #startMs: number
  #older: Sample
  #newer: Sample

  constructor(options: StatusOptions) {
    this.#options = options
    this.#startMs = options.clock.nowMs()
    this.#newer = this.#takeSample()
    this.#older = this.#newer
  }

  /** To be called at a steady pace, about once a second: rates are those between the last two calls. */
  sample(): void {
    this.#older = this.#newer
    this.#newer = this.#takeSample()
  }

  health(): HealthReport {
    const { services, version, listeners } = this.#options
    const shards = this.#shards()
    const up = shards.filter(({ state }) => isUp(state)).length
    const status: HealthStatus = up === 0 ? 'unhealthy' : up < shards.length ? 'degraded' : 'healthy'
    const totals = this.#takeSample().totals
    return {
      status,
      uptime_seconds: this.#uptimeSeconds(),
      version,
      services: Object.fromEntries(
        this.#running(services.map((name, service) => [name, { status, connections: openOf(totals[service]) }])),
      ),
      shards: shards.map(({ id, state, connections }) => ({ id, state, connections })),
      listeners: listeners(),
    }
  }

  runtime(): RuntimeReport {
    const { table, services, version, clock, readiness, listeners } = this.#options
    const others = table.threads().filter((thread) => thread < THREAD.firstShard)
    const { totals } = this.#takeSample()
    return {
      version,
      node: process.version,
      time_ms: clock.wallMs(),
      uptime_seconds: this.#uptimeSeconds(),
      readiness: readiness(),
      shards: this.#shards(),
      threads: others.map((thread) => this.#thread(thread)),
      services: this.#running(services.map((name, service) => this.#service(name, service, totals[service]))),
      listeners: listeners(),
    }
  }

  #shards(): (ThreadReport & { id: number })[] {
    const shards = this.#options.table.threads().filter((thread) => thread >= THREAD.firstShard)
    return shards.map((thread) => ({ id: thread - THREAD.firstShard, ...this.#thread(thread) }))
  }

  #thread(thread: number): ThreadReport {
    const { table, services } = this.#options
    const row = table.row(thread)
    const state = table.state(thread)
    let connections = 0
    let messagesIn = 0
    let messagesOut = 0
    for (const service of services.keys()) {
      connections += openConnections(row, service)
      messagesIn += figureOf(row, serviceColumn(service, 'messagesIn'))
      messagesOut += figureOf(row, serviceColumn(service, 'messagesOut'))
    }
    return {
      name: threadLabel(thread),
      // A thread retired between the listing and now.
      state: state === 'absent' ? 'dead' : state,
      generation: table.generation(thread),
      restarts: table.restarts(thread),
      connections,
      eventloop_utilization: figureOf(row, FIGURE.utilization),
      eventloop_delay_seconds: figureOf(row, FIGURE.delaySeconds),
      heap_used_bytes: figureOf(row, FIGURE.heapUsedBytes),
      heap_limit_bytes: figureOf(row, FIGURE.heapLimitBytes),
      bytes_in: figureOf(row, FIGURE.bytesIn),
      bytes_out: figureOf(row, FIGURE.bytesOut),
      unsent_bytes: figureOf(row, FIGURE.unsentBytes),
      messages_in: messagesIn,
      messages_out: messagesOut,
      ring_records_in: figureOf(row, FIGURE.ringRecordsIn),
      ring_records_out: figureOf(row, FIGURE.ringRecordsOut),
      ring_full: figureOf(row, FIGURE.ringFull),
      ring_refused: figureOf(row, FIGURE.ringRefused),
      ring_watchdog_wakes: figureOf(row, FIGURE.ringWatchdogWakes),
      ring_used_bytes: figureOf(row, FIGURE.ringUsedBytes),
      ring_overflow_bytes: figureOf(row, FIGURE.ringOverflowBytes),
      timers_scheduled: figureOf(row, FIGURE.timersScheduled),
      timers_fired: figureOf(row, FIGURE.timersFired),
      timers_late: figureOf(row, FIGURE.timersLate),
    }
  }

  #service(name: string, service: number, totals: ServiceTotals | undefined): ServiceReport {
    const newer = this.#newer.totals[service]
    const older = this.#older.totals[service]
    const seconds = (this.#newer.atMs - this.#older.atMs) / 1000
    const rate = (figure: ServiceFigureName): number =>
      seconds <= 0 ? 0 : ((newer?.[figure] ?? 0) - (older?.[figure] ?? 0)) / seconds
    return {
      name,
      connections: openOf(totals),
      opened: totals?.opened ?? 0,
      messages_in: totals?.messagesIn ?? 0,
      messages_out: totals?.messagesOut ?? 0,
      opened_per_second: rate('opened'),
      messages_in_per_second: rate('messagesIn'),
      messages_out_per_second: rate('messagesOut'),
      handoffs_ok: totals?.handoffsOk ?? 0,
      handoffs_failed: totals?.handoffsFailed ?? 0,
      handoffs_rerouted: totals?.handoffsRerouted ?? 0,
    }
  }

  // Rows of retired threads count too: totals must never go down.
  #takeSample(): Sample {
    const { table, services, clock } = this.#options
    const rows = table.everStarted().map((thread) => table.row(thread))
    const totals = services.map((_, service) => {
      const sums: Record<ServiceFigureName, number> = { ...ZERO }
      for (const row of rows) {
        for (const figure of SUMMED) sums[figure] += figureOf(row, serviceColumn(service, figure))
      }
      return sums
    })
    return { atMs: clock.nowMs(), totals }
  }

  #running<T>(ofServices: readonly T[]): T[] {
    const { enabled } = this.#options
    return ofServices.filter((_, service) => enabled?.has(service) ?? true)
  }

  #uptimeSeconds(): number {
    return Math.floor((this.#options.clock.nowMs() - this.#startMs) / 1000)
  }
}

const ZERO: ServiceTotals = {
  opened: 0,
  closed: 0,
  messagesIn: 0,
  messagesOut: 0,
  handoffsOk: 0,
  handoffsFailed: 0,
  handoffsRerouted: 0,
}
// Backwards, so that `closed` is read before `opened` and their difference is never negative.
const SUMMED = (Object.keys(SERVICE_FIGURES) as ServiceFigureName[]).reverse()

function openOf(totals: ServiceTotals | undefined): number {
  return totals === undefined ? 0 : totals.opened - totals.closed
}

function isUp(state: ShardState): boolean {
  return state === 'ready' || state === 'draining'
}
