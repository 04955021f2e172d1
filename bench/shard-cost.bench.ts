// Whether a message costs more when more shards share the work: server CPU per echoed WebSocket message with 1, 2, 4 and
// 8 shards at the same load, a fixed rate that one shard can serve. The load is the product's own load test, which sends
// by schedule and checks every answer.
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { type LoadRun, runLoadTest } from './load-test-process.ts'
import { CORES } from './machine.ts'
import { type ServerProcess, startPolyloop } from './server-process.ts'

const SHARDS = [1, 2, 4, 8] as const
const BUDGET = 1.15

export const bench = defineBench({
  question: 'What does a message cost with 8 shards, against 1?',
  async run({ smoke, log }) {
    const shards: readonly number[] = smoke ? [1, 2] : SHARDS
    const load = smoke
      ? { connections: 16, rate: 1_000, warmup: '50ms', duration: '150ms' }
      : { connections: 400, rate: 10_000, warmup: '500ms', duration: '2s' }
    if (CORES.length <= Math.max(...shards)) {
      log(`${CORES.length} cores: the shards share them, which adds context switches that they would not have`)
    }
    const servers = new Map<string, ServerProcess>()
    await using stack = new AsyncDisposableStack()
    const started = await Promise.all(shards.map((count) => startPolyloop({ shards: count })))
    for (const [index, server] of started.entries()) servers.set(`${shards[index]}`, stack.use(server))
    let answers = 0
    const latencies = new Map<string, number[]>()
    const round = (key: string) => async (): Promise<number> => {
      const server = servers.get(key)
      if (server === undefined) throw new Error(`no server with ${key} shards`)
      const run: LoadRun = await runLoadTest(`ws://127.0.0.1:${server.port}`, server.pids[0] ?? 0, load)
      answers += run.answers
      latencies.set(key, [...(latencies.get(key) ?? []), run.p50Ns / 1000])
      return run.serverCpuUs
    }
    const candidates: Record<string, () => Promise<number>> = Object.fromEntries(
      shards.map((count) => [`${count}`, round(`${count}`)]),
    )
    log(`${load.rate} messages/s over ${load.connections} connections`)
    const cpu = await interleave(smoke ? 1 : 5, candidates)
    const of = (count: number): number[] => cpu[`${count}`] ?? []
    const ratios: Ratio[] = shards.slice(1).map((count) => ({
      name: `${count} shards / 1: server CPU per message`,
      value: ratioOf(of(count), of(1)),
      ...(count === SHARDS.at(-1) ? { atMost: BUDGET } : {}),
    }))
    const figures: Figure[] = shards.flatMap((count) => [
      { name: `${count} shards`, value: median(of(count)), unit: 'µs of CPU per message' },
      { name: `${count} shards, latency P50`, value: median(latencies.get(`${count}`) ?? []), unit: 'µs' },
    ])
    return { ratios, figures, hash: answers }
  },
})
