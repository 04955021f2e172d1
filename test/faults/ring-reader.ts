// A thread that counts what it receives in shared memory, for ring-crash.test.ts. It may be killed at any moment.
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../src/lib/clock.ts'
import { Mesh } from '../../src/ring/mesh.ts'
import { KIND, READER, type ReaderTask } from './ring-task.ts'

const { generation, doorbells, link, counts } = workerData as ReaderTask
const words = new Int32Array(counts)
const never = new Int32Array(new SharedArrayBuffer(4))

const mesh = new Mesh({
  self: READER,
  generation,
  doorbells,
  requestLink: () => {},
  overflowBytesMax: 1_000_000,
  messageBytesMax: 1_000_000,
  clock: systemClock,
  sink(_source, kind, bytes, offset) {
    const number = Buffer.from(bytes.buffer, bytes.byteOffset + offset, 4).readUInt32LE(0)
    Atomics.add(words, number, 1)
    if (kind === KIND.hang) {
      parentPort?.postMessage('hanging')
      Atomics.wait(never, 0, 0)
    }
    if (kind === KIND.throw) throw new Error('the sink of ring-reader throws')
  },
})
mesh.attach(link)
