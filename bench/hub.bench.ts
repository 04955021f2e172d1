// What a broadcast of the hub costs, with roles, offsets, history and rate limits behind it, against a bare `ws` server that
// loops over its clients and against a room of Socket.IO; plain, and compressed (ours gzip once per shard, theirs
// permessage-deflate per client). And how fast clients come back with their tokens when all are cut at once.
import { join } from 'node:path'
import { signToken } from '../test/harness/chat-token.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import type { AudienceOrder, AudienceReport, AudienceSpan } from './hub-audience.ts'
import type { HubPeer } from './hub-dialect.ts'
import type { ReturnReport } from './hub-returner.ts'
import { openFilesMax, pinned, pinningNote } from './machine.ts'
import { outputOf } from './program-output.ts'
import { type ServerProcess, startPeer, startPolyloop } from './server-process.ts'

const SECRET = 'a secret of at least thirty-two bytes'
const SPARE_FILES = 500

interface Load {
  readonly name: 'plain' | 'compressed'
  readonly subscribers: number
  readonly isCompressed: boolean
  readonly textBytes: number
  readonly rounds: number
  readonly warmup: AudienceSpan
  readonly measured: AudienceSpan
  /** Against ws. */
  readonly atMost?: number
}

const PLAIN = { name: 'plain', isCompressed: false, textBytes: 64 } as const
const COMPRESSED = { name: 'compressed', isCompressed: true, textBytes: 4_096 } as const
/**
 * Deliveries of the warm-up: after 1,000 upgrades a hub compiles for some 50,000, at a third of its CPU at first. A delivery that
 * is compressed for each client takes ten times as long.
 */
const LOADS: readonly Load[] = [
  { ...PLAIN, subscribers: 1_000, rounds: 3, warmup: spanOf(50_000), measured: spanOf(40_000), atMost: 0.8 },
  { ...COMPRESSED, subscribers: 1_000, rounds: 3, warmup: spanOf(5_000), measured: spanOf(5_000) },
  { ...PLAIN, subscribers: 10_000, rounds: 2, warmup: spanOf(50_000), measured: spanOf(50_000) },
  { ...COMPRESSED, subscribers: 10_000, rounds: 1, warmup: spanOf(10_000), measured: spanOf(20_000) },
]
const NO_TIME = { ms: 0, deliveries: 0 }
/** Each server takes a moment to start. */
const SMOKE_LOADS: readonly Load[] = [{ ...COMPRESSED, subscribers: 10, rounds: 1, warmup: NO_TIME, measured: NO_TIME }]
const RETURNERS = 1_000
const SMOKE_RETURNERS = 10
const RETURNS = 3

const KINDS = ['hub', 'ws', 'socket-io'] as const satisfies readonly HubPeer[]
const PEERS = ['ws', 'socket-io'] as const

export const bench = defineBench({
  question:
    'What does a broadcast of the hub cost against a bare ws loop and Socket.IO, and how fast do its clients come back?',
  async run({ smoke, log }) {
    await using stack = new AsyncDisposableStack()
    const loads = smoke ? SMOKE_LOADS : LOADS
    const hub = stack.use(await startHub())
    const started = new Map<string, Promise<ServerProcess>>()
    const peer = (program: 'ws-fan-out' | 'socket-io-server', { name }: Load): Promise<ServerProcess> => {
      const line = name === 'plain' ? [] : ['deflate']
      const known = started.get(`${program} ${name}`) ?? startPeer(program, ...line).then((server) => stack.use(server))
      started.set(`${program} ${name}`, known)
      return known
    }
    const servers: Readonly<Record<HubPeer, (load: Load) => Promise<ServerProcess>>> = {
      hub: () => Promise.resolve(hub),
      ws: (load) => peer('ws-fan-out', load),
      'socket-io': (load) => peer('socket-io-server', load),
    }
    log(pinningNote())
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let deliveries = 0
    for (const load of loads) {
      const subscribers = Math.min(load.subscribers, openFilesMax() - SPARE_FILES)
      const rounds: Record<HubPeer, AudienceReport[]> = { hub: [], ws: [], 'socket-io': [] }
      const round = async (kind: HubPeer): Promise<number> => {
        log(`${subscribers} subscribers, ${load.name}: ${kind}`)
        const report = await audience({ ...load, ...targetOf(await servers[kind](load)), kind, subscribers })
        rounds[kind].push(report)
        deliveries += report.deliveries
        return report.serverCpuNs / 1_000 / report.deliveries
      }
      const cpuUs = await interleave(load.rounds, {
        hub: () => round('hub'),
        ws: () => round('ws'),
        'socket-io': () => round('socket-io'),
      })
      const what = `${subscribers} subscribers, ${load.name}`
      for (const peer of PEERS)
        ratios.push({
          name: `hub / ${peer}: server CPU per delivery, ${what}`,
          value: ratioOf(cpuUs.hub, cpuUs[peer]),
          ...(peer === 'ws' && load.atMost !== undefined ? { atMost: load.atMost } : {}),
        })
      for (const kind of KINDS) figures.push(...figuresOf(`${kind}, ${what}`, rounds[kind]))
    }
    const count = smoke ? SMOKE_RETURNERS : RETURNERS
    log(`${count} clients come back`)
    figures.push(...(await returned(hub, count, smoke ? 1 : RETURNS)))
    return { ratios, figures, hash: deliveries }
  },
})

async function returned({ port, pids }: ServerProcess, count: number, times: number): Promise<Figure[]> {
  const order = [String(port), String(count), String(times), ...pids.map(String)]
  const { storms, wrong } = JSON.parse(await printedBy('hub-returner', ...order)) as ReturnReport
  if (wrong > 0) throw new Error(`${wrong} clients did not get what they should`)
  const middle = (of: (storm: ReturnReport['storms'][number]) => number): number => median(storms.map(of))
  const name = `hub, ${count} clients with tokens cut at once`
  return [
    { name, value: middle(({ backMs }) => (count / backMs) * 1_000), unit: 'reconnects/s' },
    { name, value: middle(({ serverCpuNs }) => serverCpuNs / 1_000 / count), unit: 'µs of CPU per reconnect, server' },
    { name, value: middle(({ ownCpuNs }) => ownCpuNs / 1_000 / count), unit: 'µs of CPU per reconnect, clients' },
  ]
}

function spanOf(deliveries: number): AudienceSpan {
  return { ms: 500, deliveries }
}

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
