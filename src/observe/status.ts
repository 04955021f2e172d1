// Reads the figure table into reports. Needs no answer from any thread, so it works while they hang.
import type { Clock } from '../lib/clock.ts'
import { otherSeat, seatOfThread, shardOfSeat, THREAD, THREADS_MAX, threadLabel, threadOfSeat } from '../lib/thread.ts'
import {
  FIGURE,
  type FigureTable,
  figureOf,
  openConnections,
  SERVICE_FIGURES,
  type ServiceFigureName,
  serviceColumn,
} from './figure.ts'
import {
  type BridgeReport,
  type BridgeState,
  type HealthReport,
  type HealthStatus,
  type ListenerReport,
  type MigrationReport,
  NO_MIGRATION,
  type Readiness,
  type RuntimeReport,
  type ServiceReport,
  type ShardReport,
  type ShardState,
  type ThreadReport,
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
  /** Undefined, or answers it: there is no bridge. */
  readonly bridge?: () => (BridgeState & Pick<BridgeReport, 'kind'>) | undefined
  /** Default: nothing ever moves. */
  readonly migration?: () => MigrationReport
}

type ServiceTotals = Readonly<Record<ServiceFigureName, number>>

interface Sample {
  readonly atMs: number
  readonly totals: readonly ServiceTotals[]
  /** Messages of each thread, in and out by turns. */
  readonly messages: Float64Array
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
    const shards = healthOf(this.#shards())
    const up = shards.filter(({ state }) => isUp(state)).length
    const status: HealthStatus = up === 0 ? 'unhealthy' : up < shards.length ? 'degraded' : 'healthy'
    const bridge = this.#bridge()
    const totals = this.#takeSample().totals
    return {
      // Who cannot reach the other hosts still serves: services are as well as the shards they run in.
      status: bridge?.status === 'disconnected' && status === 'healthy' ? 'degraded' : status,
      uptime_seconds: this.#uptimeSeconds(),
      version,
      services: Object.fromEntries(
        this.#running(services.map((name, service) => [name, { status, connections: openOf(totals[service]) }])),
      ),
      shards,
      listeners: listeners(),
      ...(bridge === undefined ? {} : { bridge }),
    }
  }

  runtime(): RuntimeReport {
    const { table, services, version, clock, readiness, listeners, migration } = this.#options
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
      migration: migration?.() ?? NO_MIGRATION,
    }
  }

  #bridge(): BridgeReport | undefined {
    const { bridge, table } = this.#options
    const known = bridge?.()
    if (known === undefined) return undefined
    const { kind, isUp, problem } = known
    const state = table.state(THREAD.bridge)
    // A thread that hangs, or is no more, does not say so.
    const error = state !== 'ready' ? `its thread is ${state}` : isUp ? undefined : problem
    return error === undefined ? { kind, status: 'connected' } : { kind, status: 'disconnected', error }
  }

  #shards(): ShardReport[] {
    const { table } = this.#options
    const seats = table.threads().map(seatOfThread)
    const shards = seats.filter((seat) => seat >= 0).map((seat) => this.#shard(seat))
    return shards.sort((a, b) => a.id - b.id || a.seat - b.seat)
  }

  #shard(seat: number): ShardReport {
    const { table } = this.#options
    const thread = threadOfSeat(seat)
    const row = table.row(thread)
    const report = this.#thread(thread)
    // What a predecessor did in the second of its retirement: else a reload would show as a dip that was none.
    const other = threadOfSeat(otherSeat(seat))
    const isRetired = table.state(other) === 'absent'
    return {
      id: shardOfSeat(seat),
      seat,
      ...report,
      messages_in_per_second: report.messages_in_per_second + (isRetired ? this.#messageRate(other, 0) : 0),
      messages_out_per_second: report.messages_out_per_second + (isRetired ? this.#messageRate(other, 1) : 0),
      actors: figureOf(row, FIGURE.actors),
      mailbox_depth: figureOf(row, FIGURE.mailboxDepth),
      turn_p99_seconds: figureOf(row, FIGURE.turnP99Seconds),
    }
  }

  #thread(thread: number): ThreadReport {
    const { table, services } = this.#options
    const row = table.row(thread)
    const state = table.state(thread)
    let connections = 0
    for (const service of services.keys()) connections += openConnections(row, service)
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
      messages_in: messagesOf(row, services.length, 'messagesIn'),
      messages_out: messagesOf(row, services.length, 'messagesOut'),
      messages_in_per_second: this.#messageRate(thread, 0),
      messages_out_per_second: this.#messageRate(thread, 1),
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
    const rate = (figure: ServiceFigureName): number => this.#rate((sample) => sample.totals[service]?.[figure])
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

  #messageRate(thread: number, direction: 0 | 1): number {
    return this.#rate(({ messages }) => messages[2 * thread + direction])
  }

  #rate(totalOf: (sample: Sample) => number | undefined): number {
    const seconds = (this.#newer.atMs - this.#older.atMs) / 1000
    return seconds <= 0 ? 0 : ((totalOf(this.#newer) ?? 0) - (totalOf(this.#older) ?? 0)) / seconds
  }

  // Rows of retired threads count too: totals must never go down.
  #takeSample(): Sample {
    const { table, services, clock } = this.#options
    const messages = new Float64Array(2 * THREADS_MAX)
    const rows = table.everStarted().map((thread) => {
      const row = table.row(thread)
      messages[2 * thread] = messagesOf(row, services.length, 'messagesIn')
      messages[2 * thread + 1] = messagesOf(row, services.length, 'messagesOut')
      return row
    })
    const totals = services.map((_, service) => {
      const sums: Record<ServiceFigureName, number> = { ...ZERO }
      for (const row of rows) {
        for (const figure of SUMMED) sums[figure] += figureOf(row, serviceColumn(service, figure))
      }
      return sums
    })
    return { atMs: clock.nowMs(), totals, messages }
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
  arrived: 0,
  closed: 0,
  departed: 0,
  messagesIn: 0,
  messagesOut: 0,
  handoffsOk: 0,
  handoffsFailed: 0,
  handoffsRerouted: 0,
}
// Backwards, so that what has left is read before what has come and their difference is never negative.
const SUMMED = (Object.keys(SERVICE_FIGURES) as ServiceFigureName[]).reverse()

function openOf(totals: ServiceTotals | undefined): number {
  return totals === undefined ? 0 : totals.opened + totals.arrived - totals.closed - totals.departed
}

function messagesOf(row: Float64Array, services: number, figure: 'messagesIn' | 'messagesOut'): number {
  let sum = 0
  for (let service = 0; service < services; service++) sum += figureOf(row, serviceColumn(service, figure))
  return sum
}

// The best first: a shard is as well as the better of its two seats, whatever becomes of the other during a reload.
const BEST_FIRST: readonly ShardState[] = ['ready', 'draining', 'hung', 'starting', 'dead']

/** `shards`: by number. */
function healthOf(shards: readonly ShardReport[]): HealthReport['shards'] {
  const merged: { id: number; state: ShardState; connections: number }[] = []
  for (const { id, state, connections } of shards) {
    const last = merged.at(-1)
    if (last?.id !== id) {
      merged.push({ id, state, connections })
      continue
    }
    last.connections += connections
    if (BEST_FIRST.indexOf(state) < BEST_FIRST.indexOf(last.state)) last.state = state
  }
  return merged
}

function isUp(state: ShardState): boolean {
  return state === 'ready' || state === 'draining'
}
