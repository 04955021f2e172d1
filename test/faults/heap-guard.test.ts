// A shard whose heap fills up is replaced by a fresh thread before V8 would end it (or the whole process).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { NumberedEcho } from '../harness/numbered-echo.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { pause, waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SHARDS = 2
const VICTIM = 1
const HEAP_LIMIT_MIB = 64
/** Steps small enough that the guard has a chance to see each level. */
const STEP_MIB = 2
const STEP_PAUSE_MS = 50
const MIB = 1024 * 1024
const FILL_MS_MAX = 30_000

let server: Server

before(async () => {
  server = await startServer({
    shards: SHARDS,
    modules: ['test/harness/fault-service.ts'],
    settings: { 'shard.heapLimit': `${HEAP_LIMIT_MIB}MiB` },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

async function heapUsed(): Promise<number> {
  return (await server.metrics()).sum('polyloop_shard_heap_used_bytes', { shard: `${VICTIM}` })
}

test('heap: the limit shown is the one that was configured', async () => {
  const limit = (await server.metrics()).sum('polyloop_shard_heap_limit_bytes', { shard: `${VICTIM}` })
  assert.equal(limit, HEAP_LIMIT_MIB * MIB)
})

test('heap: a shard over 92 % says 1012 and is replaced; the others and the process go on', async () => {
  using load = await NumberedEcho.open(server.url('echo.ws', `/?session=${sessionOn(0, SHARDS, 'echo')}`))
  const session = sessionOn(VICTIM, SHARDS, 'fault')
  using bystander = await WebSocketClient.open(server.url('fault.ws', `/?session=${session}`))
  assert.equal(await bystander.ask('where'), `${VICTIM}`)
  using line = await LineClient.open({ port: server.port('fault.tcp') })
  assert.equal(await line.ask(`session ${session}`), `${VICTIM}`)

  let heldMib = 0
  const untilMs = performance.now() + FILL_MS_MAX
  while (!bystander.isOver && performance.now() < untilMs && heldMib < 2 * HEAP_LIMIT_MIB) {
    if ((await heapUsed()) < 0.93 * HEAP_LIMIT_MIB * MIB) {
      if ((await line.ask(`heap ${STEP_MIB}`)) === undefined) break
      heldMib += STEP_MIB
    }
    await pause(STEP_PAUSE_MS)
  }
  assert.deepEqual(await within('the close', bystander.closed), { code: 1012, reason: 'service restart' })
  assert.equal(await within('the end of TCP', line.ended), true)
  await waitUntil('a fresh thread has taken over', () => server.logged('runtime.move_done').length === 1)
  assert.ok((await heapUsed()) < 0.5 * HEAP_LIMIT_MIB * MIB, 'the successor starts afresh')
  const [full] = server.logged('runtime.heap_full')
  assert.deepEqual([full?.level, full?.of], ['error', `${VICTIM}`])
  assert.ok(Number(full?.share) >= 0.92)
  assert.equal(server.logged('runtime.thread_crashed').length, 0)
  const metrics = await server.metrics()
  assert.equal(metrics.sum('polyloop_shard_restarts_total'), 0)
  assert.equal(metrics.sum('polyloop_net_closed_total', { shard: `${VICTIM}`, reason: 'restart' }), 2)
  await load.stop()
  assert.equal(load.fault, undefined)
})

test('heap: a jump past everything costs the shard, not the process', async () => {
  using load = await NumberedEcho.open(server.url('echo.ws', `/?session=${sessionOn(0, SHARDS, 'echo')}`))
  await waitUntil('the load runs', () => load.received > 10)
  const client = await waitUntil('a connection to the victim', async () => {
    const one = await LineClient.open({ port: server.port('fault.tcp') })
    if ((await one.ask(`session ${sessionOn(VICTIM, SHARDS, 'fault')}`)) === `${VICTIM}`) return one
    one[Symbol.dispose]()
    return undefined
  })
  client.say(`heap ${20 * HEAP_LIMIT_MIB}`)
  await within('the end of its client', client.ended)
  await server.recovered(VICTIM, 1)
  await load.stop()
  assert.equal(load.fault, undefined)
  client[Symbol.dispose]()
})
