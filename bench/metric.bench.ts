// What counting costs on the hot path: our cells and shared-memory figures against prom-client called per event.
import { Counter, Histogram, Registry } from 'prom-client'
import { CLOSE_REASONS, FAMILIES } from '../src/observe/family.ts'
import { add, FIGURE, FigureTable, figureOf } from '../src/observe/figure.ts'
import { ThreadMetrics } from '../src/observe/metrics.ts'
import { defineBench, interleave, median, ratioOf } from './harness.ts'

const ROUNDS = 7
const EVENTS = 2_000_000
const EVENTS_SMOKE = 10_000

export const bench = defineBench({
  question: 'What does it cost to count one event?',
  run: async ({ smoke }) => {
    const events = smoke ? EVENTS_SMOKE : EVENTS
    const row = FigureTable.allocate().row(8)
    const metrics = new ThreadMetrics()
    const registers = [new Registry()]
    const family = { name: 'bench_total', type: 'counter', help: 'x', labels: { reason: CLOSE_REASONS } } as const
    const cell = metrics.counter(family).cell({ reason: 'client' })
    const buckets = metrics.histogram(FAMILIES.turn).cell({})
    const peerCounter = new Counter({ name: family.name, help: 'x', labelNames: ['reason'], registers })
    const peerHistogram = new Histogram({
      name: FAMILIES.turn.name,
      help: 'x',
      buckets: [...FAMILIES.turn.buckets],
      registers,
    })
    // Turn times from 50 µs to 3.2 ms: the first six buckets.
    const turns = Float64Array.from({ length: 64 }, (_, index) => 0.00005 * (1 + index))
    const turn = (index: number): number => turns[index & 63] as number

    const nanoseconds = (body: (index: number) => void): number => {
      const start = performance.now()
      for (let index = 0; index < events; index++) body(index)
      return ((performance.now() - start) * 1e6) / events
    }
    const samples = await interleave(smoke ? 1 : ROUNDS, {
      figure: () => nanoseconds(() => add(row, FIGURE.bytesIn, 1)),
      cell: () =>
        nanoseconds(() => {
          cell.value += 1
        }),
      peerCounter: () => nanoseconds(() => peerCounter.inc({ reason: 'client' })),
      buckets: () => nanoseconds((index) => buckets.observe(turn(index))),
      peerHistogram: () => nanoseconds((index) => peerHistogram.observe(turn(index))),
    })
    return {
      ratios: [
        { name: 'cell / prom-client counter with a label: time', value: ratioOf(samples.cell, samples.peerCounter) },
        {
          name: 'figure / prom-client counter with a label: time',
          value: ratioOf(samples.figure, samples.peerCounter),
        },
        { name: 'buckets / prom-client histogram: time', value: ratioOf(samples.buckets, samples.peerHistogram) },
      ],
      figures: Object.entries(samples).map(([name, values]) => ({ name, value: median(values), unit: 'ns' })),
      hash: figureOf(row, FIGURE.bytesIn) + cell.value,
    }
  },
})
