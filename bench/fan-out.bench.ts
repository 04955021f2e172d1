// What it costs the server to bring one message to many WebSocket subscribers: our topics, against a bare `ws` server
// that loops over its clients, and against rooms of Socket.IO, in one process and in two with its cluster adapter. The
// publisher is a client too. It writes one message of 64 bytes or eight together, and the next when every subscriber has
// them all: each delivery is compared with what was published.
import { type ClientProcess, startClient } from './client-process.ts'
import type { DialectName } from './dialect.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { openFilesMax, pinningNote } from './machine.ts'
import { type ServerProcess, startPeer, startPolyloop } from './server-process.ts'

const ADDRESSES = 5
/** For what each process has open besides. */
const SPARE_FILES = 500
/** A generator busier than this was the limit of how many deliveries there are in a second. */
const GENERATOR_BUSY_MAX = 0.95

const SERVICE = { service: 'fan-out', module: 'fan-out-service.ts' }
const SERVERS = {
  ours: { name: 'ours', dialect: 'websocket', start: () => startPolyloop(SERVICE) },
  ws: { name: 'ws', dialect: 'websocket', start: () => startPeer('ws-fan-out') },
  io: { name: 'Socket.IO', dialect: 'socket-io', start: () => startPeer('socket-io-server') },
  ours2: { name: 'ours, 2 shards', dialect: 'websocket', start: () => startPolyloop({ ...SERVICE, shards: 2 }) },
  io2: { name: 'Socket.IO, cluster of 2', dialect: 'socket-io', start: () => startPeer('socket-io-cluster') },
} as const satisfies Record<string, { name: string; dialect: DialectName; start: () => Promise<ServerProcess> }>
type Key = keyof typeof SERVERS
const KEYS = Object.keys(SERVERS) as Key[]
/** Those with one process or shard: each start takes a moment. */
const SMOKE_KEYS: readonly Key[] = ['ours', 'ws', 'io']
/** Who is compared with whom; only the first pair has budgets. */
const PAIRS: readonly (readonly [ours: Key, peer: Key])[] = [
  ['ours', 'ws'],
  ['ours', 'io'],
  ['ours2', 'io2'],
]

const SINGLE = { name: 'single messages', burst: 1, pauseMs: 5 }
const EIGHT = { name: '8 messages together', burst: 8, pauseMs: 0 }
const BURSTS = [SINGLE, EIGHT]

interface Load {
  readonly subscribers: number
  readonly rounds: number
  readonly warmupMs: number
  readonly durationMs: number
  /** Against ws, by burst. */
  readonly budgets?: readonly number[]
}

const LOADS: readonly Load[] = [
  { subscribers: 1_000, rounds: 7, warmupMs: 500, durationMs: 1_000, budgets: [0.8, 0.15] },
  { subscribers: 10_000, rounds: 3, warmupMs: 500, durationMs: 1_000 },
]
const SMOKE_LOADS: readonly Load[] = [{ subscribers: 20, rounds: 1, warmupMs: 0, durationMs: 20, budgets: [0.8, 0.15] }]

interface Round {
  readonly deliveries: number
  readonly cpuUs: number
  readonly perSecond: number
  readonly p99Ms: number
  readonly generatorBusy: number
}

export const bench = defineBench({
  question: 'What does it cost to bring one message to many subscribers, against ws and Socket.IO?',
  async run({ smoke, log }) {
    const keys = smoke ? SMOKE_KEYS : KEYS
    await using stack = new AsyncDisposableStack()
    const client = stack.use(startClient())
    const started = await Promise.all(keys.map(async (key) => [key, stack.use(await SERVERS[key].start())] as const))
    log(pinningNote())
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let deliveries = 0
    for (const load of smoke ? SMOKE_LOADS : LOADS) {
      const subscribers = Math.min(load.subscribers, openFilesMax() - SPARE_FILES)
      if (subscribers < load.subscribers) log(`the limit of open files allows ${subscribers} subscribers only`)
      const rounds = new Map(keys.map((key) => [key, BURSTS.map((): Round[] => [])]))
      const candidates = started.map(([key, server]) => {
        const round = async (): Promise<number> => {
          const { name, dialect } = SERVERS[key]
          log(`${subscribers} subscribers: ${name}`)
          const results = await fanOut(client, server, dialect, { ...load, subscribers })
          for (const [index, result] of results.entries()) {
            rounds.get(key)?.[index]?.push(result)
            deliveries += result.deliveries
          }
          return 0
        }
        return [key, round] as const
      })
      await interleave(load.rounds, Object.fromEntries(candidates))
      for (const [index, { name }] of BURSTS.entries()) {
        const what = `${subscribers} subscribers, ${name}`
        const cpu = (key: Key): number[] => (rounds.get(key)?.[index] ?? []).map(({ cpuUs }) => cpuUs)
        for (const [ours, peer] of PAIRS) {
          if (!rounds.has(ours) || !rounds.has(peer)) continue
          const budget = peer === 'ws' ? load.budgets?.[index] : undefined
          ratios.push({
            name: `${SERVERS[ours].name} / ${SERVERS[peer].name}: server CPU per delivery, ${what}`,
            value: ratioOf(cpu(ours), cpu(peer)),
            ...(budget === undefined ? {} : { atMost: budget }),
          })
        }
        for (const key of keys)
          figures.push(...figuresOf(`${SERVERS[key].name}, ${what}`, rounds.get(key)?.[index] ?? []))
      }
    }
    return { ratios, figures, hash: deliveries }
  },
})

/** One crowd comes, hears both kinds of bursts, and goes. */
async function fanOut(
  client: ClientProcess,
  { port, pids }: ServerProcess,
  dialect: DialectName,
  { subscribers, warmupMs, durationMs }: Load,
): Promise<Round[]> {
  await client.subscribe({ port, subscribers, addresses: ADDRESSES, dialect })
  const rounds: Round[] = []
  for (const { burst, pauseMs } of BURSTS) {
    const { deliveries, elapsedMs, serverCpuNs, p99Ms, generatorBusy } = await client.publish({
      burst,
      pauseMs,
      warmupMs,
      durationMs,
      pids,
    })
    const perSecond = (deliveries / elapsedMs) * 1000
    rounds.push({ deliveries, cpuUs: serverCpuNs / 1000 / deliveries, perSecond, p99Ms, generatorBusy })
  }
  await client.reset()
  return rounds
}

function figuresOf(name: string, rounds: readonly Round[]): Figure[] {
  const middle = (of: (round: Round) => number): number => median(rounds.map(of))
  const limit =
    middle(({ generatorBusy }) => generatorBusy) > GENERATOR_BUSY_MAX ? ' (or more: the generator was the limit)' : ''
  return [
    { name, value: middle(({ cpuUs }) => cpuUs), unit: 'µs of CPU per delivery' },
    { name, value: middle(({ perSecond }) => perSecond), unit: `deliveries/s${limit}` },
    { name, value: middle(({ p99Ms }) => p99Ms), unit: 'ms until a subscriber had it, P99' },
  ]
}
