// Handlers of user code that fail: each costs its own connection, a log line and a count, and nothing else.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { type LogLine, type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { pause, waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SHARDS = 2
const VICTIM = 1
const CLOSE_TIMEOUT_MS = 5_000
/** Runtime errors logged per second and shard. */
const LOGGED_PER_SECOND = 10
const session = sessionOn(VICTIM, SHARDS, 'fault')
const failures = [
  ['throw', 'thrown by a handler'],
  ['reject', 'rejected by a handler'],
] as const

let server: Server

before(async () => {
  server = await startServer({
    shards: SHARDS,
    modules: ['test/harness/fault-service.ts'],
    settings: { 'net.closeTimeout': `${CLOSE_TIMEOUT_MS}ms` },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

function failuresLogged(): LogLine[] {
  return server.logged('services.handler_failed')
}

async function failuresCounted(): Promise<number> {
  return (await server.metrics()).sum('polyloop_net_closed_total', { reason: 'handler_error', shard: `${VICTIM}` })
}

for (const [command, text] of failures) {
  test(`handler: a WebSocket whose handler fails by ${command} gets 1011, its neighbour nothing`, async () => {
    using neighbour = await WebSocketClient.open(server.url('fault.ws', `/?session=${session}`))
    using client = await WebSocketClient.open(server.url('fault.ws', `/?session=${session}`))
    const [logged, counted] = [failuresLogged().length, await failuresCounted()]
    const startMs = performance.now()
    client.send(command)
    assert.deepEqual(await within('the close', client.closed), { code: 1011, reason: 'internal error' })
    assert.ok(performance.now() - startMs < CLOSE_TIMEOUT_MS / 2, 'the close handshake worked')
    assert.equal(await neighbour.ask('still here'), 'still here')
    const line = await waitUntil('the log line', () => failuresLogged()[logged])
    assert.equal(line.level, 'error')
    assert.equal(line.thread, 'shard')
    assert.equal(line.shard, VICTIM)
    assert.equal(line.error, text)
    assert.ok(Number(line.connection) > 0)
    await waitUntil('the count', async () => (await failuresCounted()) === counted + 1)
  })

  test(`handler: a TCP connection whose handler fails by ${command} ends, its neighbour does not`, async () => {
    using neighbour = await LineClient.open({ port: server.port('fault.tcp') })
    await neighbour.ask(`session ${session}`)
    using client = await LineClient.open({ port: server.port('fault.tcp') })
    await client.ask(`session ${session}`)
    const counted = await failuresCounted()
    client.say('before', command)
    // What was answered before the failure arrives, then FIN.
    assert.equal(await client.next(), 'before')
    assert.equal(await within('the end', client.ended), true)
    client.end()
    assert.equal(await neighbour.ask('still here'), 'still here')
    await waitUntil('the count', async () => (await failuresCounted()) === counted + 1)
  })
}

test('handler: a message behind the one that failed is not delivered', async () => {
  using client = await WebSocketClient.open(server.url('fault.ws', `/?session=${session}`))
  client.send('throw')
  client.send('after')
  assert.equal(await client.next(), undefined)
  assert.equal((await client.closed).code, 1011)
})

test('handler: many failures are all counted, and logged at a bounded rate that says how many it left out', async () => {
  const many = 50
  await pause(1_000) // a window of the log's limit with nothing of the tests before in it
  const [logged, counted] = [failuresLogged().length, await failuresCounted()]
  const clients = await Promise.all(
    Array.from({ length: many }, () => WebSocketClient.open(server.url('fault.ws', `/?session=${session}`))),
  )
  for (const client of clients) client.send('throw')
  for (const client of clients) assert.equal((await within('the close', client.closed)).code, 1011)
  await waitUntil('the count', async () => (await failuresCounted()) === counted + many)
  const written = failuresLogged().length - logged
  assert.ok(written >= LOGGED_PER_SECOND && written < many, `${written} lines`)
  await pause(1_000)
  using last = await WebSocketClient.open(server.url('fault.ws', `/?session=${session}`))
  last.send('throw')
  await waitUntil('the line that counts', () => failuresLogged().some((line) => Number(line.suppressed) > 0))
  assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total'), 0)
})
