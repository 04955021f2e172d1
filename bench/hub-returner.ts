// Clients of a hub that are all cut at once, again and again, and come back with their tokens, as a program. Arguments:
// port, clients, times, and the process ids of the server; prints a JSON object.
import { HubCrowd } from '../test/harness/hub-crowd.ts'
import { cpuNsOf, usageOf } from './process-usage.ts'

export interface ReturnReport {
  readonly storms: readonly {
    readonly backMs: number
    readonly serverCpuNs: number
    readonly ownCpuNs: number
  }[]
  /** Clients that did not come back as they should. */
  readonly wrong: number
}

const [port = '', count = '', times = '', ...pids] = process.argv.slice(2)
const crowd = await HubCrowd.gather({ count: Number(count), url: (query) => `ws://127.0.0.1:${port}/ws${query}` })
const server = pids.map(Number)
const storms: ReturnReport['storms'][number][] = []
let wrong = 0
for (let time = 0; time < Number(times); time++) {
  const before = usageOf(server)
  const ownBefore = process.cpuUsage()
  const storm = await crowd.storm()
  const { user, system } = process.cpuUsage(ownBefore)
  const serverCpuNs = cpuNsOf(before, usageOf(server))
  storms.push({ backMs: storm.backMs, serverCpuNs, ownCpuNs: (user + system) * 1_000 })
  wrong += storm.wrong + storm.fresh + storm.gaps
}
console.log(JSON.stringify({ storms, wrong } satisfies ReturnReport))
process.exit()
