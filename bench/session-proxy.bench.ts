// What the session proxy adds to Redis: a backend publishes, a client of the session has it; against ioredis that
// publishes to itself, over the same Redis, with as many channels at the same pace. The load test plays backend and client.
import { join } from 'node:path'
import type { RunReport } from '../src/cli/load/report.ts'
import type { SessionLatency, SessionReport } from '../src/cli/load/session/report.ts'
import { startRedis } from '../test/harness/redis.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { pinned, pinningNote } from './machine.ts'
import { outputOf } from './program-output.ts'
import { type ServerProcess, startPolyloop } from './server-process.ts'

const ADDED_US_MAX = 150
const CLI = join(import.meta.dirname, '../bin/polyloop.js')
const PEER = join(import.meta.dirname, 'peer/redis-subscriber.ts')

interface Load {
  readonly sessions: number
  /** Between two messages of a session; few sessions need more of them to say something. */
  readonly intervalSeconds: number
}

/** One session, its next message when the last has come: no thread on the way has fallen asleep. */
const IN_TURN: Load = { sessions: 1, intervalSeconds: 0 }
const LOADS: readonly Load[] = [
  IN_TURN,
  { sessions: 2, intervalSeconds: 0.1 },
  { sessions: 50, intervalSeconds: 1 },
  { sessions: 100, intervalSeconds: 1 },
  { sessions: 1_000, intervalSeconds: 1 },
]
const SMOKE_LOADS: readonly Load[] = [IN_TURN, { sessions: 2, intervalSeconds: 0.05 }]

interface Times {
  readonly rounds: number
  readonly warmupSeconds: number
  readonly seconds: number
}

const TIMES: Times = { rounds: 3, warmupSeconds: 1.5, seconds: 5 }
const SMOKE_TIMES: Times = { rounds: 1, warmupSeconds: 0, seconds: 0.1 }

export const bench = defineBench({
  question: 'What does the session proxy add to the way of a message from Redis to a client, against a bare ioredis?',
  async run({ smoke, log }) {
    await using stack = new AsyncDisposableStack()
    const redis = stack.use(await startRedis())
    const server = stack.use(await startProxy(redis.url))
    log(pinningNote())
    const times = smoke ? SMOKE_TIMES : TIMES
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let messages = 0
    for (const load of smoke ? SMOKE_LOADS : LOADS) {
      const name = load === IN_TURN ? 'one after another' : `${load.sessions} sessions`
      log(name)
      const rounds: Record<'ours' | 'bare', SessionLatency[]> = { ours: [], bare: [] }
      const keep = (key: 'ours' | 'bare', latency: SessionLatency | null): number => {
        if (latency === null) throw new Error(`${key}: no message arrived`)
        rounds[key].push(latency)
        messages++
        return latency.p50Ns / 1_000
      }
      const p50Us = await interleave(times.rounds, {
        ours: async () => {
          const latency =
            load === IN_TURN ? loadInTurn(server, redis.url, times) : loadProxy(server, redis.url, load, times)
          return keep('ours', await latency)
        },
        bare: async () => keep('bare', await loadBare(redis.url, load, times)),
      })
      const added = p50Us.ours.map((us, round) => us - (p50Us.bare[round] ?? Number.NaN))
      ratios.push({ name: `session proxy / ioredis: P50, ${name}`, value: ratioOf(p50Us.ours, p50Us.bare) })
      ratios.push({
        name: `session proxy − ioredis: added P50 in µs, ${name}`,
        value: median(added),
        atMost: ADDED_US_MAX,
      })
      // What is left of it when nobody is in the way: a busy machine moves the P50 by far more than the proxy does.
      const leastUs = rounds.ours.map((one, round) => (one.minNs - (rounds.bare[round]?.minNs ?? Number.NaN)) / 1_000)
      ratios.push({ name: `session proxy − ioredis: added to the fastest in µs, ${name}`, value: median(leastUs) })
      for (const key of ['ours', 'bare'] as const) {
        const who = `${key === 'ours' ? 'session proxy' : 'ioredis'}, ${name}`
        const middle = (what: keyof SessionLatency): number => median(rounds[key].map((one) => one[what])) / 1_000
        figures.push({ name: who, value: middle('minNs'), unit: 'µs at least' })
        figures.push({ name: who, value: middle('averageNs'), unit: 'µs on average' })
        figures.push({ name: who, value: middle('p50Ns'), unit: 'µs P50' })
        figures.push({ name: who, value: middle('p99Ns'), unit: 'µs P99' })
      }
    }
    return { ratios, figures, hash: messages }
  },
})

function startProxy(redisUrl: string): Promise<ServerProcess> {
  return startPolyloop({
    service: 'session-proxy',
    settings: { 'services.session-proxy.ws.port': '0', 'bridge.redis.url': redisUrl },
  })
}

async function loadProxy(
  server: ServerProcess,
  redisUrl: string,
  { sessions, intervalSeconds }: Load,
  { warmupSeconds, seconds }: Times,
): Promise<SessionLatency | null> {
  const numbers = [sessions, warmupSeconds, seconds, intervalSeconds, '127.0.0.1', server.port].map(String)
  const output = await printedBy([CLI, 'load-test', ...numbers, `--redis-url=${redisUrl}`, '--json'])
  const { ok, latency, delivery, workerErrors } = JSON.parse(output) as SessionReport
  if (!ok) throw new Error(`the load test failed: ${JSON.stringify({ delivery, workerErrors })}`)
  return latency
}

/** By the general generator: its closed loop with one message in flight. */
async function loadInTurn(
  server: ServerProcess,
  redisUrl: string,
  { warmupSeconds, seconds }: Times,
): Promise<SessionLatency> {
  const flags = ['--connections=1', '--window=1', `--warmup=${warmupSeconds}`, `--duration=${seconds}`, '--json']
  const target = `session-proxy://127.0.0.1:${server.port}`
  const output = await printedBy([CLI, 'load-test', target, `--redis-url=${redisUrl}`, ...flags])
  const { ok, runs } = JSON.parse(output) as { readonly ok: boolean; readonly runs: readonly RunReport[] }
  const [run] = runs
  if (!ok || run === undefined) throw new Error(`the load test failed: ${JSON.stringify(run?.errors)}`)
  return { ...run.latency, averageNs: run.latency.meanNs }
}

async function loadBare(
  redisUrl: string,
  { sessions, intervalSeconds }: Load,
  { warmupSeconds, seconds }: Times,
): Promise<SessionLatency | null> {
  const output = await printedBy([PEER, redisUrl, ...[sessions, warmupSeconds, seconds, intervalSeconds].map(String)])
  const { sent, received, latency } = JSON.parse(output) as {
    readonly sent: number
    readonly received: number
    readonly latency: SessionLatency | null
  }
  if (received !== sent) throw new Error(`ioredis: ${received} of ${sent} messages`)
  return latency
}

/** What a program prints that runs on the generator's core. */
async function printedBy(program: readonly string[]): Promise<string> {
  const { output } = await outputOf(pinned('client', [process.execPath, ...program]), 'ignore')
  if (output === '') throw new Error(`${program[0]} printed nothing`)
  return output
}
