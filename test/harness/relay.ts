// A TCP relay of the loopback in front of a server, which can spoil what passes: hold it back, cut it anywhere, or let
// nothing through any more while connections stay open.
import assert from 'node:assert/strict'
import { connect, createServer, type Server, type Socket } from 'node:net'

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

export class Relay implements AsyncDisposable {
  /** Each piece is held back so long, in both directions together. */
  delayMs = 0
  /** Nothing passes, and nothing ends. */
  isStalled = false
  /** Bytes to clients that still pass, on all connections; then each is cut, whatever was on its way. */
  bytesLeft = Number.POSITIVE_INFINITY
  cuts = 0
  readonly #listener: Server
  readonly #pairs = new Set<Pair>()
  #port = 0

  private constructor(toPort: number) {
    this.#listener = createServer((client) => this.#join(client, connect(toPort, '127.0.0.1')))
  }

  static async to(port: number): Promise<Relay> {
    const relay = new Relay(port)
    await new Promise<void>((resolve) => relay.#listener.listen(0, '127.0.0.1', resolve))
    const address = relay.#listener.address()
    assert.ok(typeof address === 'object' && address !== null)
    relay.#port = address.port
    return relay
  }

  get port(): number {
    return this.#port
  }

  get connections(): number {
    return this.#pairs.size
  }

  /** All connections end here and now. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      this.cuts++
      client.destroy()
      server.destroy()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#listener.close(resolve))
  }

  #join(client: Socket, server: Socket): void {
    const pair = { client, server }
    this.#pairs.add(pair)
    client.setNoDelay(true)
    server.setNoDelay(true)
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('error', () => {})
      from.on('close', () => {
        to.destroy()
        this.#pairs.delete(pair)
      })
      from.on('data', (bytes: Buffer) => this.#pass(bytes, to, from === server))
    }
  }

  #pass(bytes: Buffer, to: Socket, isToClient: boolean): void {
    if (this.isStalled) return
    if (isToClient) {
      if (bytes.length > this.bytesLeft) {
        // Not cut() alone: what still passes must have left.
        to.write(bytes.subarray(0, this.bytesLeft), () => this.cut())
        this.bytesLeft = Number.POSITIVE_INFINITY
        return
      }
      this.bytesLeft -= bytes.length
    }
    if (this.delayMs === 0) to.write(bytes)
    else setTimeout(() => to.writable && to.write(bytes), this.delayMs / 2)
  }
}
