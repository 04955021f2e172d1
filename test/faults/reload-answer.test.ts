// Asks that are on their way while a reload moves both ends: no old thread ends before it has passed on its answers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { type Server, startServer } from '../harness/server.ts'

const ACTORS = 6
/** Asks of one actor at a time, and how long each takes; together less than `actor.askTimeout`. */
const ASKED = 3
const SLOW_MS = 400
const RELOADS = 2

async function migration(server: Server): Promise<string> {
  const { migration } = (await (await server.fetch('/api/v1/runtime')).json()) as { migration: { state: string } }
  return migration.state
}

test('reload: an answer that an old thread waits for reaches a connection that has moved', async () => {
  await using server = await startServer({
    shards: 2,
    modules: ['test/harness/store-service.ts'],
    settings: { 'services.keeper.tcp.port': 0, 'store.kind': 'memory' },
  })
  using client = await LineClient.open({ port: server.port('keeper.tcp') })
  // At any time each actor is in a handler and has more to do, which moves with it: the answers come from its new thread
  // to the one that the connection has left.
  const open = new Set<string>()
  let count = 0
  const say = (actor: string): void => {
    const word = `${actor}/${count++}`
    open.add(word)
    client.say(`${word} slow ${actor} ${SLOW_MS}`)
  }
  const hear = async (): Promise<string> => {
    const [word = '', text] = ((await client.next()) ?? '').split(' ')
    assert.ok(open.delete(word), word)
    assert.equal(text, `${SLOW_MS}`)
    return word.split('/')[0] ?? ''
  }
  for (let actor = 0; actor < ACTORS; actor++) for (let asked = 0; asked < ASKED; asked++) say(`a${actor}`)
  for (let reload = 0; reload < RELOADS; reload++) {
    assert.equal((await server.post('/api/v1/reload')).status, 202)
    do say(await hear())
    while ((await migration(server)) === 'moving')
  }
  while (open.size > 0) await hear()
})
