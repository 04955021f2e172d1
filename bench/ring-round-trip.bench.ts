import { once } from 'node:events'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { BellKind } from '../src/ring/bell.ts'
import { Doorbells } from '../src/ring/doorbell.ts'
import { createLinkEnds, createLinkMemory } from '../src/ring/link.ts'
import { defineBench, interleave, median, ratioOf } from './harness.ts'
import { type Carrier, type Done, MESSAGE_BYTES, type Task } from './round-trip-worker.ts'

const CAPACITIES = { data: 256 * 1024, control: 16 * 1024 }

const LOADS = {
  idle: { window: 1, paced: true },
  'one after another': { window: 1, paced: false },
  saturated: { window: 256, paced: false },
} as const
type Load = keyof typeof LOADS

type Subject = BellKind | 'message-port'

function carriersOf(subject: Subject): [Carrier, Carrier] {
  if (subject === 'message-port') {
    const { port1, port2 } = new MessageChannel()
    return [
      { kind: 'port', port: port1 },
      { kind: 'port', port: port2 },
    ]
  }
  const doorbells = Doorbells.allocate()
  const { low, high } = createLinkEnds(createLinkMemory(8, 9, CAPACITIES))
  return [
    { kind: 'mesh', self: 8, doorbells, link: low, bell: subject },
    { kind: 'mesh', self: 9, doorbells, link: high, bell: subject },
  ]
}

const portOf = (carrier: Carrier) => (carrier.kind === 'port' ? carrier.port : carrier.link.port)

export const bench = defineBench({
  question: `how long does a message of ${MESSAGE_BYTES} bytes take to another thread and back?`,
  async run({ smoke, log }) {
    const asker = new Worker(new URL('./round-trip-worker.ts', import.meta.url))
    const answerer = new Worker(new URL('./round-trip-worker.ts', import.meta.url))
    let hash = 0

    async function measure(subject: Subject, load: Load, count: number): Promise<Done> {
      const [one, other] = carriersOf(subject)
      const { window, paced } = LOADS[load]
      const done = Promise.all([once(asker, 'message'), once(answerer, 'message')])
      answerer.postMessage({ role: 'answer', carrier: other, window, paced, count } satisfies Task, [portOf(other)])
      asker.postMessage({ role: 'ask', carrier: one, window, paced, count } satisfies Task, [portOf(one)])
      const [[result]] = (await done) as [[Done], unknown[]]
      hash = (hash * 31 + result.answers) | 0
      const { perSecond, p50Us, p99Us } = result
      log(`${subject}, ${load}: ${Math.round(perSecond)}/s, p50 ${p50Us.toFixed(1)} µs, p99 ${p99Us.toFixed(1)} µs`)
      return result
    }

    const slow = (subject: Subject): boolean => subject === 'message-port'
    const idle = async (subject: Subject): Promise<number> => (await measure(subject, 'idle', smoke ? 20 : 250)).p50Us
    const chain = async (subject: Subject): Promise<number> =>
      (await measure(subject, 'one after another', smoke ? 50 : 3_000)).p50Us
    const busy = async (subject: Subject): Promise<number> =>
      (await measure(subject, 'saturated', smoke ? 2_000 : slow(subject) ? 40_000 : 300_000)).perSecond
    try {
      for (const subject of ['port', 'wait-async', 'message-port'] as const) {
        await idle(subject)
        await chain(subject)
        await busy(subject)
      }
      const rounds = smoke ? 1 : 11
      const latency = await interleave(rounds, {
        port: () => idle('port'),
        bare: () => idle('message-port'),
        wait: () => idle('wait-async'),
      })
      const chained = await interleave(rounds, {
        port: () => chain('port'),
        bare: () => chain('message-port'),
        wait: () => chain('wait-async'),
      })
      const rate = await interleave(rounds, {
        port: () => busy('port'),
        bare: () => busy('message-port'),
        wait: () => busy('wait-async'),
      })
      return {
        ratios: [
          {
            name: 'mesh / bare MessagePort: idle round trip p50',
            value: ratioOf(latency.port, latency.bare),
            atMost: 1.5,
          },
          {
            name: 'mesh / bare MessagePort: round trips per second, 256 in flight',
            value: ratioOf(rate.port, rate.bare),
            atLeast: 8,
          },
          {
            name: 'mesh / bare MessagePort: round trips one after another, p50',
            value: ratioOf(chained.port, chained.bare),
          },
          { name: 'wait-async / port doorbell: idle round trip p50', value: ratioOf(latency.wait, latency.port) },
          { name: 'wait-async / port doorbell: round trips per second', value: ratioOf(rate.wait, rate.port) },
        ],
        figures: [
          { name: 'mesh with port doorbell, idle p50', value: median(latency.port), unit: 'µs' },
          { name: 'mesh with wait-async doorbell, idle p50', value: median(latency.wait), unit: 'µs' },
          { name: 'bare MessagePort, idle p50', value: median(latency.bare), unit: 'µs' },
          { name: 'mesh with port doorbell, one after another p50', value: median(chained.port), unit: 'µs' },
          { name: 'mesh with wait-async doorbell, one after another p50', value: median(chained.wait), unit: 'µs' },
          { name: 'bare MessagePort, one after another p50', value: median(chained.bare), unit: 'µs' },
          { name: 'mesh with port doorbell, 256 in flight', value: median(rate.port), unit: 'round trips/s' },
          { name: 'mesh with wait-async doorbell, 256 in flight', value: median(rate.wait), unit: 'round trips/s' },
          { name: 'bare MessagePort, 256 in flight', value: median(rate.bare), unit: 'round trips/s' },
        ],
        hash,
      }
    } finally {
      await Promise.all([asker.terminate(), answerer.terminate()])
    }
  },
})
