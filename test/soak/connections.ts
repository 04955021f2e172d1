// Many connections at once, and many one after another: afterwards nothing is left of them, neither descriptors nor
// timers nor memory.
import assert from 'node:assert/strict'
import { type ClientProcess, startClient } from '../../bench/client-process.ts'
import { median } from '../../bench/harness.ts'
import { openFilesMax } from '../../bench/machine.ts'
import { LineClient } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { pause, waitUntil } from '../harness/wait.ts'
import { defineScenario, mebibytes, type SoakContext, type SoakFigure } from './scenario.ts'

const SHARDS = 2
const ADDRESSES = 5
/** For what each process has open besides. */
const SPARE_FILES = 500
/** Admin connections of this scenario that come and go. */
const DESCRIPTOR_SLACK = 4
/** A connection that leaves so much behind leaks: less than the smallest object with a timer or an address in it. */
const LEAK_BYTES_EACH_MAX = 64
/** What heaps differ by between two rounds anyway. */
const NOISE_BYTES = 128 * 1024
/** They grow tables and compile code; what grows after them is a leak. */
const FIRST_ROUNDS = 2
const SETTLE_MS = 60_000
/** The acceptor measures its heap with every beat, at least twice a second. */
const BEAT_MS = 1_000

interface Rest {
  readonly descriptors: number
  readonly timers: number
  readonly heapBytes: number
  readonly residentBytes: number
}

export const connections = defineScenario({
  claim:
    'After 10,000 connections at once and rounds of 5,000 that come and are reset, descriptors, timers and heap are back.',
  limitMs: 12 * 60_000,
  async run(context) {
    const { quick, log } = context
    const wanted = quick ? 1_000 : 10_000
    const crowd = Math.min(wanted, openFilesMax() - SPARE_FILES)
    if (crowd < wanted) log(`the limit of open files allows ${crowd} connections only`)
    const each = Math.min(quick ? 500 : 5_000, crowd)
    const rounds = quick ? 5 : 8
    await using server = await startServer({ shards: SHARDS, modules: ['test/soak/collector-service.ts'] })
    await using client = startClient()
    const start = await restOf(server)
    log(`start: ${describe(start)}`)
    const figures: SoakFigure[] = [{ name: 'start', value: describe(start) }]
    figures.push(...(await crowdAtOnce(context, server, client, crowd, start)))

    const rests: Rest[] = []
    for (let round = 1; round <= rounds; round++) {
      const { elapsedMs } = await openAll(server, client, each)
      await client.reset()
      const rest = await backTo(server, start)
      rests.push(rest)
      figures.push({
        name: `round ${round} of ${each}`,
        value: `opened in ${(elapsedMs / 1000).toFixed(1)} s; ${describe(rest)}`,
      })
      log(`round ${round}: ${describe(rest)}`)
    }
    // The median of the steps: now and then V8 throws away megabytes of code at once, which would hide a leak in the sum.
    const steps = rests
      .slice(FIRST_ROUNDS)
      .map(({ heapBytes }, index) => heapBytes - heapOf(rests[index + FIRST_ROUNDS - 1]))
    const grownBytes = median(steps)
    figures.push({
      name: 'heap grown per connection, median of the rounds',
      value: `${(grownBytes / each).toFixed(0)} B`,
    })
    assert.ok(grownBytes < each * LEAK_BYTES_EACH_MAX + NOISE_BYTES, `each round left ${grownBytes} bytes`)
    assert.deepEqual(server.stray, [])
    return figures
  },
})

async function crowdAtOnce(
  { quick, log }: SoakContext,
  server: Server,
  client: ClientProcess,
  crowd: number,
  start: Rest,
): Promise<SoakFigure[]> {
  const { elapsedMs } = await openAll(server, client, crowd)
  const open = (await server.health()).services.echo?.connections
  assert.equal(open, crowd)
  const descriptors = server.descriptors()
  assert.ok(descriptors >= start.descriptors + crowd, `${descriptors} descriptors`)
  const residentBytes = server.rss()
  log(`${crowd} open in ${(elapsedMs / 1000).toFixed(1)} s`)
  // Each byte that returns is compared, and each answer awaited.
  const { messages } = await client.exchange({ window: 1, warmupMs: 0, durationMs: quick ? 1_000 : 5_000, pids: [] })
  assert.ok(messages >= crowd, `${messages} answers for ${crowd} connections`)
  await client.reset()
  const rest = await backTo(server, start)
  return [
    {
      name: `${crowd} at once`,
      value: `opened in ${(elapsedMs / 1000).toFixed(1)} s, ${descriptors} descriptors, ${mebibytes(residentBytes)} resident, ${messages} echoes`,
    },
    { name: 'after their reset', value: describe(rest) },
  ]
}

function openAll(server: Server, client: ClientProcess, connections: number): Promise<{ readonly elapsedMs: number }> {
  const port = server.port('echo.ws')
  return client.open({ port, pids: [server.pid], connections, speaks: 'websocket', addresses: ADDRESSES })
}

/** Waits until descriptors and timers are what they were; answers what is left otherwise. */
async function backTo(server: Server, start: Rest): Promise<Rest> {
  const isBack = async (): Promise<boolean> =>
    server.descriptors() <= start.descriptors + DESCRIPTOR_SLACK && (await timersOf(server)) <= start.timers
  await waitUntil('descriptors and timers are back', isBack, SETTLE_MS).catch(async () => {
    assert.fail(`left: ${describe(await restOf(server))}; at the start: ${describe(start)}`)
  })
  assert.equal((await server.health()).services.echo?.connections, 0)
  return restOf(server)
}

async function timersOf(server: Server): Promise<number> {
  return (await server.metrics()).sum('polyloop_timers_scheduled')
}

/** After a collection in every thread that had to do with connections. */
async function restOf(server: Server): Promise<Rest> {
  const port = server.port('collector.tcp')
  let heapBytes = 0
  for (let shard = 0; shard < SHARDS; shard++) {
    using shardLine = await LineClient.open({ port })
    const [id, bytes] = ((await shardLine.ask(`collect ${sessionOn(shard, SHARDS, 'collector')}`)) ?? '').split(' ')
    assert.equal(Number(id), shard)
    heapBytes += Number(bytes)
  }
  using acceptorLine = await LineClient.open({ port })
  await acceptorLine.ask('collect-acceptor')
  await pause(BEAT_MS)
  heapBytes += (await server.metrics()).sum('polyloop_shard_heap_used_bytes', { shard: 'acceptor' })
  return {
    descriptors: server.descriptors(),
    timers: await timersOf(server),
    heapBytes,
    residentBytes: server.rss(),
  }
}

function heapOf(rest: Rest | undefined): number {
  return rest?.heapBytes ?? Number.NaN
}

function describe({ descriptors, timers, heapBytes, residentBytes }: Rest): string {
  return `${descriptors} descriptors, ${timers} timers, heaps ${mebibytes(heapBytes)}, resident ${mebibytes(residentBytes)}`
}
