// A subscriber of the lean generator, and its publisher: says hello, then compares what comes with what all are to get.
//
//   opening ──101──► greeted ──ready──► open ──► closed
import { connect, type Socket } from 'node:net'
import type { Dialect } from './dialect.ts'

const READ_BYTES = 64 * 1024
const HEAD_BYTES_MAX = 4096
const HEAD_END = '\r\n\r\n'

/** One buffer for all reads: what is in it is used up before the next. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)

export interface SubscriberOwner {
  /** The bytes that each subscriber gets now, and no others. */
  readonly expected: Buffer
  opened(): void
  /** It has all of them. */
  received(): void
  failed(reason: string): void
}

export interface SubscriberTarget {
  readonly port: number
  readonly localAddress: string
  readonly session: string
  readonly dialect: Dialect
}

export class RawSubscriber {
  readonly closed: Promise<void>
  readonly #owner: SubscriberOwner
  readonly #socket: Socket
  readonly #dialect: Dialect
  #state: 'opening' | 'greeted' | 'open' | 'closed' = 'opening'
  #head: Buffer = Buffer.alloc(0)
  #received = 0

  constructor(target: SubscriberTarget, owner: SubscriberOwner) {
    const { port, localAddress, session, dialect } = target
    this.#owner = owner
    this.#dialect = dialect
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      localAddress,
      noDelay: true,
      onread: { buffer: readBuffer, callback: (bytes) => this.#onRead(bytes) },
    })
    this.#socket.on('connect', () => this.#socket.write(dialect.upgrade(session)))
    this.#socket.on('error', (error) => this.#fail(error.message))
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#socket.on('close', () => {
      this.#fail('the server closed a connection')
      resolve()
    })
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  reset(): void {
    this.#state = 'closed'
    this.#socket.resetAndDestroy()
  }

  #onRead(bytes: number): boolean {
    if (this.#state === 'open') this.#onMessages(bytes)
    else if (this.#state !== 'closed') this.#onHead(readBuffer.subarray(0, bytes))
    return true
  }

  #onHead(bytes: Buffer): void {
    this.#head = Buffer.concat([this.#head, bytes])
    if (this.#state === 'opening') {
      const end = this.#head.indexOf(HEAD_END)
      if (end >= 0 && this.#head.subarray(0, 13).toString('latin1') === 'HTTP/1.1 101 ') {
        this.#state = 'greeted'
        this.#head = this.#head.subarray(end + HEAD_END.length)
        if (this.#dialect.hello !== undefined) this.#socket.write(this.#dialect.hello)
      } else if (end >= 0) {
        this.#fail(this.#head.toString('latin1', 0, 80))
        return
      }
    }
    const { ready } = this.#dialect
    if (this.#state === 'greeted' && this.#head.subarray(-ready.length).equals(ready)) {
      this.#head = Buffer.alloc(0)
      this.#state = 'open'
      this.#owner.opened()
    } else if (this.#head.length > HEAD_BYTES_MAX) this.#fail('an endless head')
  }

  #onMessages(bytes: number): void {
    const { expected } = this.#owner
    const offset = this.#received
    this.#received += bytes
    if (this.#received > expected.length || expected.compare(readBuffer, 0, bytes, offset, offset + bytes) !== 0) {
      this.#fail('a wrong message')
      return
    }
    if (this.#received < expected.length) return
    this.#received = 0
    this.#owner.received()
  }

  #fail(reason: string): void {
    if (this.#state === 'closed') return
    this.reset()
    this.#owner.failed(reason)
  }
}
