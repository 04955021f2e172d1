// What the hub says of subscribers, when shards die: those of the dead are not counted any more, and the others still are.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HubServer } from '../harness/hub-server.ts'
import { waitUntil } from '../harness/wait.ts'

test('hub counts: behind the death of a shard the counts are right again in a moment', async () => {
  await using hub = await HubServer.start()
  const { length: shards } = (await hub.server.health()).shards
  let clients = await Promise.all(Array.from({ length: 8 }, () => hub.enter()))
  await Promise.all(clients.map((client) => client.subscribe('status')))
  const told = async (): Promise<unknown> => {
    // Whoever is to answer may be the one that dies.
    const answer = await hub.fetch('/api/v1/websocket/channels/status').catch(() => undefined)
    return ((await answer?.json().catch(() => undefined)) as { readonly subscribers: unknown } | undefined)?.subscribers
  }
  await waitUntil('all are counted', async () => (await told()) === 8)
  for (let victim = 0; victim < shards; victim++) {
    await hub.server.kill(victim)
    clients = await waitUntil('those who are left are counted', async () => {
      const count = await told()
      const left = clients.filter(({ socket }) => !socket.isOver)
      return left.length < clients.length && count === left.length && left
    })
  }
  assert.equal(clients.length, 0)
})
