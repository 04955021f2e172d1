// A page of /metrics, parsed: families, and series by name and labels.
import assert from 'node:assert/strict'

export interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/g

export class MetricPage {
  /** Family → type, from the TYPE lines. */
  readonly families = new Map<string, string>()
  readonly series: Series[] = []

  /** Fails on a line that is not of the text format 0.0.4. */
  constructor(text: string) {
    for (const line of text.split('\n')) {
      if (line === '') continue
      const [, family, type] = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line) ?? []
      if (family !== undefined && type !== undefined) this.families.set(family, type)
      if (line.startsWith('#')) continue
      const [, name, labels = '', value] = SAMPLE.exec(line) ?? []
      assert.ok(name !== undefined && value !== undefined && !Number.isNaN(Number(value)), `a sample: ${line}`)
      const pairs = [...labels.matchAll(LABEL)].map(([, key = '', text = '']) => [key, text] as const)
      this.series.push({ name, labels: Object.fromEntries(pairs), value: Number(value) })
    }
  }

  /** The sum of all series of `name` whose labels include `labels`; fails if there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.series.filter(
      (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    )
    assert.ok(found.length > 0, `a series ${name} ${JSON.stringify(labels)}`)
    return found.reduce((sum, { value }) => sum + value, 0)
  }
}
