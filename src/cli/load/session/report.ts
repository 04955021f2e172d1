// The report of a load test of the session proxy, as data (what `--json` prints) and as text. Pure.
import { formatNanoseconds } from '../../../lib/units.ts'
import { type SessionBooks, WORKER_ERRORS, type WorkerError } from './books.ts'
import type { SessionPlan } from './plan.ts'

/** A generator that is busy for so much of the time measures itself. */
const GENERATOR_BUSY_MAX = 0.9

export interface SessionLatency {
  readonly minNs: number
  readonly averageNs: number
  readonly p50Ns: number
  readonly p95Ns: number
  readonly p99Ns: number
  readonly maxNs: number
}

export interface SessionReport {
  /** No error, and nothing is missing. */
  readonly ok: boolean
  readonly interrupted: boolean
  readonly target: string
  readonly workers: number
  readonly warmupMs: number
  readonly durationMs: number
  readonly intervalMs: number
  readonly jitter: boolean
  readonly seed: number
  readonly measurements: number
  readonly errors: number
  /** From a message's timestamp to its receipt; null without measurements. */
  readonly latency: SessionLatency | null
  readonly delivery: {
    readonly sent: number
    readonly received: number
    /** Null when nothing was sent. */
    readonly ratioPercent: number | null
    readonly missing: number
  }
  readonly workerErrors: Readonly<Record<WorkerError, number>> & {
    readonly total: number
    readonly details: Readonly<Record<string, number>>
  }
  readonly drain: SessionBooks['drain']
  readonly publishing: { readonly attempts: number; readonly successes: number }
  /** Notices of the proxy that messages may be missing. */
  readonly gaps: number
  /** Sessions that were open, and the busy share of this process meanwhile. */
  readonly sessions: number
  readonly busy: number
  readonly warnings: readonly string[]
}

export function sessionReportOf(
  plan: SessionPlan,
  books: SessionBooks,
  { busy, interrupted }: { readonly busy: number; readonly interrupted: boolean },
): SessionReport {
  const { sent, received, missing, errorCount } = books
  const warnings =
    busy > GENERATOR_BUSY_MAX
      ? [`the load test was busy for ${Math.round(busy * 100)} % of the time: latencies are partly its own`]
      : []
  return {
    ok: errorCount === 0 && missing === 0,
    interrupted,
    target: `${plan.host}:${plan.port}`,
    workers: plan.workers,
    warmupMs: plan.warmupMs,
    durationMs: plan.durationMs,
    intervalMs: plan.intervalMs,
    jitter: plan.jitter,
    seed: plan.seed,
    measurements: books.latenciesNs.length,
    errors: errorCount,
    latency: latencyOf(books.latenciesNs),
    delivery: { sent, received, ratioPercent: sent === 0 ? null : (received / sent) * 100, missing },
    workerErrors: { total: errorCount, ...books.errors, details: books.details },
    drain: books.drain,
    publishing: { attempts: books.attempts, successes: books.successes },
    gaps: books.gaps,
    sessions: books.opened,
    busy,
    warnings,
  }
}

/** Element round(p / 100 · (n − 1)) of the sorted list. */
export function percentileOf(sorted: readonly number[] | Float64Array, percentile: number): number {
  return sorted[Math.round((percentile / 100) * (sorted.length - 1))] ?? 0
}

export function latencyOf(latenciesNs: readonly number[]): SessionLatency | null {
  if (latenciesNs.length === 0) return null
  const sorted = Float64Array.from(latenciesNs).sort()
  return {
    minNs: percentileOf(sorted, 0),
    averageNs: Math.round(sorted.reduce((sum, value) => sum + value, 0) / sorted.length),
    p50Ns: percentileOf(sorted, 50),
    p95Ns: percentileOf(sorted, 95),
    p99Ns: percentileOf(sorted, 99),
    maxNs: percentileOf(sorted, 100),
  }
}

export function formatSessionReport(report: SessionReport): string {
  const { delivery, workerErrors, drain, publishing, gaps, warnings } = report
  const ratio = delivery.ratioPercent === null ? 'nothing was sent' : `${percent(delivery.ratioPercent)}%`
  const blocks = [
    ['=== Load Test Results ===', `Total measurements: ${report.measurements}`, `Errors: ${report.errors}`],
    ['Latency Statistics:', ...latencyLines(report.latency)],
    block('Delivery', { Sent: delivery.sent, Received: delivery.received, Ratio: ratio, Missing: delivery.missing }),
    [
      ...block('Worker Errors', { Total: workerErrors.total, ...errorRows(workerErrors) }),
      ...Object.entries(workerErrors.details).map(([text, times]) => `    ${text}: ${times}`),
    ],
    block('Drain', {
      Needed: drain.needed,
      Completed: drain.completed,
      'Closed early': drain.closedEarly,
      'Timed out': drain.timedOut,
    }),
    block('Publishing', { Attempts: publishing.attempts, Successes: publishing.successes }),
  ]
  const notes = [
    ...(gaps > 0 ? [`Gap notices: ${gaps}`] : []),
    ...(report.interrupted ? ['Ended early: interrupted'] : []),
    ...warnings.map((warning) => `Warning: ${warning}`),
  ]
  if (notes.length > 0) blocks.push(notes)
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function latencyLines(latency: SessionLatency | null): string[] {
  if (latency === null) return ['  no measurements']
  const rows = [
    ['Min', latency.minNs],
    ['Average', latency.averageNs],
    ['P50', latency.p50Ns],
    ['P95', latency.p95Ns],
    ['P99', latency.p99Ns],
    ['Max', latency.maxNs],
  ] as const
  return rows.map(([name, ns]) => `  ${`${name}:`.padEnd(8)} ${formatNanoseconds(ns)}`)
}

function errorRows(errors: Readonly<Record<WorkerError, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(WORKER_ERRORS).map(([kind, name]) => [name, errors[kind as WorkerError]]))
}

/** A title, and its rows with their values in one column. */
function block(title: string, rows: Readonly<Record<string, number | string>>): string[] {
  const width = Math.max(...Object.keys(rows).map((name) => name.length)) + 1
  return [`${title}:`, ...Object.entries(rows).map(([name, value]) => `  ${`${name}:`.padEnd(width)} ${value}`)]
}

/** Never 100 while something is missing. */
function percent(value: number): number {
  return Math.floor(value * 100) / 100
}
