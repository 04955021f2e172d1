// What an idle WebSocket costs: resident bytes, against a bare `ws` server, and the processor time of a server that has
// 10,000 of them. A first crowd comes and goes before, so that what a server allocates once is not counted. Resident
// memory has garbage in it that V8 has not collected, and how much depends on how the connections came: so each round is
// a new server, and the median counts.
import { type ClientProcess, startClient } from './client-process.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { openFilesMax } from './machine.ts'
import { cpuNsOf, residentBytesOf, usageOf } from './process-usage.ts'
import { type ServerProcess, startPeer, startPolyloop } from './server-process.ts'

const CONNECTIONS = 10_000
const FIRST_CROWD = 2_000
/** For what each process has open besides. */
const SPARE_FILES = 500
const ADDRESSES = 5
const BUDGET_BYTES = 5 * 1024
/** Longer than the bench: an idle timer is armed, and none fires. */
const IDLE_TIMEOUT = '1h'

interface Sizes {
  readonly rounds: number
  readonly connections: number
  readonly firstCrowd: number
  /** After the last connection opened or closed: sweeps, and collections of an idle heap. */
  readonly settleMs: number
  readonly idleMs: number
}

interface Idle {
  readonly bytesEach: number
  readonly cores: number
}

export const bench = defineBench({
  question: 'What does an idle WebSocket cost, against ws?',
  async run({ smoke, log }) {
    const connections = Math.min(CONNECTIONS, openFilesMax() - SPARE_FILES)
    if (connections < CONNECTIONS) log(`the limit of open files allows ${connections} connections only`)
    const sizes: Sizes = smoke
      ? { rounds: 1, connections: 100, firstCrowd: 20, settleMs: 10, idleMs: 50 }
      : { rounds: 3, connections, firstCrowd: FIRST_CROWD, settleMs: 3_000, idleMs: 5_000 }
    await using client = startClient()
    const cores = { ours: [] as number[], ws: [] as number[] }
    const round = (key: keyof typeof cores, start: () => Promise<ServerProcess>) => async (): Promise<number> => {
      log(key)
      const one = await idle(client, await start(), sizes)
      cores[key].push(one.cores)
      return one.bytesEach
    }
    const bytes = await interleave(sizes.rounds, {
      ours: round('ours', () => startPolyloop({ settings: { 'services.echo.idleTimeout': IDLE_TIMEOUT } })),
      ws: round('ws', () => startPeer('ws-server')),
    })
    const oursBytes = median(bytes.ours)
    const ratios: Ratio[] = [
      { name: 'ours / ws: resident bytes of an idle WebSocket', value: ratioOf(bytes.ours, bytes.ws) },
      {
        name: `ours / ${BUDGET_BYTES / 1024} KiB: resident bytes of an idle WebSocket`,
        value: oursBytes / BUDGET_BYTES,
        atMost: 1,
      },
    ]
    const figures: Figure[] = []
    for (const key of ['ours', 'ws'] as const) {
      const name = `${key}, ${sizes.connections} idle`
      figures.push({ name, value: median(bytes[key]), unit: 'resident bytes each' })
      figures.push({ name, value: median(cores[key]) * 100, unit: '% of one core' })
    }
    return { ratios, figures, hash: Math.round(oursBytes) }
  },
})

async function idle(client: ClientProcess, server: ServerProcess, sizes: Sizes): Promise<Idle> {
  await using _server = server
  const { port, pids } = server
  const open = (connections: number): Promise<unknown> =>
    client.open({ port, pids, connections, speaks: 'websocket', addresses: ADDRESSES })
  await open(sizes.firstCrowd)
  await client.reset()
  await pause(sizes.settleMs)
  const before = residentBytesOf(usageOf(pids))
  await open(sizes.connections)
  await pause(sizes.settleMs)
  const begin = usageOf(pids)
  await pause(sizes.idleMs)
  const end = usageOf(pids)
  await client.reset()
  return {
    bytesEach: (residentBytesOf(end) - before) / sizes.connections,
    cores: cpuNsOf(begin, end) / 1e6 / (end.atMs - begin.atMs),
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
