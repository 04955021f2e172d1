// As many sessions of the session proxy as one wants, one connection each, that do little: each hears what is its own.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { bearer, type RedisProxy, TOKEN } from './proxy-server.ts'
import { waitUntil, within } from './wait.ts'

const OPENED_AT_ONCE = 50
const OPEN_MS = 30_000
const HEAR_MS = 60_000

export class ProxyThrong implements Disposable {
  /** From the handshake to `open`. */
  readonly openMs: number[] = []
  readonly #proxy: RedisProxy
  readonly #sockets: WebSocket[] = []
  #heard = 0
  #wrong = 0
  #ended = 0

  constructor(proxy: RedisProxy) {
    this.#proxy = proxy
  }

  static async open(proxy: RedisProxy, count: number): Promise<ProxyThrong> {
    const throng = new ProxyThrong(proxy)
    let begun = 0
    const come = async (): Promise<void> => {
      while (begun < count) await throng.#enter(begun++)
    }
    await Promise.all(Array.from({ length: OPENED_AT_ONCE }, come))
    return throng
  }

  get ended(): number {
    return this.#ended
  }

  /** One message to each session, which nobody else gets. */
  async assertEachHears(): Promise<void> {
    const already = this.#heard
    const { redis } = this.#proxy.backend
    const pipeline = redis.pipeline()
    for (const index of this.#sockets.keys()) pipeline.publish(`session:throng-${index}:down`, `${index}`)
    for (const [error, receivers] of (await pipeline.exec()) ?? []) assert.deepEqual([error, receivers], [null, 1])
    await waitUntil('each hears', () => this.#heard - already >= this.#sockets.length, HEAR_MS)
    assert.deepEqual([this.#heard - already, this.#wrong, this.#ended], [this.#sockets.length, 0, 0])
  }

  /** Half of them with a close frame. */
  leave(): void {
    for (const [index, socket] of this.#sockets.entries()) {
      if (index % 2 === 0) socket.close(1000)
      else socket.terminate()
    }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.terminate()
  }

  async #enter(index: number): Promise<void> {
    const session = `throng-${index}`
    await this.#proxy.backend.setToken(session, TOKEN)
    const startMs = performance.now()
    const socket = new WebSocket(this.#proxy.url(session), { headers: bearer(TOKEN), perMessageDeflate: false })
    socket.on('message', (data: Buffer) => {
      this.#heard++
      if (data.toString() !== `${index}`) this.#wrong++
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => this.#ended++)
    this.#sockets[index] = socket
    await within(`session ${index}`, once(socket, 'open'), OPEN_MS)
    this.openMs.push(performance.now() - startMs)
  }
}
