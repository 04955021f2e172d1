// The floor under the session proxy: ioredis publishes, Redis brings it to ioredis, in one process, with the channels and
// the pauses of the load test. Arguments: URL, channels, seconds of warm-up, seconds, seconds between the messages of a
// channel; 0: one channel, the next message when the last has come. Prints one line of figures.
import { Redis } from 'ioredis'
import { latencyOf } from '../../src/cli/load/session/report.ts'

/** What is under way at the end is waited for. */
const DRAIN_MS_MAX = 5_000

const [url = '', ...numbers] = process.argv.slice(2)
const [channels = 1, warmupSeconds = 0, seconds = 1, intervalSeconds = 1] = numbers.map(Number)
const publisher = new Redis(url)
const subscriber = new Redis(url)
const names = Array.from({ length: channels }, (_, index) => `session:bench-${index}:down`)
const latenciesNs: number[] = []
let sent = 0
let onArrival: (() => void) | undefined
subscriber.on('message', (_channel, text: string) => {
  const nowMs = performance.now()
  const { timestamp } = JSON.parse(text) as { readonly timestamp: number }
  latenciesNs.push(nowMs * 1e6 - timestamp)
  onArrival?.()
})
await subscriber.subscribe(...names)
await pause(warmupSeconds * 1_000)
const perChannel = Math.floor(seconds / intervalSeconds) + 1
const startMs = performance.now()
if (intervalSeconds === 0) await publishInTurn()
else await Promise.all(names.map(publishAll))
const untilMs = performance.now() + DRAIN_MS_MAX
while (latenciesNs.length < sent && performance.now() < untilMs) await pause(1)
console.log(JSON.stringify({ sent, received: latenciesNs.length, latency: latencyOf(latenciesNs) }))
publisher.disconnect()
subscriber.disconnect()

/** As a worker of the load test: channels begin evenly spread over an interval. */
async function publishAll(name: string, channel: number): Promise<void> {
  const firstMs = startMs + (channel / channels) * intervalSeconds * 1_000
  for (let index = 0; index < perChannel; index++) {
    await pause(firstMs + index * intervalSeconds * 1_000 - performance.now())
    publish(name, `${channel}-${index}`)
  }
}

async function publishInTurn(): Promise<void> {
  while (performance.now() - startMs < seconds * 1_000) {
    const { promise, resolve } = Promise.withResolvers<void>()
    onArrival = resolve
    publish(names[0] ?? '', `${sent}`)
    await promise
  }
}

function publish(name: string, id: string): void {
  const timestamp = Math.round(performance.now() * 1e6)
  sent++
  void publisher.publish(name, `{"type":"data","message_id":"${id.padEnd(36, '0')}","timestamp":${timestamp}}`)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
