// The subscribers of one server and their publisher, in the generator's process: publishes bursts, the next when every
// subscriber has every message of the last, so that the load is bounded and each delivery is checked.
import type { PublishCommand, Published, SubscribeCommand } from './client-message.ts'
import { DIALECTS, type Dialect } from './dialect.ts'
import { cpuNsOf, usageOf } from './process-usage.ts'
import { RawSubscriber, type SubscriberOwner } from './raw-subscriber.ts'
import { PAYLOAD_BYTES } from './raw-websocket.ts'

/** What has not come so long after it was published, and who has not subscribed so long after the first, is lost. */
const DELIVERY_MS_MAX = 60_000
const LATENCIES_MAX = 1_000_000

export class Crowd implements SubscriberOwner {
  expected: Buffer = Buffer.alloc(0)
  readonly #command: SubscribeCommand
  readonly #dialect: Dialect
  readonly #subscribers: RawSubscriber[] = []
  readonly #failure = Promise.withResolvers<never>()
  readonly #latenciesMs = new Float64Array(LATENCIES_MAX)
  #latencies = 0
  #publisher: RawSubscriber | undefined
  #begin: (() => void) | undefined
  #complete: (() => void) | undefined
  #missing = 0
  #publishedMs = 0
  #published = 0

  constructor(command: SubscribeCommand) {
    this.#command = command
    this.#dialect = DIALECTS[command.dialect]
    this.#failure.promise.catch(() => {}) // whoever waits will hear of it
  }

  opened(): void {
    this.#begin?.()
    this.#countDown()
  }

  received(): void {
    if (this.#latencies < LATENCIES_MAX) this.#latenciesMs[this.#latencies++] = performance.now() - this.#publishedMs
    this.#countDown()
  }

  failed(reason: string): void {
    this.#failure.reject(new Error(reason))
  }

  /** Opens all connections; when it returns, every subscriber has subscribed. */
  async open(): Promise<void> {
    const { subscribers, atOnce, port, addresses } = this.#command
    const target = (session: string, index: number) => {
      return { port, dialect: this.#dialect, session, localAddress: `127.0.0.${1 + (index % addresses)}` }
    }
    let begun = 0
    const begin = (): void => {
      if (begun === subscribers) return
      const index = begun++
      this.#subscribers.push(new RawSubscriber(target(`s${index}`, index), this))
    }
    this.#begin = begin
    await this.#all(subscribers, () => {
      for (let index = 0; index < atOnce; index++) begin()
    })
    this.#begin = undefined
    await this.#all(1, () => {
      this.#publisher = new RawSubscriber(target('publisher', 0), this)
    })
  }

  async publish(command: PublishCommand): Promise<Published> {
    const { burst, pauseMs, warmupMs, durationMs, pids } = command
    await this.#publishFor(burst, pauseMs, warmupMs)
    this.#latencies = 0
    const before = usageOf(pids)
    const ownBefore = process.threadCpuUsage()
    const messages = await this.#publishFor(burst, pauseMs, durationMs)
    const after = usageOf(pids)
    const own = process.threadCpuUsage(ownBefore)
    const elapsedMs = after.atMs - before.atMs
    const latenciesMs = this.#latenciesMs.subarray(0, this.#latencies).sort()
    return {
      deliveries: messages * this.#command.subscribers,
      elapsedMs,
      serverCpuNs: cpuNsOf(before, after),
      generatorBusy: (own.user + own.system) / 1000 / elapsedMs,
      p50Ms: latenciesMs[latenciesMs.length >> 1] ?? 0,
      p99Ms: latenciesMs[Math.floor(latenciesMs.length * 0.99)] ?? 0,
    }
  }

  async reset(): Promise<void> {
    const closing = [...this.#subscribers, ...(this.#publisher === undefined ? [] : [this.#publisher])]
    for (const subscriber of closing) subscriber.reset()
    await Promise.all(closing.map(({ closed }) => closed))
  }

  async #publishFor(burst: number, pauseMs: number, durationMs: number): Promise<number> {
    const endMs = performance.now() + durationMs
    let messages = 0
    do {
      const payloads = Array.from({ length: burst }, () => this.#nextPayload())
      this.expected = Buffer.concat(payloads.map((payload) => this.#dialect.message(payload)))
      const bytes = Buffer.concat(payloads.map((payload) => this.#dialect.publish(payload)))
      await this.#all(this.#command.subscribers, () => {
        this.#publishedMs = performance.now()
        this.#publisher?.send(bytes)
      })
      messages += burst
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
    } while (performance.now() < endMs)
    return messages
  }

  /** Each another one: nothing that comes twice or out of order passes for what was meant. */
  #nextPayload(): string {
    return String(this.#published++).padStart(PAYLOAD_BYTES, '.')
  }

  /** Does something that each of so many will answer, and waits for them. */
  async #all(count: number, action: () => void): Promise<void> {
    const complete = Promise.withResolvers<void>()
    this.#missing = count
    this.#complete = complete.resolve
    const deadline = setTimeout(() => this.failed(`${this.#missing} of ${count} are missing`), DELIVERY_MS_MAX)
    try {
      action()
      await Promise.race([complete.promise, this.#failure.promise])
    } finally {
      clearTimeout(deadline)
    }
  }

  #countDown(): void {
    if (--this.#missing === 0) this.#complete?.()
  }
}
