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
    using clients = new ClientsByShard(server)
    for (let shard = 0; shard < SHARDS; shard++) await clients.open(shard)
    const times = { kill: [] as number[], freeze: [] as number[] }
    let first: Rest | undefined
    for (let cycle = 0; cycle < cycles; cycle++) {
      const victim = cycle % SHARDS
      const turn = Math.floor(cycle / SHARDS)
      const fault = turn % 2 === 0 ? 'kill' : 'freeze'
      const before = clients.receivedBeside(victim)
      const startMs = performance.now()
      if (fault === 'kill') await server.kill(victim)
      else await freeze(server, victim)
      await server.recovered(victim, turn + 1, RECOVERY_MS)
      times[fault].push(performance.now() - startMs)
      clients.assertUnharmed(victim, before, `cycle ${cycle}`)
      await clients.lost(victim)
      await clients.open(victim)
      // Not from the start: by now this scenario has two connections to the admin endpoint, and each shard that has served
      // a connection holds one /dev/null, which ends with its thread. Restarts themselves leave nothing.
      if (cycle + 1 === FIRST_CYCLES) first = restOf(server)
      if ((cycle + 1) % LOG_EVERY === 0) log(`${cycle + 1} of ${cycles} cycles, ${server.descriptors()} descriptors`)
    }
    assert.ok(first !== undefined)
    const { descriptors } = first
    const isBack = (): boolean => server.descriptors() <= descriptors + DESCRIPTOR_SLACK
    await waitUntil(`no more than ${descriptors} descriptors`, isBack)
    const last = restOf(server)
    const answers = await clients.finish()
    const metrics = await server.metrics()
    assert.equal(metrics.sum('polyloop_shard_restarts_total'), cycles)
    assert.equal(metrics.sum('polyloop_ring_watchdog_wakes_total'), 0)
    assert.deepEqual(server.stray, [])
    return [
      { name: 'cycles, one restart each', value: `${times.kill.length} killed, ${times.freeze.length} hung` },
      { name: 'from kill to ready', value: spreadOf(times.kill) },
      { name: `from the begin of a hang to ready (limit ${HANG_LIMIT})`, value: spreadOf(times.freeze) },
      { name: 'numbered echoes meanwhile, none lost on other shards', value: `${answers}` },
      { name: `after ${FIRST_CYCLES} cycles`, value: describe(first) },
      { name: 'at the end', value: describe(last) },
    ]
  },
})

interface Rest {
  readonly descriptors: number
  readonly residentBytes: number
}

function restOf(server: Server): Rest {
  return { descriptors: server.descriptors(), residentBytes: server.rss() }
}

function describe({ descriptors, residentBytes }: Rest): string {
  return `${descriptors} descriptors, ${mebibytes(residentBytes)} resident`
}

/** Numbered echoes whose sessions live on known shards. */
class ClientsByShard implements Disposable {
  readonly #server: Server
  readonly #echoes = Array.from({ length: SHARDS }, () => [] as NumberedEcho[])
  /** Of clients that are gone. */
  #received = 0

  constructor(server: Server) {
    this.#server = server
  }

  async open(shard: number): Promise<void> {
    this.#echoes[shard] = await loadOn(this.#server, shard)
  }

  receivedBeside(victim: number): number[] {
    return this.#beside(victim).map(({ received }) => received)
  }

  assertUnharmed(victim: number, before: readonly number[], when: string): void {
    for (const [index, echo] of this.#beside(victim).entries()) {
      assert.equal(echo.fault, undefined, `${when}: a client of another shard`)
      assert.ok(echo.received > (before[index] ?? 0), `${when}: the other shards went on meanwhile`)
    }
  }

  /** Waits until the clients of the victim have noticed. */
  async lost(victim: number): Promise<void> {
    for (const echo of this.#echoes[victim] ?? []) {
      await within('the victim loses its clients', echo.client.closed)
      this.#received += echo.received
    }
  }

  /** Waits for what is in flight; answers how many echoes there were in all. */
  async finish(): Promise<number> {
    for (const echo of this.#echoes.flat()) {
      await echo.stop()
      assert.equal(echo.fault, undefined)
      this.#received += echo.received
    }
    return this.#received
  }

  [Symbol.dispose](): void {
    for (const echo of this.#echoes.flat()) echo[Symbol.dispose]()
  }

  #beside(victim: number): NumberedEcho[] {
    return this.#echoes.filter((_, shard) => shard !== victim).flat()
  }
}

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
