// The lean load generator as a process: opens connections, keeps windows of WebSocket messages in flight or publishes to
// a crowd, and samples the server's processes at the same moments at which it counts. Started by client-process.ts.
import type { ClientAnswer, ClientCommand, ExchangeCommand, OpenCommand } from './client-message.ts'
import { cpuNsOf, type Usage, usageOf } from './process-usage.ts'
import { type ConnectionOwner, RawConnection } from './raw-connection.ts'
import { clientFrames } from './raw-websocket.ts'
import { Crowd } from './subscriber-crowd.ts'

/** Answers that are missing so long after the end are lost. */
const DRAIN_MS_MAX = 10_000

class Client implements ConnectionOwner {
  readonly #connections: RawConnection[] = []
  #crowd: Crowd | undefined
  readonly #failure = Promise.withResolvers<never>()
  #open: (() => void) | undefined
  #drained: (() => void) | undefined
  #sending = false
  #window = 1
  #answers = 0
  #missing = 0

  constructor() {
    this.#failure.promise.catch(() => {}) // whoever waits will hear of it
  }

  opened(connection: RawConnection): void {
    this.#connections.push(connection)
    this.#open?.()
  }

  answered(): boolean {
    this.#answers += this.#window
    if (this.#sending) return true
    if (--this.#missing === 0) this.#drained?.()
    return false
  }

  failed(reason: string): void {
    this.#failure.reject(new Error(reason))
  }

  async answer(command: ClientCommand): Promise<ClientAnswer> {
    switch (command.kind) {
      case 'open':
        return { kind: 'opened', opened: await Promise.race([this.#openAll(command), this.#failure.promise]) }
      case 'exchange':
        return { kind: 'exchanged', exchanged: await Promise.race([this.#exchange(command), this.#failure.promise]) }
      case 'subscribe':
        this.#crowd = new Crowd(command)
        await this.#crowd.open()
        return { kind: 'subscribed' }
      case 'publish':
        if (this.#crowd === undefined) throw new Error('nobody has subscribed')
        return { kind: 'published', published: await this.#crowd.publish(command) }
      case 'reset': {
        await this.#crowd?.reset()
        this.#crowd = undefined
        const closing = this.#connections.splice(0)
        for (const connection of closing) connection.reset()
        await Promise.all(closing.map(({ closed }) => closed))
        return { kind: 'reset' }
      }
    }
  }

  async #openAll(command: OpenCommand): Promise<{ elapsedMs: number; serverCpuNs: number }> {
    const { port, speaks, connections, atOnce, addresses, pids } = command
    const wanted = this.#connections.length + connections
    const before = usageOf(pids)
    const all = Promise.withResolvers<Usage>()
    let begun = 0
    const begin = (): void => {
      const localAddress = `127.0.0.${1 + (begun++ % addresses)}`
      new RawConnection({ port, speaks, localAddress }, this)
    }
    this.#open = () => {
      if (this.#connections.length === wanted) all.resolve(usageOf(pids))
      else if (begun < connections) begin()
    }
    while (begun < Math.min(atOnce, connections)) begin()
    const after = await all.promise
    this.#open = undefined
    return { elapsedMs: after.atMs - before.atMs, serverCpuNs: cpuNsOf(before, after) }
  }

  async #exchange(command: ExchangeCommand): Promise<{
    messages: number
    elapsedMs: number
    serverCpuNs: number
    generatorBusy: number
  }> {
    const { window, warmupMs, durationMs, pids } = command
    const frames = clientFrames(window)
    this.#window = window
    this.#sending = true
    this.#missing = this.#connections.length
    for (const connection of this.#connections) connection.send(frames, window)
    await pause(warmupMs)
    const before = usageOf(pids)
    const ownBefore = process.threadCpuUsage()
    const answersBefore = this.#answers
    await pause(durationMs)
    const messages = this.#answers - answersBefore
    const after = usageOf(pids)
    const own = process.threadCpuUsage(ownBefore)
    const drained = Promise.withResolvers<void>()
    this.#drained = drained.resolve
    this.#sending = false
    const deadline = setTimeout(() => this.failed('answers are missing'), DRAIN_MS_MAX)
    await drained.promise
    clearTimeout(deadline)
    this.#drained = undefined
    const elapsedMs = after.atMs - before.atMs
    const generatorBusy = (own.user + own.system) / 1000 / elapsedMs
    return { messages, elapsedMs, serverCpuNs: cpuNsOf(before, after), generatorBusy }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

const client = new Client()
process.on('message', async (command: ClientCommand) => {
  let answer: ClientAnswer
  try {
    answer = await client.answer(command)
  } catch (error) {
    answer = { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
  }
  process.send?.(answer)
})
process.on('disconnect', () => process.exit())
