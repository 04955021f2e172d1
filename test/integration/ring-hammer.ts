// A thread that hammers its peer with messages of random sizes and checks all that comes back. Started by
// ring-threads.test.ts, twice.
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../src/lib/clock.ts'
import type { BellKind } from '../../src/ring/bell.ts'
import type { Lane, LinkEnd } from '../../src/ring/link.ts'
import { Mesh } from '../../src/ring/mesh.ts'
import type { MeshStats } from '../../src/ring/mesh-options.ts'

export interface HammerTask {
  readonly self: number
  readonly doorbells: SharedArrayBuffer
  readonly link: LinkEnd
  readonly bell: BellKind
  readonly messages: number
  readonly seed: number
}

export interface HammerReport {
  readonly wrong: readonly string[]
  readonly received: Readonly<Record<Lane, number>>
  readonly stats: MeshStats
}

const HEAD_BYTES = 12
const BODY_BYTES_MAX = 100_000
const LANES: readonly Lane[] = ['data', 'control']

const { self, doorbells, link, bell, messages, seed } = workerData as HammerTask
const head = Buffer.alloc(HEAD_BYTES)
const body = Buffer.alloc(BODY_BYTES_MAX)
let random = seed
for (let index = 0; index < body.length; index++) body[index] = nextRandom()

const received: Record<Lane, number> = { data: 0, control: 0 }
const wrong: string[] = []

function nextRandom(): number {
  random ^= random << 13
  random ^= random >>> 17
  random ^= random << 5
  return random >>> 0
}

/** Length and a sample of the bytes: the whole of a small message, each 97th byte of a large one. */
function checksumOf(bytes: Uint8Array, start: number, length: number): number {
  let sum = length
  for (let index = 0; index < length; index += length > 300 ? 97 : 1) sum = (sum * 31 + (bytes[start + index] ?? 0)) | 0
  return sum
}

const mesh = new Mesh({
  self,
  generation: 1,
  doorbells,
  requestLink: () => {},
  overflowBytesMax: 1024 * 1024,
  messageBytesMax: BODY_BYTES_MAX + HEAD_BYTES,
  clock: systemClock,
  bell,
  sink(source, kind, bytes, offset, length) {
    const lane = LANES[kind] ?? 'data'
    const view = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length)
    const number = view.readUInt32LE(0)
    const checksum = checksumOf(bytes, offset + HEAD_BYTES, length - HEAD_BYTES)
    if (source !== link.peer) wrong.push(`source ${source}`)
    if (number !== received[lane]) wrong.push(`${lane}: message ${number} came as number ${received[lane]}`)
    if (view.readInt32LE(4) !== checksum) wrong.push(`${lane}: message ${number} of ${length} bytes is broken`)
    received[lane]++
  },
})
mesh.attach(link)

const sent: Record<Lane, number> = { data: 0, control: 0 }

/** Mostly small messages, some that take the copying path, a few that are cut in chunks. */
function nextLength(): number {
  const dice = nextRandom() % 1000
  if (dice < 800) return nextRandom() % 100
  if (dice < 997) return nextRandom() % 2_000
  return nextRandom() % BODY_BYTES_MAX
}

function sendSome(): void {
  for (let count = nextRandom() % 300; count > 0 && sent.data + sent.control < messages; count--) {
    const lane: Lane = nextRandom() % 8 === 0 ? 'control' : 'data'
    const length = nextLength()
    const start = nextRandom() % (BODY_BYTES_MAX - length)
    head.writeUInt32LE(sent[lane], 0)
    head.writeInt32LE(checksumOf(body, start, length), 4)
    if (!mesh.send(link.peer, lane, LANES.indexOf(lane), head, HEAD_BYTES, body, start, length)) break
    sent[lane]++
  }
  if (sent.data + sent.control < messages) setImmediate(sendSome)
}
sendSome()

/** The watchdog is part of the test: it must find nothing to do. */
const beat = setInterval(() => {
  mesh.watchdog(systemClock.nowMs())
  if (received.data + received.control < messages || sent.data + sent.control < messages) return
  clearInterval(beat)
  parentPort?.postMessage({ wrong: wrong.slice(0, 5), received, stats: { ...mesh.stats() } } satisfies HammerReport)
}, 50)

// The peer may still be reading: main says when both are through.
parentPort?.once('message', () => mesh.close())
