// The WebSocket of one of a crowd: as little as a client can be, so that thousands of them leave the machine to the server.
// It believes what the server says; whether that is right others test, with `ws`. One buffer is read into by all.
//
//   opening ──101──▶ open ──any end──▶ closed
import { connect, type Socket } from 'node:net'

const READ_BYTES = 64 * 1024
const HEAD_END = '\r\n\r\n'
const HEAD_BYTES_MAX = 4_096
const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 } as const
const FIN = 0x80
const MASKED = 0x80
const LENGTH_16 = 126
const LENGTH_64 = 127
/** A mask of zeros is one, too. */
const MASK_BYTES = 4

const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)

export interface CrowdSocketOwner {
  /** One text message, whole. */
  heard(text: string): void
  /** However it ended, and once. */
  closed(): void
}

export class CrowdSocket {
  readonly #owner: CrowdSocketOwner
  readonly #socket: Socket
  #state: 'opening' | 'open' | 'closed' = 'opening'
  /** The head, or the beginning of a frame that is not whole. */
  #kept: Buffer | undefined

  constructor(url: string, owner: CrowdSocketOwner) {
    const { hostname, port, pathname, search } = new URL(url)
    this.#owner = owner
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: { buffer: readBuffer, callback: (bytes) => this.#read(bytes) },
    })
    this.#socket.write(
      `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    )
    this.#socket.on('error', () => {}) // 'close' follows
    this.#socket.on('end', () => this.#socket.destroy())
    this.#socket.on('close', () => this.#end())
  }

  say(frame: object): void {
    this.#send(OPCODE.text, Buffer.from(JSON.stringify(frame)))
  }

  /** Without a good-bye; `closed` follows. */
  terminate(): void {
    this.#socket.resetAndDestroy()
  }

  #send(opcode: number, payload: Buffer): void {
    if (this.#state !== 'open' || payload.length > 0xffff) return
    const isShort = payload.length < LENGTH_16
    const headBytes = (isShort ? 2 : 4) + MASK_BYTES
    const frame = Buffer.alloc(headBytes + payload.length)
    frame[0] = FIN | opcode
    frame[1] = MASKED | (isShort ? payload.length : LENGTH_16)
    if (!isShort) frame.writeUInt16BE(payload.length, 2)
    frame.set(payload, headBytes)
    this.#socket.write(frame)
  }

  #read(bytes: number): boolean {
    let given: Buffer = readBuffer.subarray(0, bytes)
    if (this.#kept !== undefined) given = Buffer.concat([this.#kept, given])
    this.#kept = undefined
    if (this.#state === 'opening') given = this.#take101(given)
    this.#takeFrames(given)
    return true
  }

  /** What follows the head. */
  #take101(bytes: Buffer): Buffer {
    const end = bytes.indexOf(HEAD_END)
    if (end < 0 && bytes.length < HEAD_BYTES_MAX) {
      this.#kept = Buffer.from(bytes)
      return bytes.subarray(bytes.length)
    }
    if (end < 0 || bytes.toString('latin1', 9, 12) !== '101') {
      this.#socket.destroy()
      return bytes.subarray(bytes.length)
    }
    this.#state = 'open'
    return bytes.subarray(end + HEAD_END.length)
  }

  #takeFrames(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const left = bytes.length - at
      const length = left < 2 ? 0 : (bytes[at + 1] as number)
      const headBytes = length < LENGTH_16 ? 2 : length === LENGTH_16 ? 4 : 10
      const isWhole = left >= headBytes
      const payloadBytes = !isWhole ? 0 : length < LENGTH_16 ? length : lengthAt(bytes, at, length)
      if (!isWhole || left < headBytes + payloadBytes) {
        this.#kept = Buffer.from(bytes.subarray(at))
        return
      }
      const start = at + headBytes
      at = start + payloadBytes
      this.#takeFrame((bytes[start - headBytes] as number) & 0x0f, bytes, start, at)
    }
  }

  #takeFrame(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === OPCODE.text) this.#owner.heard(bytes.toString('utf8', start, end))
    else if (opcode === OPCODE.ping) this.#send(OPCODE.pong, bytes.subarray(start, end))
    else if (opcode === OPCODE.close) this.#socket.destroy()
  }

  #end(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#owner.closed()
  }
}

function lengthAt(bytes: Buffer, at: number, length: number): number {
  return length === LENGTH_64 ? bytes.readUIntBE(at + 4, 6) : bytes.readUInt16BE(at + 2)
}
