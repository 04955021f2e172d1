import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createLinkEnds, createLinkMemory, type LinkMemory } from '../../src/ring/link.ts'
import type { Mesh } from '../../src/ring/mesh.ts'
import { Net, waitUntil } from '../ring/pair.ts'
import { KIND, READER, type ReaderTask } from './ring-task.ts'

const WRITER = 8
const CAPACITIES = { data: 16 * 1024, control: 1024 }

/** Main's part: replaces the reader, and joins each successor over the same memory. */
class Supervisor {
  readonly counts: SharedArrayBuffer
  readonly memory: LinkMemory = createLinkMemory(WRITER, READER, CAPACITIES)
  reader: Worker
  readonly #net: Net
  readonly #writer: Mesh
  #generation = 0

  constructor(net: Net, writer: Mesh, messages: number) {
    this.counts = new SharedArrayBuffer(4 * messages)
    this.#net = net
    this.#writer = writer
    this.reader = this.#start()
  }

  /** Starts a successor; the old thread must have exited. */
  replace(): void {
    this.#writer.detach(READER)
    this.reader = this.#start()
  }

  #start(): Worker {
    const ends = createLinkEnds(this.memory)
    const workerData = {
      generation: ++this.#generation,
      doorbells: this.#net.doorbells,
      link: ends.high,
      counts: this.counts,
    } satisfies ReaderTask
    const url = new URL('./ring-reader.ts', import.meta.url)
    const worker = new Worker(url, { workerData, transferList: [ends.high.port] })
    this.#writer.attach(ends.low)
    return worker
  }

  countOf(predicate: (count: number) => boolean): number {
    return new Int32Array(this.counts).filter(predicate).length
  }
}

const head = Buffer.alloc(64)

function sendNumber(mesh: Mesh, number: number, kind: number): boolean {
  head.writeUInt32LE(number)
  return mesh.send(READER, 'data', kind, head, head.length)
}

test('ring: a reader killed inside its sink leaves the rest to its successor, which does not read that record again', async () => {
  using net = new Net()
  const { mesh } = net.node(WRITER, { overflowBytesMax: 1_000_000 })
  const supervisor = new Supervisor(net, mesh, 1_000)
  for (let number = 0; number < 1_000; number++) {
    assert.ok(sendNumber(mesh, number, number === 100 ? KIND.hang : KIND.count))
  }
  await once(supervisor.reader, 'message')
  assert.equal(
    supervisor.countOf((count) => count === 1),
    101,
  )
  await supervisor.reader.terminate()
  supervisor.replace()
  await waitUntil('all were handled', () => supervisor.countOf((count) => count > 0) === 1_000)
  assert.equal(
    supervisor.countOf((count) => count === 1),
    1_000,
  )
  await supervisor.reader.terminate()
})

test('ring: a record whose sink throws ends its reader once, not each successor', async () => {
  using net = new Net()
  const { mesh } = net.node(WRITER, { overflowBytesMax: 1_000_000 })
  const supervisor = new Supervisor(net, mesh, 300)
  for (let number = 0; number < 300; number++) {
    assert.ok(sendNumber(mesh, number, number % 100 === 50 ? KIND.throw : KIND.count))
  }
  for (let deaths = 1; deaths <= 3; deaths++) {
    const exited = once(supervisor.reader, 'exit').catch(() => {})
    const [error] = (await once(supervisor.reader, 'error')) as [Error]
    assert.match(error.message, /ring-reader throws/)
    await exited
    supervisor.replace()
  }
  await waitUntil('all were handled', () => supervisor.countOf((count) => count > 0) === 300)
  assert.equal(
    supervisor.countOf((count) => count === 1),
    300,
  )
  await supervisor.reader.terminate()
})

test('ring: readers killed at any moment under load lose at most the record at hand each, and repeat none', async () => {
  const messages = 60_000
  const kills = 6
  using net = new Net()
  const { mesh } = net.node(WRITER, { overflowBytesMax: 16_000 })
  const supervisor = new Supervisor(net, mesh, messages)
  let sent = 0
  let killed = 0
  while (sent < messages) {
    const untilNumber = Math.min(messages, Math.ceil(((killed + 1) * messages) / (kills + 1)))
    await waitUntil('the messages were taken', () => {
      for (let burst = 0; burst < 200 && sent < untilNumber && sendNumber(mesh, sent, KIND.count); burst++) sent++
      return sent === untilNumber
    })
    if (killed === kills) continue
    await supervisor.reader.terminate()
    killed++
    supervisor.replace()
  }
  await waitUntil('the last was handled', () => Atomics.load(new Int32Array(supervisor.counts), messages - 1) > 0)
  assert.equal(
    supervisor.countOf((count) => count > 1),
    0,
  )
  assert.ok(supervisor.countOf((count) => count === 0) <= kills)
  await supervisor.reader.terminate()
})
