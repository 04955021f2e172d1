// A UDP peer of the load generator: one socket, connected, so that no send looks up an address.
import { createSocket, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { codeOf, type Link, type LinkAddress, type LinkListener, openFailure } from './link.ts'

export class UdpLink implements Link {
  readonly bufferedBytes = 0
  readonly #socket: Socket
  readonly #listener: LinkListener
  #state: 'opening' | 'open' | 'closed' = 'opening'

  constructor(where: LinkAddress, listener: LinkListener) {
    this.#listener = listener
    this.#socket = createSocket(isIPv6(where.address) ? 'udp6' : 'udp4')
    this.#socket.on('message', (datagram) => listener.received(datagram, 0, datagram.length))
    // A port nobody listens on answers a connected socket with ECONNREFUSED, on the send after the first.
    this.#socket.on('error', (error) => {
      if (this.#state === 'opening' || codeOf(error) === 'ECONNREFUSED') this.#finish(...openFailure(error))
      else this.#finish('closed', codeOf(error))
    })
    const connect = (): void => this.#socket.connect(where.port, where.address, () => this.#opened())
    if (where.localAddress === undefined) connect()
    else this.#socket.bind({ address: where.localAddress, exclusive: true }, connect)
  }

  begin(): void {}

  send(message: Buffer): void {
    this.#socket.send(Buffer.from(message))
  }

  end(): void {}

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#socket.close()
  }

  #opened(): void {
    if (this.#state !== 'opening') return
    this.#state = 'open'
    this.#listener.opened()
  }

  #finish(...end: Parameters<LinkListener['closed']>): void {
    if (this.#state === 'closed') return
    this.close()
    this.#listener.closed(...end)
  }
}
