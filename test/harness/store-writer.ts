// A client of the store service that writes one key after another, some at a time, and keeps the books: what was
// acknowledged must be found later, what failed has a code.
import { LineClient } from './line-client.ts'

/** Calls in progress at a time. */
const WINDOW = 8

export class StoreWriter {
  /** Keys whose write was acknowledged. */
  readonly acknowledged: string[] = []
  /** How often each code was the answer. */
  readonly failures = new Map<string, number>()
  readonly #client: LineClient
  readonly #name: string
  readonly #done: Promise<void>
  #stopping = false
  #count = 0

  private constructor(client: LineClient, name: string) {
    this.#client = client
    this.#name = name
    this.#done = this.#run()
  }

  static async start(port: number, name: string): Promise<StoreWriter> {
    return new StoreWriter(await LineClient.open({ port }), name)
  }

  /** Lets what is in progress end. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#done
    this.#client[Symbol.dispose]()
  }

  async #run(): Promise<void> {
    let open = 0
    while (!this.#stopping || open > 0) {
      while (open < WINDOW && !this.#stopping) {
        const key = `${this.#name}-${this.#count++}`
        this.#client.say(`${key} put ${key} value-of-${key}`)
        open++
      }
      const line = await this.#client.next(20_000)
      if (line === undefined) return
      open--
      const [key = '', outcome = ''] = line.split(' ')
      if (outcome === 'ok') this.acknowledged.push(key)
      else this.failures.set(outcome, (this.failures.get(outcome) ?? 0) + 1)
    }
  }
}
