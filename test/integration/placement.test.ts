// Placement as a client sees it: a session key decides the shard, the CLI tells which, and keys spread over all shards.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { SlotTable } from '../../src/placement/slots.ts'
import { LineClient } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SHARDS = 4
const KEYS = 1000
const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

let server: Server

before(async () => {
  server = await startServer({
    shards: SHARDS,
    modules: ['test/integration/relay-service.ts'],
    settings: { 'net.backlog': 2048 },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

async function connectionsByShard(service: string): Promise<number[]> {
  const metrics = await server.metrics()
  return Array.from({ length: SHARDS }, (_, shard) =>
    metrics.sum('polyloop_shard_connections', { shard: String(shard), service }),
  )
}

test('placement: 1000 session keys lie on the shards their slots belong to, and on all of them', async () => {
  const table = SlotTable.allocate()
  table.spread(SHARDS)
  const sessions = Array.from({ length: KEYS }, (_, index) => `user-${index}`)
  const expected = Array.from({ length: SHARDS }, () => 0)
  for (const session of sessions) {
    const shard = table.shardOfKey(`echo:${session}`)
    expected[shard] = (expected[shard] ?? 0) + 1
  }
  const clients = await Promise.all(
    sessions.map((session) => WebSocketClient.open(server.url('echo.ws', `/?session=${session}`))),
  )
  try {
    assert.deepEqual(await connectionsByShard('echo'), expected)
    for (const count of expected) assert.ok(count > KEYS / SHARDS / 2, `${expected} is a fair share`)
  } finally {
    for (const client of clients) client.raw.terminate()
  }
  await waitUntil('all are gone', async () => (await connectionsByShard('echo')).every((count) => count === 0))
})

test('placement: a key lies on the shard that the CLI names, every time, however it is written', async () => {
  for (const key of ['alice', 'žluť', 'a b&c', '0']) {
    const line = ['bin/polyloop.js', 'placement', `relay:${key}`, '--shards', String(SHARDS)]
    const { stdout } = await run(process.execPath, line, { cwd: ROOT })
    const shard = /, shard (\d+) \(of 4/.exec(stdout)?.[1]
    assert.ok(shard !== undefined, stdout)
    for (let round = 0; round < 3; round++) {
      const url = server.url('relay.ws', `/any?first=1&session=${encodeURIComponent(key)}`)
      using client = await WebSocketClient.open(url)
      assert.equal(await client.ask('session'), `relay:${key}`)
      assert.equal(await client.ask('where'), shard)
    }
  }
})

test('placement: without a session the address of the peer is the key, and spreads over all shards', async () => {
  const seen = new Set<string | undefined>()
  for (let index = 0; index < 60 && seen.size < SHARDS; index++) {
    using client = await LineClient.open({
      port: server.port('relay.tcp'),
      localAddress: `127.0.0.${2 + (index % 50)}`,
    })
    assert.equal(await client.ask('session'), `peer:${client.socket.localAddress}:${client.socket.localPort}`)
    seen.add(await client.ask('where'))
  }
  assert.equal(seen.size, SHARDS)
})

test('placement: every handover is acknowledged, none was rerouted or lost', async () => {
  await waitUntil('all are acknowledged', async () => {
    const metrics = await server.metrics()
    return metrics.sum('polyloop_handoffs_total', { result: 'ok' }) === metrics.sum('polyloop_net_opened_total')
  })
  const metrics = await server.metrics()
  for (const result of ['failed', 'rerouted']) assert.equal(metrics.sum('polyloop_handoffs_total', { result }), 0)
})
