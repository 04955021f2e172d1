// Main's page of metrics: the figures of every thread, from shared memory, and what those threads answered that are
// alive. A thread that hangs is still on the page, with its figures. Text format 0.0.4.
import { AggregatorRegistry, type Registry } from 'prom-client'
import { isAcceptor, otherSeat, seatOfThread, THREAD, threadLabel, threadOfSeat } from '../lib/thread.ts'
import { CLOSE_REASONS, FAMILIES, type Family, type FamilyName, REFUSE_REASONS } from './family.ts'
import {
  closedColumn,
  FIGURE,
  FIGURES,
  type FigureName,
  type FigureTable,
  figureOf,
  openConnections,
  refusedColumn,
  SERVICE_FIGURES,
  type ServiceFigureName,
  serviceColumn,
} from './figure.ts'
import type { MetricJson, MetricJsonValue } from './metrics.ts'
import { processValues } from './process-figure.ts'

export const EXPOSITION_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** How long the page waits for the threads; those that are late are on it with their figures only. */
export const COLLECT_DEADLINE_MS = 1000

/** A thread that can be asked for its metrics. */
export interface MetricSource {
  readonly thread: number
  collect(): Promise<readonly MetricJson[]>
}

export interface ExpositionOptions {
  readonly table: FigureTable
  /** Names by service index. */
  readonly services: readonly string[]
  readonly version: string
  readonly sources: () => Iterable<MetricSource>
  readonly deadlineMs?: number
}

export class Exposition {
  readonly #options: ExpositionOptions
  /** Threads that still owe an answer, by index and generation: a hung one is asked once, not once per scrape. */
  readonly #pending = new Set<string>()
  #current: Promise<string> | undefined
  /** By family: what threads had counted that are no more. One series for each label set, however many threads. */
  readonly #kept = new Map<string, MetricJson>()

  constructor(options: ExpositionOptions) {
    this.#options = options
  }

  /** Keeps the last counters of a thread that ends and is not replaced: totals must never go down. */
  async keep(thread: number, last: Promise<readonly MetricJson[]> | undefined): Promise<void> {
    const { promise: deadline, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => resolve(undefined), this.#options.deadlineMs ?? COLLECT_DEADLINE_MS)
    try {
      const metrics = (await Promise.race([last, deadline])) ?? []
      for (const metric of withShard(metrics, threadLabel(thread))) if (metric.type !== 'gauge') this.#keep(metric)
    } catch {
      // It died before it could tell: as after a crash, what it alone had counted begins anew.
    } finally {
      clearTimeout(timer)
    }
  }

  #keep(metric: MetricJson): void {
    const known = this.#kept.get(metric.name)
    const values = new Map(known?.values.map((value) => [seriesOf(value), value]))
    for (const value of metric.values) {
      const before = values.get(seriesOf(value))?.value ?? 0
      values.set(seriesOf(value), { ...value, value: before + value.value })
    }
    this.#kept.set(metric.name, { ...metric, values: [...values.values()] })
  }

  /** The page, or of it the families whose names begin with `prefix`. Scrapes that come together share one collection. */
  async text(prefix = ''): Promise<string> {
    this.#current ??= this.#render().finally(() => {
      this.#current = undefined
    })
    const page = await this.#current
    return prefix === '' ? page : linesOf(page, prefix)
  }

  async #render(): Promise<string> {
    const answers = await this.#collect()
    const main = threadLabel(THREAD.main)
    const figures = new Map<FamilyName, MetricJsonValue[]>()
    collectFigures(this.#options.table, this.#options.services, figures)
    for (const [name, value] of processValues()) figures.set(name, [{ value, labels: { shard: main } }])
    const build = { shard: main, version: this.#options.version, node: process.version }
    figures.set('buildInfo', [{ value: 1, labels: build }])
    // Every family of the table is on every page, with or without series, so that a name never comes and goes.
    const own = (Object.entries(FAMILIES) as [FamilyName, Family][]).map(
      ([key, { name, help, type }]): MetricJson => ({
        name,
        help,
        type,
        aggregator: 'sum',
        values: figures.get(key) ?? [],
      }),
    )
    const registry: Registry = AggregatorRegistry.aggregate([own, ...answers, [...this.#kept.values()]])
    return registry.metrics()
  }

  async #collect(): Promise<MetricJson[][]> {
    const answers: MetricJson[][] = []
    const asked: Promise<void>[] = []
    for (const source of this.#options.sources()) {
      const key = `${source.thread} ${this.#options.table.generation(source.thread)}`
      if (this.#pending.has(key)) continue
      this.#pending.add(key)
      const answered = source
        .collect()
        .then((metrics) => void answers.push(withShard(metrics, threadLabel(source.thread))))
        // A thread that cannot answer has ended or hangs: `polyloop_shard_up` says so on the same page.
        .catch(() => undefined)
        .finally(() => this.#pending.delete(key))
      asked.push(answered)
    }
    const { promise: deadline, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#options.deadlineMs ?? COLLECT_DEADLINE_MS)
    await Promise.race([Promise.all(asked), deadline])
    clearTimeout(timer)
    // A copy: an answer that comes after the deadline must not change the page under way.
    return [...answers]
  }
}

function linesOf(page: string, prefix: string): string {
  const heads = [prefix, `# HELP ${prefix}`, `# TYPE ${prefix}`]
  const lines = page.split('\n').filter((line) => heads.some((head) => line.startsWith(head)))
  return `${lines.join('\n')}\n`
}

function seriesOf({ metricName = '', labels }: MetricJsonValue): string {
  return `${metricName} ${JSON.stringify(labels)}`
}

function withShard(metrics: readonly MetricJson[], shard: string): MetricJson[] {
  return metrics.map((metric) => ({
    ...metric,
    // Ours wins over a label `shard` of user code: series of two threads must not become one.
    values: metric.values.map((value) => ({ ...value, labels: { ...value.labels, shard } })),
  }))
}

function collectFigures(
  table: FigureTable,
  services: readonly string[],
  into: Map<FamilyName, MetricJsonValue[]>,
): void {
  const push = (family: FamilyName, value: number, labels: Readonly<Record<string, string>>): void => {
    const values = into.get(family)
    if (values === undefined) into.set(family, [{ value, labels }])
    else values.push({ value, labels })
  }
  for (const thread of table.everStarted()) {
    const row = table.row(thread)
    const shard = threadLabel(thread)
    const state = table.state(thread)
    // A thread that has retired has counters still. Two threads of one shard, of which one takes over, are one series:
    // their figures are added up, but for those that say how one thread is.
    const isHere = state !== 'absent'
    const isAlone = isHere && !hasSuccessor(table, thread)
    if (isAlone) push('up', state === 'ready' || state === 'draining' ? 1 : 0, { shard })
    push('restarts', table.restarts(thread), { shard })
    for (const name of Object.keys(FIGURES) as FigureName[]) {
      const figure = FIGURES[name]
      if (FAMILIES[figure.family].type === 'gauge' && !(OF_ONE_THREAD.includes(name) ? isAlone : isHere)) continue
      push(figure.family, figureOf(row, FIGURE[name]), { shard, ...('labels' in figure ? figure.labels : {}) })
    }
    for (const reason of CLOSE_REASONS) push('netClosed', figureOf(row, closedColumn(reason)), { shard, reason })
    if (isAcceptor(thread)) {
      for (const reason of REFUSE_REASONS) push('netRefused', figureOf(row, refusedColumn(reason)), { shard, reason })
    }
    for (const [service, name] of services.entries()) {
      for (const figure of serviceFiguresOf(thread)) {
        const { family, ...rest } = SERVICE_FIGURES[figure]
        if (figure === 'closed' && !isHere) continue
        const value =
          figure === 'closed' ? openConnections(row, service) : figureOf(row, serviceColumn(service, figure))
        push(family, value, { shard, service: name, ...('labels' in rest ? rest.labels : {}) })
      }
    }
  }
}

const OF_ONE_THREAD: readonly FigureName[] = ['utilization', 'delaySeconds', 'heapUsedBytes', 'heapLimitBytes']

/** Whether the thread is a shard on its way out, whose successor is there. */
function hasSuccessor(table: FigureTable, thread: number): boolean {
  if (thread < THREAD.firstShard || table.state(thread) !== 'draining') return false
  return table.state(threadOfSeat(otherSeat(seatOfThread(thread)))) !== 'absent'
}

const ACCEPTOR_FIGURES: readonly ServiceFigureName[] = ['handoffsOk', 'handoffsFailed', 'handoffsRerouted']
const SHARD_FIGURES: readonly ServiceFigureName[] = ['opened', 'closed', 'messagesIn', 'messagesOut']

// Handoffs are counted where they start, connections and messages where they live: the rest would be series of zeros.
function serviceFiguresOf(thread: number): readonly ServiceFigureName[] {
  if (isAcceptor(thread)) return ACCEPTOR_FIGURES
  return thread >= THREAD.firstShard ? SHARD_FIGURES : []
}
