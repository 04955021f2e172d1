// What one WebSocket message costs without any socket: a masked 64-byte client frame parsed and its echo encoded, by
// our receiver and by the Receiver and Sender of ws. One frame a chunk is a peer that waits for each answer, eight are
// frames that arrive together.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as ws from 'ws'
import { encodeFrameHeader, FRAME_HEADER_BYTES_MAX, type OPCODE } from '../src/net/websocket/frame.ts'
import { type WebSocketOutput, WebSocketProtocol } from '../src/net/websocket/protocol.ts'
import { type BenchResult, defineBench, interleave, median, type Ratio, ratioOf } from './harness.ts'

const PAYLOAD_BYTES = 64
const LIMITS = { messageBytesMax: 1_048_576, deflate: false }
const BATCH_BYTES = 65_536

// @types/ws does not know these exports of ws.
interface OracleModule {
  readonly Receiver: new (
    options: object,
  ) => {
    on(event: 'message', listener: (payload: Buffer, isBinary: boolean) => void): void
    write(chunk: Buffer): boolean
  }
  readonly Sender: new (
    socket: object,
  ) => {
    send(payload: Buffer, options: object): void
  }
}
const { Receiver, Sender } = ws as unknown as OracleModule

/** Encodes into one batch buffer, as a connection does. */
class BatchOutput implements WebSocketOutput {
  readonly batch = Buffer.alloc(BATCH_BYTES)
  offset = 0
  bytes = 0

  writeFrame(opcode: typeof OPCODE.text | typeof OPCODE.binary, payload: Uint8Array, rsv1: boolean): void {
    if (this.offset + FRAME_HEADER_BYTES_MAX + payload.length > BATCH_BYTES) this.flush()
    this.offset += encodeFrameHeader(this.batch, this.offset, opcode, payload.length, rsv1)
    this.batch.set(payload, this.offset)
    this.offset += payload.length
  }

  flush(): void {
    this.bytes += this.offset
    this.offset = 0
  }

  writeEncoded(frame: Uint8Array): void {
    this.bytes += frame.length
  }

  writeControl(frame: Uint8Array): void {
    this.bytes += frame.length
  }

  congested(): boolean {
    return false
  }

  paused(): boolean {
    return false
  }

  awaitClose(): void {}
  finish(): void {}
}

/** Masked text frames, `count` in a row. */
function maskedFrames(count: number): Buffer {
  const frame = Buffer.alloc(6 + PAYLOAD_BYTES)
  const mask = Buffer.of(0x12, 0x34, 0x56, 0x78)
  frame[0] = 0x81
  frame[1] = 0x80 | PAYLOAD_BYTES
  frame.set(mask, 2)
  for (let i = 0; i < PAYLOAD_BYTES; i++) frame[6 + i] = (0x61 + (i % 26)) ^ (mask[i & 3] ?? 0)
  return Buffer.concat(Array.from({ length: count }, () => frame))
}

/** Both unmask in place, so each round needs the masked bytes again; both pay for the copy. */
function oursNs(messages: number, perChunk: number): number {
  const input = maskedFrames(perChunk)
  const receive = Buffer.alloc(BATCH_BYTES)
  const output = new BatchOutput()
  const protocol: WebSocketProtocol = new WebSocketProtocol(LIMITS, output, {
    message: (payload, isBinary) => void protocol.send(payload, isBinary),
    ping: () => undefined,
    pong: () => undefined,
    closed: () => undefined,
  })
  const start = process.hrtime.bigint()
  for (let sent = 0; sent < messages; sent += perChunk) {
    receive.set(input, 0)
    protocol.push(receive, 0, input.length)
    output.flush()
  }
  const elapsed = Number(process.hrtime.bigint() - start)
  digest = (digest * 31 + output.bytes) | 0
  return elapsed / messages
}

function wsNs(messages: number, perChunk: number): number {
  const input = maskedFrames(perChunk)
  const receive = Buffer.alloc(BATCH_BYTES)
  let bytes = 0
  const sender = new Sender({
    cork: () => undefined,
    uncork: () => undefined,
    write: (chunk: Buffer) => {
      bytes += chunk.length
      return true
    },
  })
  const receiver = new Receiver({ isServer: true, maxPayload: LIMITS.messageBytesMax, extensions: {} })
  receiver.on('message', (payload, isBinary) =>
    sender.send(payload, { fin: true, mask: false, compress: false, binary: isBinary, readOnly: false }),
  )
  const start = process.hrtime.bigint()
  for (let sent = 0; sent < messages; sent += perChunk) {
    receive.set(input, 0)
    receiver.write(receive.subarray(0, input.length)) // it is done with the chunk when it returns
  }
  const elapsed = Number(process.hrtime.bigint() - start)
  digest = (digest * 31 + bytes) | 0
  return elapsed / messages
}

let digest = 0

/** Heap and array buffers that one idle connection's codec holds. */
function idleBytes(): number {
  const connections = 10_000
  const output = new BatchOutput()
  const handler = { message: noop, ping: noop, pong: noop, closed: noop }
  const kept: WebSocketProtocol[] = new Array(connections)
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  collect()
  const before = process.memoryUsage()
  for (let i = 0; i < connections; i++) kept[i] = new WebSocketProtocol(LIMITS, output, handler)
  collect()
  const after = process.memoryUsage()
  digest = (digest * 31 + kept.length) | 0
  return (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / connections
}

function noop(): void {}

export const bench = defineBench({
  question: 'What does parsing a 64-byte client frame and encoding its echo cost, against ws?',
  async run({ smoke }): Promise<BenchResult> {
    const messages = smoke ? 800 : 400_000
    const ratios: Ratio[] = []
    const figures = []
    for (const perChunk of [1, 8]) {
      const samples = await interleave(smoke ? 1 : 7, {
        ours: () => oursNs(messages, perChunk),
        ws: async () => {
          const elapsed = wsNs(messages, perChunk)
          await new Promise(setImmediate) // its streams leave work for later turns
          return elapsed
        },
      })
      const name = `${perChunk} frame${perChunk === 1 ? '' : 's'} a chunk`
      ratios.push({
        name: `ours / ws: CPU per message, ${name}`,
        value: ratioOf(samples.ours, samples.ws),
        atMost: 0.5,
      })
      figures.push({ name: `ours, ${name}`, value: median(samples.ours), unit: 'ns' })
      figures.push({ name: `ws, ${name}`, value: median(samples.ws), unit: 'ns' })
    }
    figures.push({ name: 'receiver and protocol of an idle connection', value: idleBytes(), unit: 'bytes' })
    return { ratios, figures, hash: digest }
  },
})
