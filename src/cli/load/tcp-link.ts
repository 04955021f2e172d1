// A TCP connection of the load generator: bytes both ways, and one end. What they mean is its listener's business.
import { connect, type Socket } from 'node:net'
import { codeOf, type Link, type LinkAddress, type LinkListener, openFailure } from './link.ts'
import { Slab } from './slab.ts'

/** All connections of a thread read into this one: what it holds is used up before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)
const slab = new Slab()

export interface ByteListener extends Pick<LinkListener, 'opened' | 'closed'> {
  /** `bytes[0, end)`, valid only during the call; behind `end` are older ones. */
  arrived(bytes: Buffer, end: number): void
}

export class TcpLink implements Link {
  readonly #socket: Socket
  readonly #listener: ByteListener
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #timer: NodeJS.Timeout | undefined

  constructor(where: LinkAddress, timeoutMs: number, listener: ByteListener) {
    this.#listener = listener
    this.#socket = connect({
      host: where.address,
      port: where.port,
      ...(where.localAddress === undefined ? {} : { localAddress: where.localAddress }),
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes) => {
          listener.arrived(readBuffer, bytes)
          return true
        },
      },
    })
    this.#timer = setTimeout(() => this.#finish('connect-timeout', ''), timeoutMs)
    this.#listen()
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  begin(): void {
    slab.begin()
  }

  send(message: Buffer): void {
    const full = slab.add(message)
    if (full !== undefined) this.#socket.write(full)
  }

  end(): void {
    const bytes = slab.end()
    if (bytes !== undefined) this.#socket.write(bytes)
  }

  /** Without `begin` and `end`: the bytes must stay as they are. */
  write(bytes: Buffer | string): void {
    this.#socket.write(bytes)
  }

  close(): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.#socket.destroy()
  }

  #listen(): void {
    const socket = this.#socket
    socket.on('connect', () => {
      if (this.#state !== 'opening') return
      this.#state = 'open'
      clearTimeout(this.#timer)
      this.#timer = undefined
      this.#listener.opened()
    })
    socket.on('error', (error) => {
      if (this.#state === 'opening') this.#finish(...openFailure(error))
      else this.#finish('closed', codeOf(error))
    })
    socket.on('close', () => this.#finish(this.#state === 'opening' ? 'connect-failed' : 'closed', 'end of stream'))
  }

  #finish(...end: Parameters<LinkListener['closed']>): void {
    if (this.#state === 'closed') return
    this.close()
    this.#listener.closed(...end)
  }
}
