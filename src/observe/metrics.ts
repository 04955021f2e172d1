// The metrics of one thread beyond the core figures: cells that hot code increments, read only when main collects.
// Cells and buckets are our own because prom-client hashes labels on each observation (bench/metric.bench.ts); its
// JSON shape is kept, so that its aggregation and text format serve both kinds.
import { Registry } from 'prom-client'
import { assert } from '../lib/assert.ts'
import { closedValue, type Family, type LabelSets } from './family.ts'

/** A family as prom-client's `getMetricsAsJSON` shapes it; structured-cloneable. */
export interface MetricJson {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly aggregator: string
  readonly values: readonly MetricJsonValue[]
}

export interface MetricJsonValue {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  /** Only where it differs from the family's name: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string
}

/** A value that hot code changes: `cell.value += n`. */
export interface Cell {
  value: number
}

export interface HistogramCell {
  observe(value: number): void
}

/** One value for each label of the family. */
export type LabelValues<L extends LabelSets> = { readonly [K in keyof L]: string }

/** The series of a counter or gauge. */
export interface Series<L extends LabelSets> {
  /** The same cell for the same labels: look it up once. A value outside the closed set shares the cell `other`. */
  cell(labels: LabelValues<L>): Cell
  /** A value that is asked for when main collects. */
  read(labels: LabelValues<L>, value: () => number): void
}

export interface HistogramSeries<L extends LabelSets> {
  cell(labels: LabelValues<L>): HistogramCell
}

interface Collected {
  collect(): MetricJsonValue[]
}

interface Registered {
  readonly family: Family
  readonly series: Map<string, Collected>
}

export class ThreadMetrics {
  /** For metrics made with prom-client itself, by user code or a library. Their labels are their maker's duty. */
  readonly registry = new Registry()
  readonly #families = new Map<string, Registered>()

  counter<L extends LabelSets>(family: Family<L> & { type: 'counter' }): Series<L> {
    return new ValueSeries(this.#register(family))
  }

  gauge<L extends LabelSets>(family: Family<L> & { type: 'gauge' }): Series<L> {
    return new ValueSeries(this.#register(family))
  }

  histogram<L extends LabelSets>(
    family: Family<L> & { type: 'histogram'; buckets: readonly number[] },
  ): HistogramSeries<L> {
    const { series } = this.#register(family)
    return {
      cell: (labels) => {
        const closed = closedLabels(family, labels)
        const key = keyOf(closed)
        const found = series.get(key)
        if (found !== undefined) return found as Collected & HistogramCell
        const cell = new BucketCell(family.name, family.buckets, closed)
        series.set(key, cell)
        return cell
      },
    }
  }

  /** Everything of this thread, without the label `shard`: main adds it. */
  async collect(): Promise<MetricJson[]> {
    const own = [...this.#families.values()].map(({ family, series }): MetricJson => {
      const values = [...series.values()].flatMap((cell) => cell.collect())
      return { name: family.name, help: family.help, type: family.type, aggregator: 'sum', values }
    })
    // prom-client declares `type` a numeric enum and delivers strings.
    return [...own, ...((await this.registry.getMetricsAsJSON()) as unknown as MetricJson[])]
  }

  // Asking twice for a family gives the same series: two connections of a service share it.
  #register(family: Family): Registered {
    const known = this.#families.get(family.name)
    if (known !== undefined) {
      assert(known.family.type === family.type, `metric ${family.name} is registered with one type`)
      return known
    }
    const registered = { family, series: new Map<string, Collected>() }
    this.#families.set(family.name, registered)
    return registered
  }
}

class ValueSeries<L extends LabelSets> implements Series<L> {
  readonly #registered: Registered

  constructor(registered: Registered) {
    this.#registered = registered
  }

  cell(labels: LabelValues<L>): Cell {
    const closed = closedLabels(this.#registered.family, labels)
    const key = keyOf(closed)
    const found = this.#registered.series.get(key)
    if (found instanceof ValueCell) return found
    assert(found === undefined, 'a series is a cell or is read, not both')
    const cell = new ValueCell(closed)
    this.#registered.series.set(key, cell)
    return cell
  }

  read(labels: LabelValues<L>, value: () => number): void {
    const closed = closedLabels(this.#registered.family, labels)
    this.#registered.series.set(keyOf(closed), { collect: () => [{ value: value(), labels: closed }] })
  }
}

class ValueCell implements Cell, Collected {
  value = 0
  readonly #labels: Readonly<Record<string, string>>

  constructor(labels: Readonly<Record<string, string>>) {
    this.#labels = labels
  }

  collect(): MetricJsonValue[] {
    return [{ value: this.value, labels: this.#labels }]
  }
}

class BucketCell implements HistogramCell, Collected {
  readonly #name: string
  readonly #labels: Readonly<Record<string, string>>
  readonly #bounds: Float64Array
  /** One count per bound and one for what is above the last. */
  readonly #counts: Float64Array
  #sum = 0

  constructor(name: string, bounds: readonly number[], labels: Readonly<Record<string, string>>) {
    this.#name = name
    this.#labels = labels
    this.#bounds = Float64Array.from(bounds)
    this.#counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    // Linear: there are about a dozen bounds, and most turns end in the first few.
    const bounds = this.#bounds
    let index = 0
    while (index < bounds.length && value > (bounds[index] as number)) index++
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.#sum += value
  }

  collect(): MetricJsonValue[] {
    const values: MetricJsonValue[] = []
    let count = 0
    for (const [index, bucket] of this.#counts.entries()) {
      count += bucket
      const le = this.#bounds[index] ?? '+Inf'
      values.push({ metricName: `${this.#name}_bucket`, labels: { ...this.#labels, le }, value: count })
    }
    values.push({ metricName: `${this.#name}_sum`, labels: this.#labels, value: this.#sum })
    values.push({ metricName: `${this.#name}_count`, labels: this.#labels, value: count })
    return values
  }
}

function closedLabels(family: Family, labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(family.labels).map(([name, set]) => [name, closedValue(set, String(labels[name]))]),
  )
}

function keyOf(labels: Readonly<Record<string, string>>): string {
  return Object.values(labels).join('\0')
}
