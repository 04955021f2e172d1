// A TCP gate of the loopback in front of a server: what passes is left alone, until all of it is cut, and while the gate
// is down nobody comes in.
import assert from 'node:assert/strict'
import { connect, createServer, type Server, type Socket } from 'node:net'

export class Gate implements AsyncDisposable {
  readonly #listener: Server
  readonly #sockets = new Set<Socket>()
  #isDown = false

  private constructor(toPort: number) {
    this.#listener = createServer((client) => this.#join(client, toPort))
  }

  static async to(port: number): Promise<Gate> {
    const gate = new Gate(port)
    await new Promise<void>((resolve) => gate.#listener.listen(0, '127.0.0.1', resolve))
    return gate
  }

  get port(): number {
    const address = this.#listener.address()
    assert.ok(typeof address === 'object' && address !== null)
    return address.port
  }

  /** All connections end here and now; the next ones may come at once. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  down(): void {
    this.#isDown = true
    this.cut()
  }

  up(): void {
    this.#isDown = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#listener.close(resolve))
  }

  #join(client: Socket, toPort: number): void {
    if (this.#isDown) {
      client.destroy()
      return
    }
    const server = connect(toPort, '127.0.0.1')
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from)
      from.setNoDelay(true)
      from.on('error', () => {}) // its close follows
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }
}
