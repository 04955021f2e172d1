// What durability before the acknowledgement leaves of SQLite's own speed: messages that the chat service acknowledges
// over TCP, against a loop that stores the same rows with as many to a commit, on the same disk and the same core. Beside
// them a bare net server that stores the rows itself says how much of the difference are Node's sockets.
import { join } from 'node:path'
import { BenchFolder, startChat } from './chat-process.ts'
import { defineBench, type Figure, interleave, median, type Ratio, ratioOf } from './harness.ts'
import { runLoadTest } from './load-test-process.ts'
import { pinned, pinningNote } from './machine.ts'
import { outputOf } from './program-output.ts'
import { type ServerProcess, startPeer } from './server-process.ts'

const BUDGET = 0.5
const LOOP = join(import.meta.dirname, 'peer/sqlite-loop.ts')

interface Times {
  readonly rounds: number
  readonly warmupMs: number
  readonly durationMs: number
}

type Subject = 'ours' | 'loop' | 'bare'

interface Round {
  readonly perSecond: number
  readonly cpuUs: number
  /** Messages that shared a commit; of the bare server nobody knows. */
  readonly batch: number
  /** Until the acknowledgement; of the loop, a commit with its rows on average. */
  readonly waitMs: number
}

export const bench = defineBench({
  question: 'How many messages a second does chat acknowledge, against a loop of node:sqlite with the same batches?',
  async run({ smoke, log }) {
    const times = smoke ? { rounds: 1, warmupMs: 0, durationMs: 100 } : { rounds: 5, warmupMs: 200, durationMs: 800 }
    await using folder = new BenchFolder()
    await using server = await startChat(folder)
    log(pinningNote())
    const ratios: Ratio[] = []
    const figures: Figure[] = []
    let messages = 0
    for (const clients of smoke ? [4] : [1, 50, 500]) {
      const name = clients === 1 ? '1 client' : `${clients} clients`
      log(name)
      const rounds: Record<Subject, Round[]> = { ours: [], loop: [], bare: [] }
      let files = 0
      const fresh = (): string => join(folder.path, `peer-${clients}-${files++}.db`)
      const keep = (key: Subject, round: Round): number => {
        rounds[key].push(round)
        messages += round.perSecond
        return round.perSecond
      }
      // Until the code is optimised, and to know how many rows the peers are to store at a time.
      const first = await chatRound(server, clients, times)
      await using bare = await startPeer('line-insert', fresh(), String(Math.max(1, Math.round(first.batch))))
      const candidates = {
        ours: async () => keep('ours', await chatRound(server, clients, times)),
        loop: async () => keep('loop', await storeRows(fresh(), rounds.ours.at(-1)?.batch ?? 1, times)),
        bare: async () => keep('bare', await sendMessages(bare, clients, times)),
      }
      if (!smoke) await candidates.bare()
      rounds.bare = []
      const rates = await interleave(times.rounds, candidates)
      const all = (key: Subject, what: keyof Round): number[] => rounds[key].map((one) => one[what])
      const middle = (key: Subject, what: keyof Round): number => median(all(key, what))
      ratios.push({
        name: `chat / sqlite loop: durable messages per second, ${name}`,
        value: ratioOf(rates.ours, rates.loop),
        atLeast: BUDGET,
      })
      ratios.push({
        name: `chat / sqlite loop: CPU per durable message, ${name}`,
        value: ratioOf(all('ours', 'cpuUs'), all('loop', 'cpuUs')),
      })
      ratios.push({
        name: `bare net server / sqlite loop: durable messages per second, ${name}`,
        value: ratioOf(rates.bare, rates.loop),
      })
      ratios.push({
        name: `chat / bare net server: CPU per durable message, ${name}`,
        value: ratioOf(all('ours', 'cpuUs'), all('bare', 'cpuUs')),
      })
      figures.push(
        { name: `chat, ${name}`, value: middle('ours', 'perSecond'), unit: 'acknowledged messages/s' },
        { name: `chat, ${name}`, value: middle('ours', 'batch'), unit: 'messages per commit' },
        { name: `chat, ${name}`, value: middle('ours', 'cpuUs'), unit: 'µs of CPU per message' },
        { name: `chat, ${name}`, value: middle('ours', 'waitMs'), unit: 'ms until the acknowledgement, P50' },
        { name: `sqlite loop, same batches as ${name}`, value: middle('loop', 'perSecond'), unit: 'rows/s' },
        { name: `sqlite loop, same batches as ${name}`, value: middle('loop', 'cpuUs'), unit: 'µs of CPU per row' },
        { name: `sqlite loop, same batches as ${name}`, value: middle('loop', 'waitMs'), unit: 'ms per commit' },
        { name: `bare net server, ${name}`, value: middle('bare', 'perSecond'), unit: 'acknowledged messages/s' },
        { name: `bare net server, ${name}`, value: middle('bare', 'cpuUs'), unit: 'µs of CPU per message' },
        {
          name: `bare net server, ${name}`,
          value: middle('bare', 'waitMs'),
          unit: 'ms until the acknowledgement, P50',
        },
      )
    }
    return { ratios, figures, hash: messages }
  },
})

async function chatRound(server: ServerProcess, clients: number, times: Times): Promise<Round> {
  const before = await batchesOf(server)
  const round = await sendMessages(server, clients, times)
  const after = await batchesOf(server)
  return { ...round, batch: (after.messages - before.messages) / (after.commits - before.commits) }
}

async function sendMessages(server: ServerProcess, clients: number, times: Times): Promise<Round> {
  const target = `chat://127.0.0.1:${server.linePort}`
  const { answers, serverCpuUs, p50Ns } = await runLoadTest(target, server.pids[0] ?? 0, {
    connections: clients,
    warmup: times.warmupMs / 1_000,
    duration: times.durationMs / 1_000,
  })
  return {
    perSecond: (answers / times.durationMs) * 1_000,
    cpuUs: serverCpuUs,
    batch: Number.NaN,
    waitMs: p50Ns / 1e6,
  }
}

/** Of the store's own histogram. */
async function batchesOf({ adminPort }: ServerProcess): Promise<{ messages: number; commits: number }> {
  const page = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  const sumOf = (series: string): number =>
    [...page.matchAll(new RegExp(`^${series}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce(
      (sum, [, value]) => sum + Number(value),
      0,
    )
  return { messages: sumOf('polyloop_store_batch_size_sum'), commits: sumOf('polyloop_store_batch_size_count') }
}

async function storeRows(path: string, batch: number, times: Times): Promise<Round> {
  const order = [path, String(batch), String(times.warmupMs), String(times.durationMs)]
  const { output } = await outputOf(pinned('server', [process.execPath, LOOP, ...order]), 'inherit')
  const { rows, commits, elapsedMs, cpuMs } = JSON.parse(output) as {
    readonly rows: number
    readonly commits: number
    readonly elapsedMs: number
    readonly cpuMs: number
  }
  return {
    perSecond: (rows / elapsedMs) * 1_000,
    cpuUs: (cpuMs * 1_000) / rows,
    batch: rows / commits,
    waitMs: elapsedMs / commits,
  }
}
