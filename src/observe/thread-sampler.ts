// Measures the thread it runs in and writes the figures of its loop and heap. Called on each heartbeat.
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { FIGURE } from './figure.ts'

// 20 native ticks a second and histogram: invisible in the CPU figures of an idle loop.
const DELAY_RESOLUTION_MS = 50

type DelayHistogram = ReturnType<typeof monitorEventLoopDelay>

export class ThreadSampler {
  readonly #row: Float64Array
  readonly #heapLimitBytes: number | undefined
  // Two, reset in turn: a histogram does not count the tick after its reset, so a loop that blocks right then would
  // go unseen. The one that is read has run for two intervals, and what it missed at its start the other one saw.
  #older: DelayHistogram = startedHistogram()
  #younger: DelayHistogram = startedHistogram()
  #utilization: EventLoopUtilization = performance.eventLoopUtilization()

  /** `heapLimitBytes`: the heap the thread is meant to have; without it what V8 would let it have. */
  constructor(row: Float64Array, heapLimitBytes?: number) {
    this.#row = row
    this.#heapLimitBytes = heapLimitBytes
  }

  /** Writes utilisation since the last call, delay since the one before, and the heap as it is now. */
  sample(): void {
    const now = performance.eventLoopUtilization()
    this.#row[FIGURE.utilization] = performance.eventLoopUtilization(now, this.#utilization).utilization
    this.#utilization = now
    // The histogram holds the time between ticks, so an idle loop shows the resolution.
    const p99Ms = this.#older.count === 0 ? 0 : this.#older.percentile(99) / 1e6
    this.#row[FIGURE.delaySeconds] = Math.max(0, p99Ms - DELAY_RESOLUTION_MS) / 1000
    this.#older.reset()
    const older = this.#older
    this.#older = this.#younger
    this.#younger = older
    const heap = getHeapStatistics()
    this.#row[FIGURE.heapUsedBytes] = heap.used_heap_size
    // V8's own limit has room for new objects on top of what was asked for, tens of MiB that never fill up: measured
    // against it a small heap would look half empty until V8 ends the thread.
    this.#row[FIGURE.heapLimitBytes] = this.#heapLimitBytes ?? heap.heap_size_limit
  }

  close(): void {
    this.#older.disable()
    this.#younger.disable()
  }
}

function startedHistogram(): DelayHistogram {
  const histogram = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
  histogram.enable()
  return histogram
}
