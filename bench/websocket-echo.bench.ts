// What one echoed WebSocket message costs the server, and how many it serves: ours with one shard, a bare `ws` server,
// and node:cluster with two `ws` workers. The load is a closed loop of 64-byte texts: one in flight, or eight that are
// written together and so arrive together.
import { type ClientProcess, startClient } from './client-process.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { pinningNote } from './machine.ts'
import { type ServerProcess, startPeer, startPolyloop } from './server-process.ts'

/** A generator busier than this was the limit: the throughput is its own, the CPU per message still the server's. */
const GENERATOR_BUSY_MAX = 0.95
/** One of the two is busy in a closed loop. If neither is, both waited for a core that somebody else had. */
const BUSY_MIN = 0.85

interface Load {
  readonly connections: number
  readonly window: number
  readonly budget: number
}

interface Round {
  readonly cpuUs: number
  readonly messagesPerSecond: number
  readonly generatorBusy: number
  readonly serverBusy: number
}

const LOADS: readonly Load[] = [
  { connections: 100, window: 1, budget: 0.65 },
  { connections: 1000, window: 1, budget: 0.65 },
  { connections: 100, window: 8, budget: 0.2 },
  { connections: 1000, window: 8, budget: 0.2 },
]
const SMOKE_LOADS: readonly Load[] = [{ connections: 4, window: 8, budget: 0.2 }]

export const bench = defineBench({
  question: 'What does an echoed WebSocket message cost the server, against ws and cluster + ws?',
  async run({ smoke, log }) {
    const times = smoke ? { rounds: 1, warmupMs: 20, durationMs: 100 } : { rounds: 7, warmupMs: 300, durationMs: 1000 }
    await using client = startClient()
    const [ours, ws, cluster] = await Promise.all([
      startPolyloop(),
      startPeer('ws-server'),
      startPeer('cluster-server'),
    ])
    await using _ours = ours
    await using _ws = ws
    await using _cluster = cluster
    const servers = { ours, ws, cluster }
    const keys = ['ours', 'ws', 'cluster'] as const
    log(pinningNote())
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let messages = 0
    for (const load of smoke ? SMOKE_LOADS : LOADS) {
      const name = `${load.connections} connections, window ${load.window}`
      log(name)
      const rounds: Record<keyof typeof servers, Round[]> = { ours: [], ws: [], cluster: [] }
      const round = (key: keyof typeof servers) => async (): Promise<number> => {
        const result = await exchange(client, servers[key], load, times)
        rounds[key].push(result)
        messages += result.messagesPerSecond
        return result.cpuUs
      }
      const candidates = { ours: round('ours'), ws: round('ws'), cluster: round('cluster') }
      if (!smoke) await interleave(1, candidates) // until the code is optimised
      for (const key of keys) rounds[key] = []
      const cpu = await interleave(times.rounds, candidates)
      const all = keys.flatMap((key) => rounds[key])
      const disturbed = all.filter(({ generatorBusy, serverBusy }) => Math.max(generatorBusy, serverBusy) < BUSY_MIN)
      if (!smoke && disturbed.length > 0) log(`${disturbed.length} of ${all.length} rounds disturbed by other programs`)
      ratios.push({
        name: `ours / ws: server CPU per message, ${name}`,
        value: ratioOf(cpu.ours, cpu.ws),
        atMost: load.budget,
      })
      ratios.push({ name: `ours / cluster: server CPU per message, ${name}`, value: ratioOf(cpu.ours, cpu.cluster) })
      for (const key of keys) {
        const busy = median(rounds[key].map(({ generatorBusy }) => generatorBusy))
        const limit = busy > GENERATOR_BUSY_MAX ? ' (or more: the generator was the limit)' : ''
        figures.push({ name: `${key}, ${name}`, value: median(cpu[key]), unit: 'µs of CPU per message' })
        figures.push({
          name: `${key}, ${name}`,
          value: median(rounds[key].map(({ messagesPerSecond }) => messagesPerSecond)),
          unit: `messages/s${limit}`,
        })
      }
    }
    return { ratios, figures, hash: messages }
  },
})

async function exchange(
  client: ClientProcess,
  { port, pids }: ServerProcess,
  { connections, window }: Load,
  { warmupMs, durationMs }: { readonly warmupMs: number; readonly durationMs: number },
): Promise<Round> {
  await client.open({ port, pids, connections, speaks: 'websocket' })
  const { messages, elapsedMs, serverCpuNs, generatorBusy } = await client.exchange({
    window,
    warmupMs,
    durationMs,
    pids,
  })
  await client.reset()
  return {
    cpuUs: serverCpuNs / 1000 / messages,
    messagesPerSecond: (messages / elapsedMs) * 1000,
    generatorBusy,
    serverBusy: serverCpuNs / 1e6 / elapsedMs,
  }
}
