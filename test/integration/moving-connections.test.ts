import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { type TcpHandle, takeHandles } from '../../src/net/handoff.ts'
import { OPCODE } from '../../src/net/websocket/frame.ts'
import { waitUntil } from '../harness/wait.ts'
import { encodeClientFrame } from '../net/websocket/client-frame.ts'
import type { MovingReport, MovingTask, ToMovingLoop } from './moving-loop.ts'

const CONNECTIONS = 20
/** A soak sets it to more. */
const WORDS = Number(process.env.POLYLOOP_TEST_MOVING_WORDS ?? 3_000)
/** Words that are under way at a time. */
const WINDOW = 64
const WORD_BYTES = 8

/** Sends numbered words and checks what comes back. */
class NumberedClient {
  readonly wrong: string[] = []
  received = 0
  readonly #socket: Socket
  readonly #transport: 'tcp' | 'ws'
  readonly #headerBytes: number
  #sent = 0
  #rest: Buffer = Buffer.alloc(0)

  constructor(socket: Socket, transport: 'tcp' | 'ws') {
    this.#socket = socket
    this.#transport = transport
    this.#headerBytes = transport === 'tcp' ? 0 : 2
    socket.on('data', (data: Buffer) => this.#take(data))
    socket.on('error', (error) => this.wrong.push(String(error)))
    socket.on('close', () => this.wrong.push('closed'))
  }

  send(): void {
    const words: Buffer[] = []
    while (this.#sent < WORDS && this.#sent < this.received + WINDOW) words.push(this.#encode(this.#sent++))
    if (words.length > 0) this.#socket.write(Buffer.concat(words))
  }

  #encode(number: number): Buffer {
    const payload = String(number).padStart(WORD_BYTES)
    return this.#transport === 'tcp' ? Buffer.from(payload) : encodeClientFrame({ opcode: OPCODE.text, payload })
  }

  #take(data: Buffer): void {
    const bytes = Buffer.concat([this.#rest, data])
    const step = this.#headerBytes + WORD_BYTES
    let offset = 0
    for (; offset + step <= bytes.length; offset += step) {
      const word = bytes.toString('latin1', offset + this.#headerBytes, offset + step)
      if (Number(word) !== this.received) this.wrong.push(`${word} instead of ${this.received}`)
      this.received++
    }
    this.#rest = bytes.subarray(offset)
    this.send()
  }
}

test('move: two threads toss TCP and WebSocket connections to each other, and no word is lost or out of order', async (context) => {
  const server = createServer()
  const handles: TcpHandle[] = []
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  takeHandles(
    server,
    (handle) => handles.push(handle),
    (status) => assert.fail(`accept failed: ${status}`),
  )
  const { port } = server.address() as AddressInfo
  const { port1, port2 } = new MessageChannel()
  const start = (peer: MessagePort): Worker =>
    new Worker(new URL('./moving-loop.ts', import.meta.url), {
      workerData: { peer } satisfies MovingTask,
      transferList: [peer],
    })
  const workers = [start(port1), start(port2)]
  const sockets: Socket[] = []
  const clients: NumberedClient[] = []
  try {
    for (let id = 1; id <= CONNECTIONS; id++) {
      const socket = connect(port, '127.0.0.1').setNoDelay(true)
      sockets.push(socket)
      await once(socket, 'connect')
      await waitUntil('it is accepted', () => handles.length > 0)
      const transport = id % 2 === 0 ? 'tcp' : 'ws'
      const handle = handles.shift() as TcpHandle
      const message: ToMovingLoop = { kind: 'accepted', id, transport, handle }
      workers[id % 4 < 2 ? 0 : 1]?.postMessage(message, [handle as unknown as MessagePort])
      const client = new NumberedClient(socket, transport)
      clients.push(client)
      client.send()
    }
    await waitUntil(
      'every word is back, or something is wrong',
      () => clients.every(({ received }) => received === WORDS) || clients.some(({ wrong }) => wrong.length > 0),
      60_000,
    )
    const reports = await Promise.all(
      workers.map(async (worker) => {
        worker.postMessage({ kind: 'stop' } satisfies ToMovingLoop)
        return ((await once(worker, 'message')) as [MovingReport])[0]
      }),
    )
    const moves = reports.reduce((sum, report) => sum + report.moves, 0)
    context.diagnostic(`${moves} moves of ${CONNECTIONS} connections`)
    assert.deepEqual(
      reports.flatMap(({ failures }) => failures),
      [],
    )
    assert.deepEqual(
      clients.flatMap(({ wrong }) => wrong),
      [],
    )
    assert.ok(moves > 5 * CONNECTIONS, `${moves} moves`)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
})
