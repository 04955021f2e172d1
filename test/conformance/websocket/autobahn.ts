// Runs cases of the public Autobahn testsuite's catalogue, rewritten by us from its descriptions: what a client sends
// and, byte for byte, what an echo server must answer. Each runs whole, in single bytes and in random pieces.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReceiverLimits } from '../../../src/net/websocket/receiver.ts'
import { closePayload, encodeClientFrame } from '../../net/websocket/client-frame.ts'
import { Random } from '../../net/websocket/random.ts'
import { EchoServer } from '../../net/websocket/recording-output.ts'

type Bytes = Uint8Array | string

export interface Case {
  /** The number in the catalogue and what it is about. */
  readonly title: string
  readonly input: readonly Buffer[]
  readonly output: readonly Buffer[]
  /** What the handler is told at the end; default `closed 1000 `. */
  readonly closed?: string
  readonly limits?: Partial<ReceiverLimits>
}

const SINGLE_BYTES_MAX = 300_000
/** Guards against quadratic work: 4 MiB in 64-byte fragments takes 0.2 s, and took 110 s when storage grew too little. */
const CASE_MS_MAX = 20_000

/** Client frames. */
export const send = {
  text: (payload: Bytes, fin = true): Buffer => encodeClientFrame({ opcode: 1, payload, fin }),
  binary: (payload: Bytes, fin = true): Buffer => encodeClientFrame({ opcode: 2, payload, fin }),
  continuation: (payload: Bytes, fin = true): Buffer => encodeClientFrame({ opcode: 0, payload, fin }),
  ping: (payload: Bytes = '', fin = true): Buffer => encodeClientFrame({ opcode: 9, payload, fin }),
  pong: (payload: Bytes = '', fin = true): Buffer => encodeClientFrame({ opcode: 10, payload, fin }),
  close: (code = 1000, reason: Bytes = ''): Buffer =>
    encodeClientFrame({ opcode: 8, payload: closePayload(code, reason) }),
  /** One message in frames of `size` bytes. */
  fragments(opcode: 1 | 2, payload: Uint8Array, size: number): Buffer[] {
    const frames: Buffer[] = []
    for (let offset = 0; offset === 0 || offset < payload.length; offset += size) {
      frames.push(
        encodeClientFrame({
          opcode: offset === 0 ? opcode : 0,
          payload: payload.subarray(offset, offset + size),
          fin: offset + size >= payload.length,
        }),
      )
    }
    return frames
  },
}

/** Server frames, encoded here by hand so that the code under test is not its own witness. */
export const expect = {
  text: (payload: Bytes): Buffer => serverFrame(0x81, payload),
  binary: (payload: Bytes): Buffer => serverFrame(0x82, payload),
  pong: (payload: Bytes = ''): Buffer => serverFrame(0x8a, payload),
  close: (code?: number, reason: Bytes = ''): Buffer =>
    serverFrame(0x88, code === undefined ? '' : closePayload(code, reason)),
}

function serverFrame(first: number, payload: Bytes): Buffer {
  const bytes = Buffer.from(payload as Uint8Array)
  if (bytes.length < 126) return Buffer.concat([Buffer.of(first, bytes.length), bytes])
  const long = bytes.length > 0xffff
  const header = Buffer.alloc(long ? 10 : 4)
  header[0] = first
  header[1] = long ? 127 : 126
  if (long) header.writeBigUInt64BE(BigInt(bytes.length), 2)
  else header.writeUInt16BE(bytes.length, 2)
  return Buffer.concat([header, bytes])
}

/** A case that ends well: the client closes with 1000 and gets 1000 back. */
export function passing(title: string, input: readonly Buffer[], output: readonly Buffer[]): Case {
  return { title, input: [...input, send.close()], output: [...output, expect.close(1000)] }
}

/** A case in which the server fails the connection. Whatever follows must get no answer. */
export function failing(title: string, input: readonly Buffer[], code: number, output: readonly Buffer[] = []): Case {
  return {
    title,
    input: [...input, send.ping('after the end'), send.close()],
    output: [...output, expect.close(code)],
    closed: `closed ${code} `,
  }
}

export function runCases(cases: readonly Case[]): void {
  for (const one of cases) {
    test(`autobahn ${one.title}`, () => {
      const startMs = performance.now()
      const input = Buffer.concat(one.input)
      const random = new Random(input.length)
      const arrivals = [
        { as: 'whole', sizes: [input.length] },
        { as: 'frame by frame', sizes: one.input.map((frame) => frame.length) },
        { as: 'small random pieces', sizes: [...random.pieces(Math.min(input.length, 10_000), 9), input.length] },
        { as: 'random pieces', sizes: random.pieces(input.length, 70_000) },
        { as: 'single bytes', sizes: [1] },
      ]
      for (const { as, sizes } of arrivals) {
        if (as === 'single bytes' && input.length > SINGLE_BYTES_MAX) continue
        const server = new EchoServer(one.limits)
        server.receive(input, sizes)
        const expected = Buffer.concat(one.output)
        const written = server.output.bytes()
        assert.ok(written.equals(expected), `${as}: ${show(written)} instead of ${show(expected)}`)
        assert.ok(server.output.isFinished, `${as}: finished`)
        assert.equal(server.events.at(-1), one.closed ?? 'closed 1000 ', as)
      }
      assert.ok(performance.now() - startMs < CASE_MS_MAX, 'takes linear time')
    })
  }
}

function show(bytes: Buffer): string {
  return `${bytes.length} bytes ${bytes.subarray(0, 80).toString('hex')}`
}
