// Reloads and changes of the shard count under load: nobody is disconnected, nothing is lost, repeated or reordered.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { MovingCrowd } from '../harness/moving-crowd.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const WEB_SOCKETS = 200
const STREAMS = 50
const RELOADS = 3
const SAY_MS = 200
const TICK_MS = 25
const ADDERS = 20
const MOVED_MS_MAX = 60_000

let server: Server

before(async () => {
  server = await startServer({
    shards: 2,
    modules: ['test/harness/moving-service.ts'],
    settings: { 'services.moving.permessageDeflate': true, 'actor.serialiseLocal': true },
  })
})

after(async () => {
  await server[Symbol.asyncDispose]()
  assert.deepEqual(server.stray, [])
})

async function moved(count: number): Promise<void> {
  await waitUntil(`move ${count} is done`, () => server.logged('runtime.move_done').length >= count, MOVED_MS_MAX)
  assert.deepEqual(server.logged('runtime.rollout_failed'), [])
}

async function post(path: string, body: object = {}): Promise<number> {
  const headers = { 'content-type': 'application/json' }
  return (await server.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).status
}

test('reload: connections, topics and actors live through reloads and other numbers of shards', async () => {
  using control = await WebSocketClient.open(server.url('moving.ws', '/?session=control'))
  const ask = async (text: string): Promise<string> => {
    control.send(text)
    for (;;) {
      const answer = (await control.next())?.data.toString() ?? 'closed'
      if (!answer.startsWith('t ')) return answer
    }
  }
  const crowd = await MovingCrowd.open(server, WEB_SOCKETS, STREAMS)
  try {
    assert.equal(await ask(`ticker ${TICK_MS}`), 'started')
    crowd.start(SAY_MS)
    await waitUntil('everybody hears ticks', () => crowd.tick > 0)
    const counts = new Array<number>(ADDERS).fill(0)
    let rounds = 0
    let stopped = false
    const adding = (async () => {
      while (!stopped) {
        for (let index = 0; index < ADDERS; index++) {
          const command = rounds % 7 === 0 && index % 5 === 0 ? `slowly c${index} 50` : `add c${index}`
          assert.equal(await ask(command), `count ${(counts[index] as number) + 1}`)
          counts[index] = (counts[index] as number) + 1
        }
        rounds++
      }
    })()
    let moves = 0
    for (let reload = 0; reload < RELOADS; reload++) {
      assert.equal(await post('/api/v1/reload'), 202)
      await moved(++moves)
    }
    for (const count of [1, 4, 2, 3]) {
      assert.equal(await post('/api/v1/shards', { count }), 202)
      await moved(++moves)
      assert.equal((await server.health()).shards.length, count)
    }
    stopped = true
    await adding
    assert.ok(rounds > 3)
    await waitUntil('every echo is back', () => crowd.isQuiet)
    const last = Number((await ask('last')).split(' ')[1])
    await waitUntil('everybody has heard the last tick', () => crowd.tick === last)
    assert.deepEqual(crowd.faults, [])
    assert.ok(crowd.echoes > 10 * crowd.members.length)

    const metrics = await server.metrics()
    assert.equal(metrics.sum('polyloop_shard_connections', { service: 'moving' }), WEB_SOCKETS + STREAMS + 1)
    assert.ok(metrics.sum('polyloop_migrations_total', { result: 'ok' }) > RELOADS * (WEB_SOCKETS + STREAMS))
    assert.equal(metrics.sum('polyloop_migrations_total', { result: 'failed' }), 0)
    assert.equal(metrics.sum('polyloop_net_closed_total'), 0)
    const of = (name: string): number => metrics.sum(`polyloop_topic_${name}`, { kind: 'ticks' })
    assert.equal(of('published_total'), of('delivered_total') + of('in_flight') + of('dropped_total'))
    assert.equal(of('dropped_total'), 0)
  } finally {
    crowd.close()
  }
})
