// Whether a message costs more when more shards share the work: server CPU per echoed WebSocket message with 1, 2, 4 and
// 8 shards. The budget is for a busy server: 1,000 connections, each with a message in flight. At a fixed rate that
// leaves the server idle most of the time, each message wakes a thread, and more threads mean fewer messages a wake-up:
// that is the price of waking up, of one shard with an eighth of the rate as well; shown without a budget.
import { type ClientProcess, startClient } from './client-process.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { runLoadTest } from './load-test-process.ts'
import { CORES } from './machine.ts'
import { type ServerProcess, startPolyloop } from './server-process.ts'

const SHARDS = [1, 2, 4, 8] as const
const MOST = 8
const BUDGET = 1.15

interface Load {
  readonly rounds: number
  /** Closed loop. */
  readonly connections: number
  readonly warmupMs: number
  readonly durationMs: number
  /** Flags of the load test, open loop. */
  readonly fixed: Readonly<Record<string, string | number>>
}

const FULL: Load = {
  rounds: 7,
  connections: 1000,
  warmupMs: 200,
  durationMs: 1000,
  fixed: { connections: 400, rate: 10_000, warmup: '500ms', duration: '2s' },
}
const SMOKE: Load = {
  rounds: 1,
  connections: 8,
  warmupMs: 10,
  durationMs: 100,
  fixed: { connections: 8, rate: 500, warmup: '50ms', duration: '100ms' },
}

export const bench = defineBench({
  question: 'What does a message cost with 8 shards, against 1?',
  async run({ smoke, log }) {
    const shards: readonly number[] = smoke ? [1, 2] : SHARDS
    const load = smoke ? SMOKE : FULL
    if (CORES.length <= MOST) {
      log(`${CORES.length} cores: the shards share them, which adds context switches that they would not have`)
    }
    await using stack = new AsyncDisposableStack()
    const started = await Promise.all(shards.map(async (count) => stack.use(await startPolyloop({ shards: count }))))
    const servers = new Map(shards.map((count, index) => [`${count}`, started[index]]))
    const serverOf = (key: string): ServerProcess => {
      const server = servers.get(key)
      if (server === undefined) throw new Error(`no server with ${key} shards`)
      return server
    }
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let messages = 0

    log(`busy: ${load.connections} connections, window 1`)
    {
      // The generator ends before the load test wants its core.
      await using client = startClient()
      const busy = (key: string) => async (): Promise<number> => {
        const result = await exchange(client, serverOf(key), load)
        messages += result.messages
        return result.cpuUs
      }
      const candidates = candidatesOf(shards, busy)
      if (!smoke) await interleave(1, candidates) // until the code is optimised
      const cpu = await interleave(load.rounds, candidates)
      for (const count of shards) {
        const samples = cpu[`${count}`] ?? []
        figures.push({ name: `busy, shards: ${count}`, value: median(samples), unit: 'µs of CPU per message' })
        if (count > 1) ratios.push(ratio(count, 'busy', samples, cpu['1'] ?? [], count === MOST))
      }
    }

    const { rate, connections } = load.fixed
    log(`fixed: ${rate} messages/s over ${connections} connections`)
    const latencies = new Map<string, number[]>()
    const fixed = (key: string) => async (): Promise<number> => {
      const { port, pids } = serverOf(key)
      const run = await runLoadTest(`ws://127.0.0.1:${port}`, pids[0] ?? 0, load.fixed)
      messages += run.answers
      latencies.set(key, [...(latencies.get(key) ?? []), run.p50Ns / 1000])
      return run.serverCpuUs
    }
    // Each run is a process that starts: the smoke run has time for one.
    const ends = smoke ? [1] : [1, MOST]
    const cpu = await interleave(Math.min(load.rounds, 3), candidatesOf(ends, fixed))
    for (const count of ends) {
      const name = `${rate}/s, shards: ${count}`
      const samples = cpu[`${count}`] ?? []
      figures.push({ name, value: median(samples), unit: 'µs of CPU per message' })
      figures.push({ name, value: median(latencies.get(`${count}`) ?? []), unit: 'µs, latency P50' })
      if (count > 1) ratios.push(ratio(count, `${rate}/s`, samples, cpu['1'] ?? [], false))
    }
    return { ratios, figures, hash: messages }
  },
})

function candidatesOf(
  shards: readonly number[],
  measure: (key: string) => () => Promise<number>,
): Record<string, () => Promise<number>> {
  return Object.fromEntries(shards.map((count) => [`${count}`, measure(`${count}`)]))
}

function ratio(
  count: number,
  load: string,
  samples: readonly number[],
  one: readonly number[],
  hasBudget: boolean,
): Ratio {
  const name = `${count} shards / 1: server CPU per message, ${load}`
  return { name, value: ratioOf(samples, one), ...(hasBudget ? { atMost: BUDGET } : {}) }
}

async function exchange(
  client: ClientProcess,
  { port, pids }: ServerProcess,
  { connections, warmupMs, durationMs }: Load,
): Promise<{ cpuUs: number; messages: number }> {
  await client.open({ port, pids, connections, speaks: 'websocket' })
  const { serverCpuNs, messages } = await client.exchange({ window: 1, warmupMs, durationMs, pids })
  await client.reset()
  return { cpuUs: serverCpuNs / 1000 / messages, messages }
}
