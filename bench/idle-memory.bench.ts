// What an idle WebSocket costs: resident bytes, against a bare `ws` server, and the processor time of a server that has
// 10,000 of them. A first crowd comes and goes before, so that what a server allocates once is not counted.
import { type ClientProcess, startClient } from './client-process.ts'
import { defineBench, type Figure, type Ratio } from './harness.ts'
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
      ? { connections: 100, firstCrowd: 20, settleMs: 10, idleMs: 50 }
      : { connections, firstCrowd: FIRST_CROWD, settleMs: 4_000, idleMs: 10_000 }
    await using client = startClient()
    log('ours')
    const ours = await idle(
      client,
      await startPolyloop({ settings: { 'services.echo.idleTimeout': IDLE_TIMEOUT } }),
      sizes,
    )
    log('ws')
    const ws = await idle(client, await startPeer('ws-server'), sizes)
    const ratios: Ratio[] = [
      { name: 'ours / ws: resident bytes of an idle WebSocket', value: ours.bytesEach / ws.bytesEach },
      {
        name: `ours / ${BUDGET_BYTES / 1024} KiB: resident bytes of an idle WebSocket`,
        value: ours.bytesEach / BUDGET_BYTES,
        atMost: 1,
      },
    ]
    const figures: Figure[] = []
    for (const [name, { bytesEach, cores }] of Object.entries({ ours, ws })) {
      figures.push({ name: `${name}, ${sizes.connections} idle`, value: bytesEach, unit: 'resident bytes each' })
      figures.push({ name: `${name}, ${sizes.connections} idle`, value: cores * 100, unit: '% of one core' })
    }
    return { ratios, figures, hash: Math.round(ours.bytesEach) }
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
