// Shards that are killed, crash or hang under load: their own connections are lost, nobody else notices, and the shard
// comes back without leaving anything behind.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { NumberedEcho } from '../harness/numbered-echo.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { waitUntil, within } from '../harness/wait.ts'

const SHARDS = 3
const VICTIM = 1
const CYCLES = 5
// Far from the short freeze: what main sees as silence is longer by a beat and a check.
const HANG_LIMIT_MS = 3_000
/** Between the suspicion (1 s) and the limit. */
const SHORT_FREEZE_MS = 1_300
const LONG_FREEZE_MS = 20_000
/** Descriptors that come and go: the admin connections of this test. */
const DESCRIPTOR_SLACK = 4

let server: Server
let restarts = 0

before(async () => {
  server = await startServer({
    shards: SHARDS,
    modules: ['test/harness/fault-service.ts'],
    settings: { 'shard.hangLimit': `${HANG_LIMIT_MS}ms`, 'shard.restartBackoff.max': '200ms' },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

/** A line client on the victim. While its successor starts another shard may serve, so it asks until it is there. */
function onVictim(): Promise<LineClient> {
  const session = sessionOn(VICTIM, SHARDS, 'fault')
  return waitUntil('a connection to the victim', async () => {
    const client = await LineClient.open({ port: server.port('fault.tcp') })
    if ((await client.ask(`session ${session}`)) === `${VICTIM}`) return client
    client[Symbol.dispose]()
    return undefined
  })
}

/** Runs numbered echoes on all other shards around `cause`, which must not cost them anything. */
async function besideLoad(cause: (loads: readonly NumberedEcho[]) => Promise<void>): Promise<void> {
  const others = Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => shard !== VICTIM)
  const loads = await Promise.all(
    others.map((shard) => NumberedEcho.open(server.url('echo.ws', `/?session=${sessionOn(shard, SHARDS, 'echo')}`))),
  )
  try {
    await waitUntil('the load runs', () => loads.every(({ received }) => received > 100))
    await cause(loads)
    await Promise.all(loads.map((load) => load.stop()))
    for (const load of loads) assert.equal(load.fault, undefined)
  } finally {
    for (const load of loads) load[Symbol.dispose]()
  }
}

async function upOf(shard: number): Promise<number> {
  return (await server.metrics()).sum('polyloop_shard_up', { shard: String(shard) })
}

test('shard: killed under load five times, it comes back, and only its own clients notice', async () => {
  const before = server.descriptors()
  let seenDown = 0
  await besideLoad(async (loads) => {
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      using own = await onVictim()
      const progress = loads.map(({ received }) => received)
      await server.kill(VICTIM)
      await within('the end of its client', own.ended)
      await waitUntil('degraded', async () => (await server.health()).status === 'degraded')
      if ((await upOf(VICTIM)) === 0) seenDown++
      // While it is down its new clients are served by others.
      using other = await LineClient.open({ port: server.port('fault.tcp') })
      assert.match((await other.ask(`session ${sessionOn(VICTIM, SHARDS, 'fault')}`)) ?? '', /^\d$/)
      await server.recovered(VICTIM, ++restarts)
      assert.equal(await upOf(VICTIM), 1)
      for (const [index, load] of loads.entries()) {
        assert.ok(load.received > (progress[index] ?? 0), 'the load went on meanwhile')
        assert.equal(load.fault, undefined)
      }
    }
  })
  // Each time a page was read; the successor may have been faster now and then.
  assert.ok(seenDown > 0, 'polyloop_shard_up was 0')
  await waitUntil(
    'the descriptors are back',
    () => server.descriptors() <= before + DESCRIPTOR_SLACK || undefined,
    5_000,
  ).catch(() => assert.fail(`${server.descriptors()} descriptors, ${before} before`))
  const metrics = await server.metrics()
  assert.equal(metrics.sum('polyloop_shard_restarts_total'), CYCLES)
  assert.equal(metrics.sum('polyloop_shard_connections', { shard: `${VICTIM}` }), 0)
})

for (const [command, event] of [
  ['crash 7', 'runtime.thread_exited'],
  ['throw-later', 'runtime.thread_crashed'],
] as const) {
  test(`shard: "${command}" ends it, and only it`, async () => {
    await besideLoad(async () => {
      using client = await onVictim()
      const lines = server.logged(event).length
      client.say(command)
      await within('the end of its client', client.ended)
      await server.recovered(VICTIM, ++restarts)
      const logged = server.logged(event).slice(lines)
      assert.deepEqual(
        logged.map(({ level, of, thread }) => [level, of, thread]),
        [['error', `${VICTIM}`, 'main']],
      )
    })
  })
}

test('shard: hung for less than the limit it goes on where it was', async () => {
  await besideLoad(async (loads) => {
    using client = await onVictim()
    client.say(`freeze ${SHORT_FREEZE_MS}`, 'after')
    const progress = loads.map(({ received }) => received)
    assert.equal(await client.next(), 'thawed')
    assert.equal(await client.next(), 'after')
    for (const [index, load] of loads.entries()) assert.ok(load.received > (progress[index] ?? 0))
    await waitUntil('healthy', () => server.isHealthy())
  })
  assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total'), restarts)
})

test('shard: hung for longer than the limit it is replaced', async () => {
  await besideLoad(async () => {
    using client = await onVictim()
    client.say(`freeze ${LONG_FREEZE_MS}`)
    await waitUntil('hung', async () => (await server.health()).shards[VICTIM]?.state === 'hung')
    assert.equal(await upOf(VICTIM), 0)
    await within('the end of its client', client.ended)
    await server.recovered(VICTIM, ++restarts)
    const [line] = server.logged('runtime.thread_hung')
    assert.equal(line?.of, `${VICTIM}`)
    assert.ok(Number(line?.silent_ms) >= HANG_LIMIT_MS)
  })
})

test('shard: after a restart its datagrams go through the same ring again', async () => {
  const socket = createSocket('udp4')
  try {
    socket.connect(server.port('echo.udp'), '127.0.0.1')
    await once(socket, 'connect')
    const received = new Set<string>()
    socket.on('message', (payload) => received.add(payload.toString()))
    /** Datagrams may be lost while the shard is down, so they are repeated. */
    const exchange = (text: string): Promise<boolean> =>
      waitUntil(`"${text}" returns`, () => {
        socket.send(text)
        return received.has(text)
      })
    await exchange('before')
    for (let shard = 0; shard < SHARDS; shard++) await server.kill(shard)
    await waitUntil('all are back', async () => {
      const metrics = await server.metrics()
      return metrics.sum('polyloop_shard_restarts_total') >= restarts + SHARDS && (await server.isHealthy())
    })
    await exchange('after')
    assert.equal((await server.metrics()).sum('polyloop_ring_watchdog_wakes_total'), 0)
  } finally {
    socket.close()
  }
})
