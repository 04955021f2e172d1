// A UDP client of chat: sends datagrams, and keeps what comes back.
import { createSocket, type Socket } from 'node:dgram'

export class ChatDatagram implements Disposable {
  readonly answers: Buffer[] = []
  readonly #socket: Socket
  readonly #port: number
  readonly #host: string

  constructor(port: number, host = '127.0.0.1') {
    this.#port = port
    this.#host = host
    this.#socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    this.#socket.on('message', (payload) => this.answers.push(payload))
  }

  /** Resolves when the kernel has it. */
  say(payload: string | Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(payload, this.#port, this.#host, (error) => (error === null ? resolve() : reject(error)))
    })
  }

  [Symbol.dispose](): void {
    this.#socket.close()
  }
}
