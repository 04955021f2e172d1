// A hundred shards killed or hung, one after another, while all shards serve clients: only the victim's own clients
// notice, and nothing is left behind.
import assert from 'node:assert/strict'
import { LineClient } from '../harness/line-client.ts'
import { NumberedEcho } from '../harness/numbered-echo.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'
import { defineScenario, mebibytes, spreadOf } from './scenario.ts'

const SHARDS = 3
const LOADS_PER_SHARD = 2
const CYCLES = 100
const QUICK_CYCLES = 9
/** Each shard was killed once and hung once. */
const FIRST_CYCLES = 2 * SHARDS
const HANG_LIMIT = '1s'
/** Longer than the limit and than any cycle: only the replacement ends it. */
const FREEZE_MS = 60_000
/** Each shard is hurt again before it is healthy, so its pauses reach this. */
const BACKOFF_MAX = '200ms'
const DESCRIPTOR_SLACK = 4
const RECOVERY_MS = 30_000
const LOG_EVERY = 10

export const faults = defineScenario({
  claim:
    'Shards that are killed or hang under load come back, clients of other shards see no error and no gap, nothing leaks.',
  limitMs: 15 * 60_000,
  async run({ quick, log }) {
    const cycles = quick ? QUICK_CYCLES : CYCLES
    await using server = await startServer({
      shards: SHARDS,
      modules: ['test/harness/fault-service.ts'],
      settings: { 'shard.hangLimit': HANG_LIMIT, 'shard.restartBackoff.max': BACKOFF_MAX },
    })
    const loads = new Map<number, NumberedEcho[]>()
    for (let shard = 0; shard < SHARDS; shard++) loads.set(shard, await loadOn(server, shard))
    const restarts = Array.from({ length: SHARDS }, () => 0)
    const times = { kill: [] as number[], freeze: [] as number[] }
    let answers = 0
    let descriptors = Infinity
    let lastDescriptors = 0
    let residentBytes = 0
    try {
      for (let cycle = 0; cycle < cycles; cycle++) {
        const victim = cycle % SHARDS
        const fault = Math.floor(cycle / SHARDS) % 2 === 0 ? 'kill' : 'freeze'
        const others = [...loads].filter(([shard]) => shard !== victim).flatMap(([, echoes]) => echoes)
        const before = others.map(({ received }) => received)
        const startMs = performance.now()
        if (fault === 'kill') await server.kill(victim)
        else await freeze(server, victim)
        restarts[victim] = (restarts[victim] ?? 0) + 1
        await server.recovered(victim, restarts[victim], RECOVERY_MS)
        times[fault].push(performance.now() - startMs)
        for (const [index, echo] of others.entries()) {
          assert.equal(echo.fault, undefined, `cycle ${cycle}: a client of another shard`)
          assert.ok(echo.received > (before[index] ?? 0), `cycle ${cycle}: the other shards went on meanwhile`)
        }
        for (const own of loads.get(victim) ?? []) {
          await within('the victim loses its clients', own.client.closed)
          answers += own.received
          own[Symbol.dispose]()
        }
        loads.set(victim, await loadOn(server, victim))
        // What a first replacement leaves open once (an event of libuv, a worker's pipe) is no leak; more is.
        if (cycle + 1 === FIRST_CYCLES) {
          descriptors = server.descriptors()
          residentBytes = server.rss()
        }
        if ((cycle + 1) % LOG_EVERY === 0) log(`${cycle + 1} of ${cycles} cycles, ${server.descriptors()} descriptors`)
      }
      const left = (): boolean => server.descriptors() <= descriptors + DESCRIPTOR_SLACK
      await waitUntil('the descriptors are back', left).catch(() =>
        assert.fail(`${server.descriptors()} descriptors, ${descriptors} after ${FIRST_CYCLES} cycles`),
      )
      lastDescriptors = server.descriptors()
      for (const echo of [...loads.values()].flat()) {
        await echo.stop()
        assert.equal(echo.fault, undefined)
        answers += echo.received
      }
    } finally {
      for (const echo of [...loads.values()].flat()) echo[Symbol.dispose]()
    }
    const metrics = await server.metrics()
    assert.equal(metrics.sum('polyloop_shard_restarts_total'), cycles)
    assert.equal(metrics.sum('polyloop_ring_watchdog_wakes_total'), 0)
    assert.deepEqual(server.stray, [])
    return [
      {
        name: 'cycles, each counted as one restart',
        value: `${times.kill.length} killed, ${times.freeze.length} hung`,
      },
      { name: 'from kill to ready', value: spreadOf(times.kill) },
      { name: `from the begin of a hang to ready (limit ${HANG_LIMIT})`, value: spreadOf(times.freeze) },
      { name: 'numbered echoes meanwhile, none lost on other shards', value: `${answers}` },
      { name: 'descriptors', value: `${descriptors} after ${FIRST_CYCLES} cycles, ${lastDescriptors} at the end` },
      {
        name: 'resident',
        value: `${mebibytes(residentBytes)} after ${FIRST_CYCLES} cycles, ${mebibytes(server.rss())} at the end`,
      },
    ]
  },
})

/** Clients that live on the shard: while it starts, its sessions are served by others, so each asks where it is. */
function loadOn(server: Server, shard: number): Promise<NumberedEcho[]> {
  const url = server.url('fault.ws', `/?session=${sessionOn(shard, SHARDS, 'fault')}`)
  const open = async (): Promise<NumberedEcho | undefined> => {
    const client = await WebSocketClient.open(url)
    if ((await client.ask('where')) === `${shard}`) return new NumberedEcho(client)
    client[Symbol.dispose]()
    return undefined
  }
  return Promise.all(Array.from({ length: LOADS_PER_SHARD }, () => waitUntil('a client on the shard', open)))
}

async function freeze(server: Server, shard: number): Promise<void> {
  using client = await LineClient.open({ port: server.port('fault.tcp') })
  assert.equal(await client.ask(`session ${sessionOn(shard, SHARDS, 'fault')}`), `${shard}`)
  client.say(`freeze ${FREEZE_MS}`)
  await within('the end of its client', client.ended)
}
