// What a broadcast of the hub costs, with roles, offsets, history and rate limits behind it, against a bare `ws` server that
// loops over its clients; plain, and compressed (ours gzip once per shard, theirs permessage-deflate per client). And how
// fast clients come back with their tokens when all are cut at once.
import { join } from 'node:path'
import { signToken } from '../test/harness/chat-token.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import type { AudienceOrder, AudienceReport } from './hub-audience.ts'
import { openFilesMax, pinned, pinningNote } from './machine.ts'
import { outputOf } from './program-output.ts'
import { type ServerProcess, startPeer, startPolyloop } from './server-process.ts'

const SECRET = 'a secret of at least thirty-two bytes'
const SPARE_FILES = 500

interface Load {
  readonly name: string
  readonly subscribers: number
  readonly isCompressed: boolean
  readonly textBytes: number
  readonly rounds: number
  readonly warmupMs: number
  readonly durationMs: number
}

const PLAIN = { name: 'plain', isCompressed: false, textBytes: 64 }
const COMPRESSED = { name: 'compressed', isCompressed: true, textBytes: 4_096 }
const LOADS: readonly Load[] = [
  { ...PLAIN, subscribers: 1_000, rounds: 3, warmupMs: 500, durationMs: 1_500 },
  { ...COMPRESSED, subscribers: 1_000, rounds: 3, warmupMs: 500, durationMs: 1_500 },
  { ...PLAIN, subscribers: 10_000, rounds: 2, warmupMs: 500, durationMs: 1_500 },
  { ...COMPRESSED, subscribers: 10_000, rounds: 1, warmupMs: 500, durationMs: 1_500 },
]
const SMOKE_LOADS: readonly Load[] = [
  { ...PLAIN, subscribers: 10, rounds: 1, warmupMs: 0, durationMs: 20 },
  { ...COMPRESSED, subscribers: 10, rounds: 1, warmupMs: 0, durationMs: 20 },
]
const RETURNERS = 1_000
const SMOKE_RETURNERS = 10

export const bench = defineBench({
  question: 'What does a broadcast of the hub cost against a bare ws loop, and how fast do its clients come back?',
  async run({ smoke, log }) {
    await using stack = new AsyncDisposableStack()
    const hub = stack.use(await startHub())
    const peers = {
      plain: stack.use(await startPeer('ws-fan-out')),
      compressed: stack.use(await startPeer('ws-fan-out', 'deflate')),
    }
    log(pinningNote())
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let deliveries = 0
    for (const load of smoke ? SMOKE_LOADS : LOADS) {
      const subscribers = Math.min(load.subscribers, openFilesMax() - SPARE_FILES)
      const rounds: Record<'hub' | 'ws', AudienceReport[]> = { hub: [], ws: [] }
      const round = async (kind: 'hub' | 'ws', server: ServerProcess): Promise<number> => {
        log(`${subscribers} subscribers, ${load.name}: ${kind}`)
        const report = await audience({ ...load, ...targetOf(server), kind, subscribers })
        rounds[kind].push(report)
        deliveries += report.deliveries
        return report.serverCpuNs / 1_000 / report.deliveries
      }
      const cpuUs = await interleave(load.rounds, {
        hub: () => round('hub', hub),
        ws: () => round('ws', load.isCompressed ? peers.compressed : peers.plain),
      })
      const what = `${subscribers} subscribers, ${load.name}`
      ratios.push({ name: `hub / ws: server CPU per delivery, ${what}`, value: ratioOf(cpuUs.hub, cpuUs.ws) })
      for (const kind of ['hub', 'ws'] as const) figures.push(...figuresOf(`${kind}, ${what}`, rounds[kind]))
    }
    const count = smoke ? SMOKE_RETURNERS : RETURNERS
    log(`${count} clients come back`)
    const { backMs, wrong } = JSON.parse(await printedBy('hub-returner', String(hub.port), String(count))) as {
      readonly backMs: number
      readonly wrong: number
    }
    if (wrong > 0) throw new Error(`${wrong} clients did not get what they should`)
    figures.push({ name: 'hub, reconnects with tokens', value: (count / backMs) * 1_000, unit: 'a second' })
    return { ratios, figures, hash: deliveries }
  },
})

function startHub(): Promise<ServerProcess> {
  return startPolyloop({
    service: 'hub',
    settings: {
      'services.hub.ws.port': '0',
      'services.hub.jwt.secret': SECRET,
      'services.hub.rateLimits': 'broadcast=100000/100000',
      'services.hub.metricsInterval': '1h',
    },
  })
}

function targetOf({ port, pids }: ServerProcess): Pick<AudienceOrder, 'port' | 'pids' | 'token'> {
  return { port, pids, token: signToken({ secret: SECRET, claims: { sub: 'admin' } }) }
}

async function audience(order: AudienceOrder): Promise<AudienceReport> {
  return JSON.parse(await printedBy('hub-audience', JSON.stringify(order))) as AudienceReport
}

/** What a program of bench/ prints that runs on the generator's core. */
async function printedBy(program: string, ...given: readonly string[]): Promise<string> {
  const line = [process.execPath, join(import.meta.dirname, `${program}.ts`), ...given]
  const { output, status } = await outputOf(pinned('client', line), 'inherit')
  if (status !== 0) throw new Error(`${program} ended with ${status}`)
  return output
}

function figuresOf(name: string, rounds: readonly AudienceReport[]): Figure[] {
  const middle = (of: (round: AudienceReport) => number): number => median(rounds.map(of))
  return [
    { name, value: middle((one) => one.serverCpuNs / 1_000 / one.deliveries), unit: 'µs of CPU per delivery' },
    { name, value: middle((one) => (one.deliveries / one.elapsedMs) * 1_000), unit: 'deliveries/s' },
    { name, value: middle(({ p99Ms }) => p99Ms), unit: 'ms until a subscriber had it, P99' },
  ]
}
