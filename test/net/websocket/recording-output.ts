// A WebSocketOutput that remembers every byte, in order, and an echo handler above it. Congestion and pauses are set by
// the test.

import { encodeFrame, type OPCODE } from '../../../src/net/websocket/frame.ts'
import {
  type FrozenProtocol,
  type WebSocketHandler,
  type WebSocketOutput,
  WebSocketProtocol,
} from '../../../src/net/websocket/protocol.ts'
import type { ReceiverLimits } from '../../../src/net/websocket/receiver.ts'

export class RecordingOutput implements WebSocketOutput {
  readonly frames: Buffer[] = []
  /** Of `frames`, those that came as control frames. */
  controls = 0
  isCongested = false
  isPaused = false
  isAwaitingClose = false
  isFinished = false
  /** What `finish` was told. */
  finishedBy: string | undefined

  writeFrame(opcode: typeof OPCODE.text | typeof OPCODE.binary, payload: Uint8Array, rsv1: boolean): void {
    this.#write(encodeFrame(payload, opcode, rsv1))
  }

  writeEncoded(frame: Uint8Array): void {
    this.#write(frame)
  }

  writeControl(frame: Uint8Array): void {
    this.controls++
    this.#write(frame)
  }

  congested(): boolean {
    return this.isCongested
  }

  paused(): boolean {
    return this.isPaused
  }

  awaitClose(): void {
    this.isAwaitingClose = true
  }

  finish(code: number, byPeer: boolean): void {
    this.isFinished = true
    this.finishedBy = `${byPeer ? 'peer' : 'us'} ${code}`
  }

  bytes(): Buffer {
    return Buffer.concat(this.frames)
  }

  #write(frame: Uint8Array): void {
    if (this.isFinished) throw new Error('written after finish()')
    this.frames.push(Buffer.from(frame))
  }
}

/** A server that sends every message back, and what it was told besides. */
export class EchoServer implements WebSocketHandler {
  readonly output = new RecordingOutput()
  readonly protocol: WebSocketProtocol
  /** `message N`, `ping …`, `pong …`, `closed CODE REASON`. */
  readonly events: string[] = []

  constructor(limits: Partial<ReceiverLimits> = {}, frozen?: FrozenProtocol) {
    const all = { messageBytesMax: 1_048_576, deflate: false, ...limits }
    this.protocol = new WebSocketProtocol(all, this.output, this, frozen)
  }

  message(payload: Buffer, isBinary: boolean): void {
    this.events.push(`message ${payload.length}`)
    this.protocol.send(payload, isBinary)
  }

  ping(payload: Buffer): void {
    this.events.push(`ping ${payload.toString('latin1')}`)
  }

  pong(payload: Buffer): void {
    this.events.push(`pong ${payload.toString('latin1')}`)
  }

  closed(code: number, reason: string): void {
    this.events.push(`closed ${code} ${reason}`)
  }

  /** Pushes a copy of `bytes` in pieces of the given sizes, the last of them repeated. */
  receive(bytes: Uint8Array, sizes: readonly number[] = [bytes.length]): void {
    const copy = Buffer.from(bytes)
    for (let offset = 0, i = 0; offset < copy.length; i++) {
      const size = sizes[Math.min(i, sizes.length - 1)] ?? 1
      const end = Math.min(copy.length, offset + size)
      // Each piece in a buffer of its own that is wiped afterwards: nothing may rely on it later.
      const piece = Buffer.from(copy.subarray(offset, end))
      const consumed = this.protocol.push(piece, 0, piece.length)
      if (consumed !== piece.length) throw new Error(`consumed ${consumed} of ${piece.length} without a pause`)
      piece.fill(0x99)
      offset = end
    }
  }
}
