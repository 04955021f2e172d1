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

const SERVERS = ['ours', 'ours2', 'ws', 'io', 'io2'] as const
type Key = (typeof SERVERS)[number]
const NAMES: Readonly<Record<Key, string>> = {
  ours: 'ours',
  ours2: 'ours, 2 shards',
  ws: 'ws',
  io: 'Socket.IO',
  io2: 'Socket.IO, cluster of 2',
}
const DIALECT_OF: Readonly<Record<Key, DialectName>> = {
  ours: 'websocket',
  ours2: 'websocket',
  ws: 'websocket',
  io: 'socket-io',
  io2: 'socket-io',
}

const SINGLE = { name: 'single messages', burst: 1, pauseMs: 5 }
const EIGHT = { name: '8 messages together', burst: 8, pauseMs: 0 }
const BURSTS = [SINGLE, EIGHT]

interface Load {
  readonly subscribers: number
  readonly rounds: number
  readonly warmupMs: number
  readonly durationMs: number
  /** Against ws, by burst. */
  readonly budgets: readonly (number | undefined)[]
}

const LOADS: readonly Load[] = [
  { subscribers: 1_000, rounds: 5, warmupMs: 500, durationMs: 1_000, budgets: [0.8, 0.15] },
  { subscribers: 10_000, rounds: 3, warmupMs: 500, durationMs: 1_500, budgets: [undefined, undefined] },
]
const SMOKE_LOADS: readonly Load[] = [{ subscribers: 20, rounds: 1, warmupMs: 0, durationMs: 20, budgets: [0.8, 0.15] }]

interface Round {
  readonly deliveries: number
  readonly cpuUs: number
  readonly perSecond: number
  readonly p99Ms: number
  readonly generatorBusy: number
}
/** By server, then by burst. */
type Rounds = Record<Key, Round[][]>

export const bench = defineBench({
  question: 'What does it cost to bring one message to many subscribers, against ws and Socket.IO?',
  async run({ smoke, log }) {
    await using stack = new AsyncDisposableStack()
    const client = stack.use(startClient())
    const service = { service: 'fan-out', module: 'fan-out-service.ts' }
    const starting = {
      ours: startPolyloop(service),
      ours2: startPolyloop({ ...service, shards: 2 }),
      ws: startPeer('ws-fan-out'),
      io: startPeer('socket-io-server'),
      io2: startPeer('socket-io-cluster'),
    }
    for (const server of await Promise.all(Object.values(starting))) stack.use(server)
    log(pinningNote())
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let deliveries = 0
    for (const load of smoke ? SMOKE_LOADS : LOADS) {
      const subscribers = Math.min(load.subscribers, openFilesMax() - SPARE_FILES)
      if (subscribers < load.subscribers) log(`the limit of open files allows ${subscribers} subscribers only`)
      const rounds = noRounds()
      const round = (key: Key) => async (): Promise<number> => {
        log(`${subscribers} subscribers: ${NAMES[key]}`)
        const results = await fanOut(client, await starting[key], DIALECT_OF[key], { ...load, subscribers })
        for (const [index, result] of results.entries()) {
          rounds[key][index]?.push(result)
          deliveries += result.deliveries
        }
        return 0
      }
      await interleave(load.rounds, {
        ours: round('ours'),
        ours2: round('ours2'),
        ws: round('ws'),
        io: round('io'),
        io2: round('io2'),
      })
      for (const [index, { name }] of BURSTS.entries()) {
        const what = `${subscribers} subscribers, ${name}`
        const cpu = (key: Key): number[] => (rounds[key][index] ?? []).map(({ cpuUs }) => cpuUs)
        const ratio = (ours: Key, peer: Key): Ratio => {
          const of = `${NAMES[ours]} / ${NAMES[peer]}: server CPU per delivery, ${what}`
          return { name: of, value: ratioOf(cpu(ours), cpu(peer)) }
        }
        const budget = load.budgets[index]
        ratios.push({ ...ratio('ours', 'ws'), ...(budget === undefined ? {} : { atMost: budget }) })
        ratios.push(ratio('ours', 'io'), ratio('ours2', 'io2'))
        for (const key of SERVERS) figures.push(...figuresOf(`${NAMES[key]}, ${what}`, rounds[key][index] ?? []))
      }
    }
    return { ratios, figures, hash: deliveries }
  },
})

function noRounds(): Rounds {
  const none = (): Round[][] => BURSTS.map(() => [])
  return { ours: none(), ours2: none(), ws: none(), io: none(), io2: none() }
}

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
