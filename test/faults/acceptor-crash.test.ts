// The acceptor ends by user code that runs on it (`sessionOf`): open connections do not notice, and its successor
// listens on the same ports.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { after, before, test } from 'node:test'
import { LineClient, openSocket } from '../harness/line-client.ts'
import { NumberedEcho } from '../harness/numbered-echo.ts'
import { type Server, startServer } from '../harness/server.ts'
import { sessionOn } from '../harness/shard-key.ts'
import { waitUntil, within } from '../harness/wait.ts'

const SHARDS = 2

let server: Server

before(async () => {
  server = await startServer({ shards: SHARDS, modules: ['test/harness/fault-service.ts'] })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

async function restarts(): Promise<number> {
  return (await server.metrics()).sum('polyloop_shard_restarts_total', { shard: 'acceptor' })
}

test('acceptor: a sessionOf that throws places the connection by its address, and harms nobody', async () => {
  using client = await LineClient.open({ port: server.port('fault.tcp') })
  assert.equal(await client.ask('throw-in-acceptor'), 'throw-in-acceptor')
  assert.equal(await restarts(), 0)
  const [line] = server.logged('net.session_of_failed')
  assert.deepEqual([line?.thread, line?.error], ['acceptor', 'thrown by sessionOf'])
})

test('acceptor: after a crash open connections go on, and all listeners are back on their ports', async () => {
  using tcp = await LineClient.open({ port: server.port('echo.tcp') })
  const first = /^\[Conn (\d+)\]/.exec((await tcp.ask('one')) ?? '')?.[1]
  using load = await NumberedEcho.open(server.url('echo.ws', `/?session=${sessionOn(0, SHARDS, 'echo')}`))
  await waitUntil('the load runs', () => load.received > 100)

  const crashing = await openSocket({ port: server.port('fault.tcp') })
  crashing.write('crash-acceptor')
  await waitUntil('the acceptor was replaced', async () => (await restarts()) === 1)
  crashing.destroy()
  const received = load.received
  assert.match((await tcp.ask('two')) ?? '', /two$/)
  await waitUntil('the load goes on', () => load.received > received + 100)

  // New connections: the kernel refuses them until the successor listens.
  const again = await waitUntil('a new connection', () =>
    LineClient.open({ port: server.port('echo.tcp') }).catch(() => undefined),
  )
  const second = /^\[Conn (\d+)\]/.exec((await within('an answer', again.ask('three'))) ?? '')?.[1]
  assert.ok(Number(second) > Number(first), 'numbers are not given twice')
  again[Symbol.dispose]()
  for (const shard of [0, 1]) {
    const url = server.url('echo.ws', `/?session=${sessionOn(shard, SHARDS, 'echo')}`)
    using other = await NumberedEcho.open(url)
    await waitUntil(`shard ${shard} is reached`, () => other.received > 10)
  }
  await load.stop()
  assert.equal(load.fault, undefined)

  const socket = createSocket('udp4')
  try {
    let answered = false
    socket.once('message', () => {
      answered = true
    })
    await waitUntil('a datagram returns', () => {
      socket.send('x', server.port('echo.udp'), '127.0.0.1')
      return answered
    })
  } finally {
    socket.close()
  }
  const metrics = await server.metrics()
  assert.equal(metrics.sum('polyloop_shard_restarts_total'), 1)
  assert.equal((await server.fetch('/ready')).status, 200)
})
