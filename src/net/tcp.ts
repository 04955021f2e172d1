// The framing of a plain byte stream: bytes go to the handler as they come.
import type { CloseReason } from '../observe/family.ts'
import type { Connection } from './connection.ts'
import type { Framing, Wire } from './framing.ts'
import type { FrozenConnection, FrozenFraming } from './frozen-connection.ts'
import type { TcpHandler } from './handler.ts'
import { COALESCE_BYTES_MAX } from './outbox.ts'

export class StreamFraming implements Framing {
  readonly #connection: Connection
  readonly #handler: TcpHandler

  constructor(connection: Connection, handler: TcpHandler) {
    this.#connection = connection
    this.#handler = handler
  }

  opened(): unknown {
    this.#connection.state = this.#handler.open?.(this.#connection)
    return this.#connection.state
  }

  thawed(frozen: FrozenConnection): unknown {
    this.#connection.state = this.#handler.thaw?.(this.#connection, frozen.state)
    return this.#connection.state
  }

  get wire(): Wire {
    return 'stream'
  }

  get movable(): boolean {
    return this.#handler.thaw !== undefined
  }

  get settled(): boolean {
    return this.#handler.settled === undefined || this.#handler.settled(this.#connection)
  }

  freeze(): FrozenFraming {
    return { transport: 'tcp', state: this.#handler.freeze?.(this.#connection) }
  }

  push(bytes: Buffer, start: number, end: number): number {
    const whole = start === 0 && end === bytes.length
    this.#connection.loop.countMessage(this.#connection.service, 0)
    const taken = this.#handler.data(this.#connection, whole ? bytes : bytes.subarray(start, end))
    if (typeof taken === 'number') return taken
    if (taken !== undefined) this.#connection.watch(taken)
    return end - start
  }

  ended(): void {
    if (this.#handler.end === undefined) this.#connection.finish('client')
    else this.#connection.watch(this.#handler.end(this.#connection))
  }

  send(payload: Uint8Array | string): void {
    const connection = this.#connection
    if (typeof payload === 'string') this.#write(payload)
    else connection.write(payload)
    connection.loop.countMessage(connection.service, 1)
  }

  /** Text goes where it is sent from, without a copy of its own. */
  #write(text: string): void {
    const connection = this.#connection
    const bytes = Buffer.byteLength(text)
    if (bytes > COALESCE_BYTES_MAX) connection.writeShared(Buffer.from(text))
    else {
      const at = connection.reserve(bytes)
      connection.loop.outbox.arena.write(text, at)
    }
  }

  shared(bytes: Uint8Array, messages: number): boolean {
    return this.#handler.shared?.(this.#connection, bytes, messages) === true
  }

  unframe(frame: Uint8Array, message: (payload: Uint8Array, isBinary: boolean) => void): void {
    message(frame, true)
  }

  closing(reason: CloseReason): void {
    this.#handler.closing?.(this.#connection, reason)
  }

  close(): void {
    this.#connection.finish('server')
  }

  writable(): unknown {
    return this.#handler.writable?.(this.#connection)
  }

  timedOut(): unknown {
    if (this.#handler.timeout !== undefined) return this.#handler.timeout(this.#connection)
    this.#connection.closeIdle()
    return undefined
  }

  closeIdle(): void {
    this.#connection.finish('idle_timeout')
  }

  lost(reason: CloseReason): void {
    this.#connection.watch(this.#handler.close?.(this.#connection, reason))
  }
}
