import { once } from 'node:events'
import { MessageChannel, Worker } from 'node:worker_threads'
import { RingBuffer } from 'ringbuf.js'
import { Ring } from '../src/ring/ring.ts'
import { defineBench, interleave, median, ratioOf } from './harness.ts'
import { type Done, MESSAGE_BYTES, type Subject, type Task } from './ring-worker.ts'

const CAPACITY_BYTES = 256 * 1024

const memoryOf: Record<Subject, () => SharedArrayBuffer> = {
  ring: () => Ring.allocate(CAPACITY_BYTES),
  ringbuf: () => RingBuffer.getStorageForCapacity(CAPACITY_BYTES, Uint8Array),
  'ringbuf-bulk': () => RingBuffer.getStorageForCapacity(CAPACITY_BYTES, Uint8Array),
  postMessage: () => new SharedArrayBuffer(0),
}

export const bench = defineBench({
  question: `how many messages of ${MESSAGE_BYTES} bytes go from one worker to another in a second?`,
  async run({ smoke, log }) {
    const sender = new Worker(new URL('./ring-worker.ts', import.meta.url))
    const receiver = new Worker(new URL('./ring-worker.ts', import.meta.url))
    let hash = 0

    async function measure(subject: Subject, count: number): Promise<number> {
      const { port1, port2 } = new MessageChannel()
      const memory = memoryOf[subject]()
      const done = Promise.all([once(sender, 'message'), once(receiver, 'message')])
      receiver.postMessage({ subject, role: 'receive', count, memory, port: port2 } satisfies Task, [port2])
      const startMs = Number(process.hrtime.bigint()) / 1e6
      sender.postMessage({ subject, role: 'send', count, memory, port: port1 } satisfies Task, [port1])
      const [, [received]] = (await done) as [Done[], [Done]]
      if (received.hash !== (((count * (count - 1)) / 2) | 0))
        throw new Error(`${subject}: messages were lost or changed`)
      hash = (hash * 31 + received.hash) | 0
      const perSecond = count / ((received.endMs - startMs) / 1000)
      log(`${subject}: ${Math.round(perSecond).toLocaleString('en')} messages/s`)
      return perSecond
    }

    const many = smoke ? 20_000 : 400_000
    const few = smoke ? 2_000 : 40_000
    try {
      for (const subject of ['ring', 'ringbuf', 'ringbuf-bulk'] as const) await measure(subject, many)
      await measure('postMessage', few)
      const rates = await interleave(smoke ? 1 : 15, {
        ring: () => measure('ring', many),
        ringbuf: () => measure('ringbuf', many),
        bulk: () => measure('ringbuf-bulk', many),
        port: () => measure('postMessage', few),
      })
      return {
        ratios: [
          { name: 'ring / postMessage: messages per second', value: ratioOf(rates.ring, rates.port), atLeast: 15 },
          {
            name: 'ring / ringbuf.js with framing: messages per second',
            value: ratioOf(rates.ring, rates.ringbuf),
            atLeast: 1,
          },
          {
            name: 'ring / ringbuf.js with framing, read in bulk: messages per second',
            value: ratioOf(rates.ring, rates.bulk),
          },
        ],
        figures: [
          { name: 'ring', value: median(rates.ring), unit: 'messages/s' },
          { name: 'ringbuf.js', value: median(rates.ringbuf), unit: 'messages/s' },
          { name: 'ringbuf.js, read in bulk', value: median(rates.bulk), unit: 'messages/s' },
          { name: 'postMessage', value: median(rates.port), unit: 'messages/s' },
        ],
        hash,
      }
    } finally {
      await Promise.all([sender.terminate(), receiver.terminate()])
    }
  },
})
