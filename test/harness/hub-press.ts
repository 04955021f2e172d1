// Publishes numbered events at a steady rate, one after the other, until told to stop: what a crowd is to get.
import type { HubClient } from './hub-client.ts'
import { pause } from './wait.ts'

const PAUSE_MS = 10

export class HubPress {
  /** The last one that was published. */
  number: number
  #isRunning = true
  readonly #running: Promise<void>
  readonly #pauseMs: number

  /** Goes on behind `number`; `pauseMs` behind each reply. */
  constructor(publisher: HubClient, number = 0, pauseMs = PAUSE_MS) {
    this.number = number
    this.#pauseMs = pauseMs
    this.#running = this.#run(publisher)
  }

  /** No more; answers the last number. */
  async stop(): Promise<number> {
    this.#isRunning = false
    await this.#running
    return this.number
  }

  async #run(client: HubClient): Promise<void> {
    while (this.#isRunning) {
      this.number++
      await client.broadcast('metrics', { number: this.number })
      await pause(this.#pauseMs)
    }
  }
}
