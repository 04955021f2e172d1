// One end of a one-way stream for ring.bench.ts: sends or receives `count` messages of MESSAGE_BYTES as fast as it can.
import { type MessagePort, parentPort } from 'node:worker_threads'
import { RingBuffer } from 'ringbuf.js'
import { RingReader, RingWriter } from '../src/ring/ring.ts'

export const MESSAGE_BYTES = 64
/** Messages between two publishes, as in one turn of a busy shard. Only ours can publish apart from pushing. */
const BATCH = 64

export type Subject = 'ring' | 'ringbuf' | 'ringbuf-bulk' | 'postMessage'

export interface Task {
  readonly subject: Subject
  readonly role: 'send' | 'receive'
  readonly count: number
  readonly memory: SharedArrayBuffer
  readonly port: MessagePort
}

/** The receiver's answer: when the last message arrived, and the sum of all sequence numbers. */
export interface Done {
  readonly endMs: number
  readonly hash: number
}

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

/** Looks in vain before giving the processor away: on a busy machine the other side may need this very core. */
const SPINS_MAX = 500
const REST_MS = 0.02
const bed = new Int32Array(new SharedArrayBuffer(4))

/** The same patience for all subjects. */
class Patience {
  #spins = 0

  lost(): void {
    if (++this.#spins < SPINS_MAX) return
    this.#spins = 0
    Atomics.wait(bed, 0, 0, REST_MS)
  }

  found(): void {
    this.#spins = 0
  }
}

const NO_BYTES = new Uint8Array(0)

function sendRing({ memory, count }: Task): void {
  const writer = new RingWriter(memory)
  const message = Buffer.alloc(MESSAGE_BYTES, 7)
  const patience = new Patience()
  for (let index = 0; index < count; index++) {
    message.writeUInt32LE(index)
    while (!writer.tryPush(1, 1, message, MESSAGE_BYTES, NO_BYTES)) {
      writer.publish()
      patience.lost()
    }
    if (index % BATCH === BATCH - 1) writer.publish()
  }
  writer.publish()
}

function receiveRing({ memory, count }: Task): number {
  const reader = new RingReader(memory)
  let hash = 0
  let received = 0
  const sink = (_kind: number, bytes: Uint8Array, offset: number): void => {
    hash = (hash + sequenceOf(bytes, offset)) | 0
    received++
  }
  const patience = new Patience()
  while (received < count) {
    if (reader.drain(512, sink) === 0) patience.lost()
    else patience.found()
  }
  return hash
}

function sendRingbuf({ memory, count }: Task): void {
  const ring = new RingBuffer(memory, Uint8Array)
  const frame = Buffer.alloc(4 + MESSAGE_BYTES, 7)
  frame.writeUInt32LE(MESSAGE_BYTES)
  const patience = new Patience()
  for (let index = 0; index < count; index++) {
    frame.writeUInt32LE(index, 4)
    while (ring.availableWrite() < frame.length) patience.lost()
    ring.push(frame)
  }
}

/** The plain way: the length, then as many bytes. */
function receiveRingbuf({ memory, count }: Task): number {
  const ring = new RingBuffer(memory, Uint8Array)
  const header = Buffer.alloc(4)
  const message = new Uint8Array(MESSAGE_BYTES)
  const patience = new Patience()
  let hash = 0
  for (let received = 0; received < count; ) {
    if (ring.availableRead() < 4) {
      patience.lost()
      continue
    }
    patience.found()
    ring.pop(header)
    const length = header.readUInt32LE(0)
    while (ring.availableRead() < length) patience.lost()
    ring.pop(message, length)
    hash = (hash + sequenceOf(message, 0)) | 0
    received++
  }
  return hash
}

/** The clever way: all there is, then frames are cut from the private copy. */
function receiveRingbufBulk({ memory, count }: Task): number {
  const ring = new RingBuffer(memory, Uint8Array)
  const bytes = Buffer.alloc(32 * 1024)
  const patience = new Patience()
  let hash = 0
  let end = 0
  for (let received = 0; received < count; ) {
    const popped = ring.pop(bytes, bytes.length - end, end)
    if (popped === 0) patience.lost()
    else patience.found()
    end += popped
    let start = 0
    while (end - start >= 4) {
      const length = sequenceOf(bytes, start)
      if (end - start < 4 + length) break
      hash = (hash + sequenceOf(bytes, start + 4)) | 0
      received++
      start += 4 + length
    }
    if (start > 0) {
      bytes.copyWithin(0, start, end)
      end -= start
    }
  }
  return hash
}

function sequenceOf(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset] ?? 0) |
    ((bytes[offset + 1] ?? 0) << 8) |
    ((bytes[offset + 2] ?? 0) << 16) |
    ((bytes[offset + 3] ?? 0) << 24)
  )
}

/** Sends with some way of holding back, or the queue would grow without bound: at most 4,096 in flight. */
async function sendPort({ port, count }: Task): Promise<void> {
  const windowMessages = 4096
  let acknowledged = 0
  let resume = (): void => {}
  port.on('message', (total: number) => {
    acknowledged = total
    resume()
  })
  for (let index = 0; index < count; index++) {
    const message = new Uint8Array(MESSAGE_BYTES)
    message[0] = index
    message[1] = index >> 8
    message[2] = index >> 16
    message[3] = index >> 24
    port.postMessage(message)
    if (index - acknowledged >= windowMessages) {
      await new Promise<void>((resolve) => {
        resume = resolve
      })
    }
  }
  port.removeAllListeners('message')
}

function receivePort({ port, count }: Task): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  let hash = 0
  let received = 0
  port.on('message', (message: Uint8Array) => {
    hash = (hash + sequenceOf(message, 0)) | 0
    if (++received % 1024 === 0) port.postMessage(received)
    if (received === count) resolve(hash)
  })
  return promise
}

const SEND: Record<Subject, (task: Task) => void | Promise<void>> = {
  ring: sendRing,
  ringbuf: sendRingbuf,
  'ringbuf-bulk': sendRingbuf,
  postMessage: sendPort,
}
const RECEIVE: Record<Subject, (task: Task) => number | Promise<number>> = {
  ring: receiveRing,
  ringbuf: receiveRingbuf,
  'ringbuf-bulk': receiveRingbufBulk,
  postMessage: receivePort,
}

parentPort?.on('message', async (task: Task) => {
  if (task.role === 'send') {
    await SEND[task.subject](task)
    parentPort?.postMessage({ endMs: nowMs(), hash: 0 } satisfies Done)
  } else {
    const hash = await RECEIVE[task.subject](task)
    parentPort?.postMessage({ endMs: nowMs(), hash } satisfies Done)
  }
  task.port.close()
})
