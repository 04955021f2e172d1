// A client of rooms that does what a test says, byte for byte, and keeps the frames it gets: large contents as a digest.
import assert from 'node:assert/strict'
import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { encodeDescriptor, encodeFrame, HEADER_BYTES_MAX, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { type FrameCourse, FrameParser, type FrameSink } from '../../src/services/rooms/frame-parser.ts'
import { within } from './wait.ts'

/** Longer contents are not kept. */
const KEPT_BYTES_MAX = 1024 * 1024

export interface Received {
  readonly type: number
  /** As it came. */
  readonly raw: string
  readonly timestamp?: string
  readonly from?: string
  readonly filename?: string
  readonly to?: string
  readonly bytes: number
  /** Of short contents. */
  readonly text: string
  readonly sha256: string
}

/** Makes frames of what a parser finds. */
class Collector implements FrameSink {
  readonly frames: Received[] = []
  #type = 0
  #raw = ''
  #bytes = 0
  #hash: Hash = createHash('sha256')
  #parts: Buffer[] = []

  begin(type: number): FrameCourse {
    this.#type = type
    this.#bytes = 0
    this.#parts = []
    this.#hash = createHash('sha256')
    return 'take'
  }

  header(bytes: Buffer): void {
    this.#raw = bytes.toString()
  }

  content(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#hash.update(chunk)
    if (this.#bytes <= KEPT_BYTES_MAX) this.#parts.push(Buffer.from(chunk))
    else this.#parts = []
  }

  end(): void {
    const members = this.#raw === '' ? {} : (JSON.parse(this.#raw) as object)
    const text = Buffer.concat(this.#parts).toString()
    const sha256 = this.#hash.digest('hex')
    this.frames.push({ ...members, type: this.#type, raw: this.#raw, bytes: this.#bytes, text, sha256 })
  }
}

export class RoomsMember implements Disposable {
  readonly socket: Socket
  readonly ended: Promise<void>
  bytesRead = 0
  #hasEnded = false
  /** Settles when something came. */
  #changed: PromiseWithResolvers<void> | undefined
  readonly #collector = new Collector()
  readonly #parser = new FrameParser(this.#collector, { headerBytesMax: HEADER_BYTES_MAX })

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.bytesRead += bytes.length
      this.#parser.push(bytes)
      this.#change()
    })
    socket.on('error', () => {}) // resets are what some tests are about
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.#hasEnded = true
        this.#change()
        resolve()
      }
      socket.once('end', end)
      socket.once('close', end)
    })
  }

  static async open(port: number): Promise<RoomsMember> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await within('the connection opens', once(socket, 'connect'))
    return new RoomsMember(socket)
  }

  /** What came and was not taken. */
  get frames(): Received[] {
    return this.#collector.frames
  }

  /** In the middle of a frame that has begun. */
  get inFrame(): boolean {
    return this.#parser.inFrame
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  // ---- sending ----------------------------------------------------------------------------------------------------

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  send(type: number, header: string | Uint8Array = '', content: string | Uint8Array = ''): void {
    this.write(encodeFrame(type, header, content))
  }

  say(text: string, to?: string): void {
    this.send(MESSAGE_TYPE.utf8, to === undefined ? '' : JSON.stringify({ to }), text)
  }

  /** A descriptor that announces so much, and nothing behind it. */
  announce(type: number, headerBytes: number, contentBytes: number | bigint): void {
    this.write(encodeDescriptor(type, headerBytes, contentBytes))
  }

  /** Logs in, and waits for the acceptance and the notice of it. */
  async login(name: string): Promise<void> {
    this.send(MESSAGE_TYPE.login, name)
    const { type, raw, bytes } = await this.next('an answer to the login')
    assert.deepEqual({ type, raw, bytes }, { type: MESSAGE_TYPE.login, raw: '', bytes: 0 })
    const joined = await this.next('the own join')
    assert.deepEqual([joined.type, joined.from], [MESSAGE_TYPE.login, name])
  }

  /** The type of the bare answer to a login. */
  async tryLogin(header: string | Uint8Array, type: number = MESSAGE_TYPE.login): Promise<number> {
    this.send(type, header)
    return (await this.next('an answer to the login')).type
  }

  // ---- receiving --------------------------------------------------------------------------------------------------

  /** Takes the next frame. */
  async next(what = 'a frame', deadlineMs?: number): Promise<Received> {
    for (;;) {
      const first = this.frames.shift()
      if (first !== undefined) return first
      if (this.#hasEnded) throw new Error(`the connection ended before ${what}`)
      this.#changed ??= Promise.withResolvers<void>()
      await within(what, this.#changed.promise, deadlineMs)
    }
  }

  /** Takes the next frame of that type, and drops those before it. */
  async nextOf(type: number, deadlineMs?: number): Promise<Received> {
    for (;;) {
      const frame = await this.next(`a frame of type ${type}`, deadlineMs)
      if (frame.type === type) return frame
    }
  }

  /** Takes the next text, and drops what is before it. */
  text(): Promise<Received> {
    return this.nextOf(MESSAGE_TYPE.utf8)
  }

  #change(): void {
    this.#changed?.resolve()
    this.#changed = undefined
  }

  async end(deadlineMs?: number): Promise<void> {
    await within('the connection ends', this.ended, deadlineMs)
  }

  close(): void {
    this.socket.destroy()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
