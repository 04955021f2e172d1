// Actors that call the store without waiting, while they move from thread to thread and the store stands still now and
// then: its rings fill from both of an actor's threads, and still it does the calls in the order in which they were made.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'
import { cause, threadFaults } from '../harness/thread-fault.ts'
import { waitUntil } from '../harness/wait.ts'

const ACTORS = 12
/** Numbers that each actor posts at a time, and how many of all may be on their way: less than `store.calls`. */
const POSTS = 20
const OUTSTANDING_MAX = 3_000
const PAGE = 1_000
/** The first moves all from the lower seats of the shards to the upper ones, the second back. */
const RELOADS = 2

async function ask(client: LineClient, line: string): Promise<string> {
  return ((await client.ask(`- ${line}`)) ?? '- nothing').slice('- '.length)
}

async function migration(server: Server): Promise<string> {
  const { migration } = (await (await server.fetch('/api/v1/runtime')).json()) as { migration: { state: string } }
  return migration.state
}

test('store: the calls of an actor stay in order while it moves; the thread stays the same', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-store-'))
  context.after(() => rmSync(folder, { recursive: true }))
  await using server = await startServer({
    shards: 2,
    modules: ['test/harness/store-service.ts'],
    settings: { 'services.keeper.tcp.port': 0, 'store.path': join(folder, 'store.db') },
    environment: threadFaults(folder),
  })
  using client = await LineClient.open({ port: server.port('keeper.tcp') })
  let last = 0
  let stored = 0
  const postAll = async (): Promise<void> => {
    // Not each time: the answer comes behind all that is on its way, and then nothing is.
    while (last * ACTORS - stored > OUTSTANDING_MAX) stored = Number(await ask(client, 'total all'))
    last += POSTS
    const names = Array.from({ length: ACTORS }, (_, actor) => `a${actor}`)
    client.say(...names.map((name) => `- post ${name} ${POSTS}`))
    for (const name of names) assert.equal(await client.next(), `- ${last}`, name)
  }
  for (let reload = 0; reload < RELOADS; reload++) {
    assert.equal((await server.post('/api/v1/reload')).status, 202)
    do {
      cause(folder, 'store', 'pause')
      await postAll()
    } while ((await migration(server)) === 'moving')
    await waitUntil('the move is over', async () => (await migration(server)) === 'idle', 30_000)
  }
  await waitUntil('all is stored', async () => (await ask(client, 'total all')) === `${last * ACTORS}`)
  const next = new Map<string, number>()
  for (let from = 1; from <= last * ACTORS; from += PAGE) {
    for (const content of (await ask(client, `page all ${from}`)).split(',')) {
      const [actor = '', number] = content.split(' ')
      const expected = next.get(actor) ?? 1
      assert.equal(Number(number), expected, `of actor ${actor}`)
      next.set(actor, expected + 1)
    }
  }
  assert.equal(next.size, ACTORS)
  assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total', { shard: 'store' }), 0)
})
