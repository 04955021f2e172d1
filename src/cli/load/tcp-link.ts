// A TCP connection of the load generator: one message a line, as it is or behind the echo service's prefix.
import { connect, type Socket } from 'node:net'
import { LineSplitter } from './line.ts'
import { codeOf, type Link, type LinkAddress, type LinkListener, openFailure } from './link.ts'
import type { LoadPlan } from './plan.ts'
import { Slab } from './slab.ts'

/** All connections of a thread read into this one: what it holds is used up before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)
const slab = new Slab()

export class TcpLink implements Link {
  readonly #socket: Socket
  readonly #listener: LinkListener
  readonly #lines: LineSplitter
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #timer: NodeJS.Timeout | undefined

  constructor(plan: LoadPlan, where: LinkAddress, listener: LinkListener) {
    this.#listener = listener
    this.#lines = new LineSplitter(plan.sizeBytes, plan.mode === 'prefixed', listener)
    this.#socket = connect({
      host: where.address,
      port: where.port,
      ...(where.localAddress === undefined ? {} : { localAddress: where.localAddress }),
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes) => {
          this.#lines.push(readBuffer, bytes)
          return true
        },
      },
    })
    this.#timer = setTimeout(() => this.#finish('connect-timeout', ''), plan.timeoutMs)
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
