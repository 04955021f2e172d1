// Latencies of one thread or of a whole run: recorded in nanoseconds with three significant digits, merged by encoding.
import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js'

/** Longer ones count as this long: a run cannot wait longer than that. */
const LATENCY_NS_MAX = 2 * 3_600 * 1e9

/** What a report says of a histogram, in nanoseconds. */
export interface LatencySummary {
  readonly count: number
  readonly minNs: number
  readonly meanNs: number
  readonly p50Ns: number
  readonly p95Ns: number
  readonly p99Ns: number
  readonly p999Ns: number
  readonly maxNs: number
}

export class LatencyHistogram {
  readonly #histogram: Histogram = build({
    bitBucketSize: 32,
    autoResize: false,
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATENCY_NS_MAX,
    numberOfSignificantValueDigits: 3,
  })

  get count(): number {
    return this.#histogram.totalCount
  }

  recordMs(ms: number): void {
    // Clocks of two threads may differ by less than a microsecond: never below zero.
    this.#histogram.recordValue(Math.max(0, Math.min(Math.round(ms * 1e6), LATENCY_NS_MAX)))
  }

  percentileNs(percentile: number): number {
    if (this.count === 0) return 0
    return Math.min(this.#histogram.getValueAtPercentile(percentile), this.#histogram.maxValue)
  }

  encode(): string {
    return this.count === 0 ? '' : encodeIntoCompressedBase64(this.#histogram)
  }

  addEncoded(encoded: string): void {
    if (encoded !== '') this.#histogram.add(decodeFromCompressedBase64(encoded, 32))
  }

  summary(): LatencySummary {
    return {
      count: this.count,
      minNs: this.percentileNs(0),
      meanNs: this.count === 0 ? 0 : Math.round(this.#histogram.mean),
      p50Ns: this.percentileNs(50),
      p95Ns: this.percentileNs(95),
      p99Ns: this.percentileNs(99),
      p999Ns: this.percentileNs(99.9),
      maxNs: this.count === 0 ? 0 : this.#histogram.maxValue,
    }
  }
}
