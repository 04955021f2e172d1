// What it costs to get a connection to its shard: accept, sniff, hand over and upgrade a WebSocket, against a bare `ws`
// server that does all of it in one thread; and accept and hand over a TCP connection, against a bare net server. Only
// the opening is measured: the connections stay open until the round is over.
import { type ClientProcess, startClient } from './client-process.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { type ServerProcess, startPeer, startPolyloop } from './server-process.ts'

const BUDGET = 1.2
const ADDRESSES = 5

type Speaks = 'websocket' | 'line'

export const bench = defineBench({
  question: 'What does it cost to accept a connection and hand it to a shard, against servers of one thread?',
  async run({ smoke, log }) {
    const { rounds, connections } = smoke ? { rounds: 1, connections: 20 } : { rounds: 9, connections: 3_000 }
    await using client = startClient()
    const [ours, ws, net] = await Promise.all([startPolyloop(), startPeer('ws-server'), startPeer('line-server')])
    await using _ours = ours
    await using _ws = ws
    await using _net = net
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let opened = 0
    const pairs = [
      { what: 'WebSocket', peer: 'ws', speaks: 'websocket', ourPort: ours.port, other: ws, budget: { atMost: BUDGET } },
      { what: 'TCP', peer: 'net', speaks: 'line', ourPort: ours.linePort, other: net, budget: {} },
    ] as const
    for (const { what, peer, speaks, ourPort, other, budget } of pairs) {
      log(what)
      const rates: Record<'ours' | 'peer', number[]> = { ours: [], peer: [] }
      const round = (key: 'ours' | 'peer', server: ServerProcess, port: number) => async (): Promise<number> => {
        const { cpuUs, perSecond } = await openAll(client, server, port, speaks, connections)
        rates[key].push(perSecond)
        opened += connections
        return cpuUs
      }
      const candidates = { ours: round('ours', ours, ourPort), peer: round('peer', other, other.port) }
      if (!smoke) await interleave(2, candidates) // until the code is optimised
      rates.ours = []
      rates.peer = []
      const cpu = await interleave(rounds, candidates)
      ratios.push({
        name: `ours / ${peer}: server CPU per opened ${what} connection`,
        value: ratioOf(cpu.ours, cpu.peer),
        ...budget,
      })
      figures.push({ name: `ours, ${what}`, value: median(cpu.ours), unit: 'µs of CPU per connection' })
      figures.push({ name: `${peer}, ${what}`, value: median(cpu.peer), unit: 'µs of CPU per connection' })
      figures.push({ name: `ours, ${what}`, value: median(rates.ours), unit: 'connections/s' })
      figures.push({ name: `${peer}, ${what}`, value: median(rates.peer), unit: 'connections/s' })
    }
    return { ratios, figures, hash: opened }
  },
})

async function openAll(
  client: ClientProcess,
  { pids }: ServerProcess,
  port: number,
  speaks: Speaks,
  connections: number,
): Promise<{ cpuUs: number; perSecond: number }> {
  const { elapsedMs, serverCpuNs } = await client.open({ port, pids, connections, speaks, addresses: ADDRESSES })
  await client.reset()
  return { cpuUs: serverCpuNs / 1000 / connections, perSecond: (connections / elapsedMs) * 1000 }
}
