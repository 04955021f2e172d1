// A client's connection of the lean generator: its bytes are made beforehand, and what returns is compared as it comes.
//
//   opening ──101 or first line──► open ──► closed
import { connect, type Socket } from 'node:net'
import { PAYLOAD_BYTES, SERVER_FRAME_BYTES, serverFrames, upgradeRequest } from './raw-websocket.ts'

const READ_BYTES = 64 * 1024
const HEAD_BYTES_MAX = 4096
const LINE = Buffer.from(`${'x'.repeat(PAYLOAD_BYTES)}\n`)
const UPGRADE = upgradeRequest('/')
const HEAD_END = '\r\n\r\n'

/** One buffer for all reads: what is in it is used up before the next. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)
/** Any read, from whatever offset in a frame, is a part of this. */
const expected = serverFrames(Math.ceil(READ_BYTES / SERVER_FRAME_BYTES) + 1)

export interface ConnectionOwner {
  opened(connection: RawConnection): void
  /** All `window` answers are here; true sends the next window. */
  answered(connection: RawConnection): boolean
  /** Any end that was not asked for, and any wrong byte. */
  failed(reason: string): void
}

export interface ConnectionTarget {
  readonly port: number
  readonly localAddress: string
  readonly speaks: 'websocket' | 'line'
}

export class RawConnection {
  readonly #owner: ConnectionOwner
  readonly #socket: Socket
  readonly #isWebSocket: boolean
  readonly closed: Promise<void>
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #head = ''
  #window: Buffer = Buffer.alloc(0)
  #windowBytes = 0
  #received = 0

  constructor(target: ConnectionTarget, owner: ConnectionOwner) {
    const { port, localAddress, speaks } = target
    this.#owner = owner
    this.#isWebSocket = speaks === 'websocket'
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      localAddress,
      noDelay: true,
      onread: { buffer: readBuffer, callback: (bytes) => this.#onRead(bytes) },
    })
    this.#socket.on('connect', () => this.#socket.write(this.#isWebSocket ? UPGRADE : LINE))
    this.#socket.on('error', (error) => this.#fail(error.message))
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#socket.on('close', () => {
      this.#fail('the server closed a connection')
      resolve()
    })
  }

  /** Writes the next messages in one go. `window` must not change while answers are missing. */
  send(window: Buffer, messages: number): void {
    this.#window = window
    this.#windowBytes = messages * SERVER_FRAME_BYTES
    this.#socket.write(window)
  }

  reset(): void {
    this.#state = 'closed'
    this.#socket.resetAndDestroy()
  }

  #onRead(bytes: number): boolean {
    if (this.#state === 'opening') this.#onHead(bytes)
    else if (this.#state === 'open') this.#onAnswer(bytes)
    return true
  }

  #onHead(bytes: number): void {
    this.#head += readBuffer.toString('latin1', 0, bytes)
    if (!this.#head.endsWith(this.#isWebSocket ? HEAD_END : '\n')) {
      if (this.#head.length > HEAD_BYTES_MAX) this.#fail('an endless head')
      return
    }
    if (this.#isWebSocket && !this.#head.startsWith('HTTP/1.1 101 ')) this.#fail(this.#head.slice(0, 80))
    else if (!this.#isWebSocket && !this.#head.endsWith(LINE.toString('latin1'))) this.#fail('another line')
    else {
      this.#head = ''
      this.#state = 'open'
      this.#owner.opened(this)
    }
  }

  #onAnswer(bytes: number): void {
    const offset = this.#received % SERVER_FRAME_BYTES
    this.#received += bytes
    if (this.#received > this.#windowBytes || expected.compare(readBuffer, 0, bytes, offset, offset + bytes) !== 0) {
      this.#fail('a wrong answer')
      return
    }
    if (this.#received < this.#windowBytes) return
    this.#received = 0
    if (this.#owner.answered(this)) this.#socket.write(this.#window)
  }

  #fail(reason: string): void {
    if (this.#state === 'closed') return
    this.reset()
    this.#owner.failed(reason)
  }
}
