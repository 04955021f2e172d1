// The hub while Redis is away: sessions that end meanwhile are resumed, here at once and elsewhere when it is back, and a
// token that could not be kept voids none.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { HubClient } from '../harness/hub-client.ts'
import { HubCluster } from '../harness/hub-cluster.ts'
import type { HubServer } from '../harness/hub-server.ts'
import { waitUntil } from '../harness/wait.ts'

const AWAY = 'Failed to create reconnection token'

let cluster: HubCluster
before(async () => {
  cluster = await HubCluster.start(2, { rateLimits: 'get_reconnection_token=100000/100000' })
})
after(() => cluster[Symbol.asyncDispose]())

async function isBack(host: HubServer): Promise<void> {
  await waitUntil('Redis is back', async () => (await host.server.health()).status === 'healthy')
}

/** The second frame after a restore, if it was one. */
async function restored(client: HubClient): Promise<unknown> {
  return (await client.ask({ type: 'ping' })).type
}

test('hub outage: sessions that end while Redis is away are resumed here, and elsewhere when it is back', async () => {
  const [one, other] = cluster.pair
  const [here, there, asking] = [await one.enter(), await one.enter(), await one.enter()]
  const tokens = { here: await here.token(), there: await there.token() }
  const four: string[] = []
  while (four.length < 4) four.push(await asking.token())
  await cluster.redis.kill()
  await waitUntil('it is missed', async () => {
    const { message } = await asking.ask({ type: 'get_reconnection_token' })
    return message === AWAY
  })
  await here.leave()
  await there.leave()
  using back = await one.resume(tokens.here)
  assert.equal(await restored(back), 'session_restored')
  using again = await one.resume(tokens.here)
  assert.equal(await restored(again), 'pong', 'once')

  await cluster.redis.start()
  await Promise.all(cluster.hosts.map(isBack))
  await asking.leave()
  // The oldest of four: a fifth that was never given to anybody has not voided it.
  for (const token of [tokens.there, four[0] ?? '']) {
    await waitUntil('the bridge has it', async () => {
      using client = await other.resume(token)
      return (await restored(client)) === 'session_restored'
    })
  }
  using late = await other.resume(tokens.here)
  assert.equal(await restored(late), 'pong', 'what was resumed meanwhile stays used')
})
