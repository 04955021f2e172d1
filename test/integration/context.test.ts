// What a handler's context can do on a real shard: connections on other shards, outbound ones, the offload pool, timers,
// low priority.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const SHARDS = 3
const LOW_CLIENTS = 60
const LOW_WORK_MS = 4

let server: Server

before(async () => {
  server = await startServer({
    shards: SHARDS,
    modules: ['test/integration/relay-service.ts'],
    settings: { 'net.lowPriorityBudget': 1, 'offload.threads': 1 },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

function onShard(shard: number): Promise<WebSocketClient> {
  return WebSocketClient.open(server.url('relay.ws', `/?session=${sessionOn(shard, SHARDS, 'relay')}`))
}

test('context: a connection of any shard is reached by its name, in order, and closed with a code', async () => {
  using target = await onShard(0)
  const name = await target.ask('ref')
  assert.match(name ?? '', /^\d+:0 \d+$/)
  for (const shard of [0, 1, 2]) {
    using sender = await onShard(shard)
    const many = 200
    for (let index = 0; index < many; index++) sender.send(`send ${name} ${shard} ${index}`)
    for (let index = 0; index < many; index++) {
      assert.equal((await sender.next())?.data.toString(), 'true')
      const message = await target.next()
      assert.equal(message?.data.toString(), `${shard} ${index}`)
      assert.equal(message?.isBinary, false)
    }
  }
  using closer = await onShard(1)
  closer.send(`send ${name} the last one`)
  closer.send(`close ${name} 4321 by another shard`)
  assert.equal((await target.next())?.data.toString(), 'the last one')
  assert.deepEqual(await within('the close', target.closed), { code: 4321, reason: 'by another shard' })
})

test('context: a name whose connection is gone harms nobody', async () => {
  const gone = await onShard(0)
  const name = await gone.ask('ref')
  gone.close()
  await gone.closed
  for (const shard of [0, 1]) {
    using sender = await onShard(shard)
    sender.send(`send ${name} hello`)
    sender.send(`close ${name} 1000 bye`)
    sender.send('still')
    const answers = [await sender.next(), await sender.next(), await sender.next()].map((one) => one?.data.toString())
    assert.equal(answers[2], 'still')
    if (shard === 0) assert.equal(answers[0], 'false')
  }
})

test('context: a handler opens outbound connections, and hears when it cannot', async () => {
  using client = await onShard(1)
  assert.match((await client.ask(`connect ${server.port('echo.tcp')} hello`)) ?? '', /^\w+: \[Conn \d+\] hello$/)
  const closed = await LineClient.open({ port: server.port('relay.tcp') })
  const port = closed.socket.localPort
  closed.socket.destroy()
  assert.equal(await client.ask(`connect ${port} hello`), 'error: ')
})

test('context: tasks run in the offload pool, not on the shard, and fail to their caller', async () => {
  using client = await onShard(2)
  assert.equal(await client.ask('offload square 12'), '144')
  assert.equal(await client.ask('offload later 1'), '2')
  assert.equal(await client.ask('offload fail 3'), 'failed: no 3')
  assert.match((await client.ask('offload nothing 1')) ?? '', /^failed: a module does not export/)
  using other = await onShard(0)
  const threads = [await client.ask('offload thread 0'), await other.ask('offload thread 0')]
  assert.equal(threads[0], threads[1], 'one pool for all shards')
  // Many at once, from several connections, each answer to its own question.
  await Promise.all(
    [client, other].map(async (one, base) => {
      for (let index = 0; index < 100; index++)
        assert.equal(await one.ask(`offload square ${base * 100 + index}`), `${(base * 100 + index) ** 2}`)
    }),
  )
})

test('context: timers are never early', async () => {
  using client = await onShard(0)
  for (const ms of [1, 5, 20, 130, 300]) assert.equal(await client.ask(`after ${ms}`), 'in time')
})

test('context: connections of low priority wait for the others, and none is forgotten', async () => {
  const low = await Promise.all(Array.from({ length: LOW_CLIENTS }, () => onShard(0)))
  using normal = await onShard(0)
  for (const client of low) assert.equal(await client.ask('low'), 'low')
  let served = 0
  const all = low.map(async (client) => {
    assert.equal(await client.ask(`work ${LOW_WORK_MS}`), 'worked')
    served++
  })
  assert.equal(await normal.ask('me first'), 'me first')
  assert.ok(served < LOW_CLIENTS / 2, `${served} of ${LOW_CLIENTS} came first`)
  await Promise.all(all)
  assert.equal(served, LOW_CLIENTS)
  for (const client of low) client.raw.terminate()
})

test('context: the log lines of shards carry their number, and everything is JSON', async () => {
  using plain = await LineClient.open({ port: server.port('relay.ws') })
  plain.socket.end('nonsense\r\n\r\n')
  const line = await waitUntil('a log line of a shard', () => server.log.find(({ thread }) => thread === 'shard'))
  assert.ok([0, 1, 2].includes(Number(line.shard)))
  assert.equal(line.event, 'net.request_refused')
  for (const one of server.log) {
    assert.match(one.event, /^[a-z]+\.[a-z_]+$/)
    assert.ok(!Number.isNaN(Date.parse(String(one.time))))
  }
})
