// Load that notices every loss: numbers over one echo WebSocket, a few in flight, each expected back once and in order.
import { WebSocketClient } from './web-socket-client.ts'

const WINDOW = 8

export class NumberedEcho implements Disposable {
  readonly client: WebSocketClient
  #sent = 0
  #received = 0
  #stopped = false
  #fault: string | undefined
  readonly #done = Promise.withResolvers<void>()

  constructor(client: WebSocketClient) {
    this.client = client
    void this.#run()
  }

  static async open(url: string): Promise<NumberedEcho> {
    return new NumberedEcho(await WebSocketClient.open(url))
  }

  /** Numbers that came back so far. */
  get received(): number {
    return this.#received
  }

  /** What went wrong: a gap, a repetition, or the end of the connection before `stop`. */
  get fault(): string | undefined {
    return this.#fault
  }

  /** Sends nothing more and waits for what is in flight. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done.promise
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]()
  }

  async #run(): Promise<void> {
    while (this.#received < this.#sent || !this.#stopped) {
      while (this.#sent < this.#received + WINDOW && !this.#stopped) this.client.send(`${this.#sent++}`)
      let message: Awaited<ReturnType<WebSocketClient['next']>>
      try {
        message = await this.client.next()
      } catch (error) {
        this.#fault ??= String(error)
        break
      }
      if (message === undefined) {
        if (!this.#stopped) this.#fault ??= `closed after ${this.#received} of ${this.#sent}`
        break
      }
      const text = message.data.toString()
      if (text !== `${this.#received}`) this.#fault ??= `${text} instead of ${this.#received}`
      this.#received++
    }
    this.#done.resolve()
  }
}
