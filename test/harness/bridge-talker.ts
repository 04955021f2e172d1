// A client of test/harness/bridge-service.ts: asks, and keeps what it hears meanwhile.
import assert from 'node:assert/strict'
import { LineClient } from './line-client.ts'
import { within } from './wait.ts'

/** Longer than any test. */
const LISTEN_MS_MAX = 600_000

export class BridgeTalker implements Disposable {
  /** `channel text`, in the order in which it came. */
  readonly heard: string[] = []
  /** Channels. */
  readonly gaps: string[] = []
  readonly #client: LineClient
  readonly #open = new Map<string, (answer: string) => void>()
  #count = 0

  constructor(client: LineClient) {
    this.#client = client
    void this.#read()
  }

  static async open(port: number): Promise<BridgeTalker> {
    return new BridgeTalker(await LineClient.open({ port }))
  }

  ask(line: string): Promise<string> {
    const word = `${++this.#count}`
    const { promise, resolve } = Promise.withResolvers<string>()
    this.#open.set(word, resolve)
    this.#client.say(`${word} ${line}`)
    return within(`an answer to ${line}`, promise)
  }

  async hear(channel: string): Promise<void> {
    assert.equal(await this.ask(`hear ${channel}`), 'ok')
  }

  async #read(): Promise<void> {
    for (;;) {
      const line = await this.#client.next(LISTEN_MS_MAX)
      if (line === undefined) return
      const space = line.indexOf(' ')
      const [word, text] = [line.slice(0, space), line.slice(space + 1)]
      if (word === ':') this.heard.push(text)
      else if (word === '!') this.gaps.push(text)
      else this.#open.get(word)?.(text)
      this.#open.delete(word)
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }
}
