// Shards, and the store's thread, that die under the load of chat: connections of a dead shard are lost and come back,
// what was on its way gets a typed error, and what was acked stays.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ChatCrowd } from '../harness/chat-crowd.ts'
import { historyOf, PING, PONG, packet, subscribed } from '../harness/chat-packet.ts'
import { ChatServer, createdId } from '../harness/chat-server.ts'
import { cause, threadFaults } from '../harness/thread-fault.ts'
import { waitUntil } from '../harness/wait.ts'

const SHARDS = 3
const CLIENTS = 30
const STORE_KILLS = 3
const REFUSED = /^\{"message_id":0,"success":false,"error":"Ошибка БД: [^"]+"\}$/

const folder = mkdtempSync(join(tmpdir(), 'polyloop-fault-'))
let chat: ChatServer

before(async () => {
  const settings = { 'shard.restartBackoff.max': '200ms' }
  chat = await ChatServer.start({ shards: SHARDS, settings, environment: threadFaults(folder) })
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
  assert.deepEqual(chat.server.stray, [])
})

test('chat: each shard killed under load, the one with the chat too: acked messages stay, errors are typed', async () => {
  const { server } = chat
  const chatId = await chat.addChat('crashing')
  const port = server.port('chat.tcp')
  using crowd = await ChatCrowd.open(CLIENTS, { port, chatId, name: 'c', window: 4, reconnects: true })
  crowd.start()
  for (let victim = 0; victim < SHARDS; victim++) {
    const ends = crowd.ends
    await server.kill(victim)
    await server.recovered(victim, 1)
    await waitUntil('its clients noticed', () => crowd.ends > ends)
    await waitUntil('all are back', () => crowd.members.every(({ isReady }) => isReady))
    // Everybody is served again, wherever the chat lives.
    const counts = crowd.members.map(({ acked }) => acked.size)
    await waitUntil('all are acked again', () =>
      crowd.members.every(({ acked }, index) => acked.size > (counts[index] ?? 0)),
    )
  }
  await crowd.stop()
  using reader = await chat.open()
  crowd.assertKept(await historyOf(reader, chatId))
  for (const line of crowd.refused) assert.match(line, REFUSED)
  for (let shard = 0; shard < SHARDS; shard++)
    assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total', { shard: `${shard}` }), 1)
})

test("chat: the store's thread killed under load: typed errors, nobody is disconnected, and later messages are acked", async () => {
  const { server } = chat
  const chatId = await chat.addChat('storeless')
  const port = server.port('chat.tcp')
  using crowd = await ChatCrowd.open(CLIENTS, { port, chatId, name: 'k', window: 4, subscribes: true })
  const restarts = async (): Promise<number> =>
    (await server.metrics()).sum('polyloop_shard_restarts_total', { shard: 'store' })
  crowd.start()
  for (let kill = 1; kill <= STORE_KILLS; kill++) {
    const before = crowd.ackCount
    await waitUntil('the load runs', () => crowd.ackCount > before + CLIENTS)
    cause(folder, 'store', 'kill')
    await waitUntil('it is replaced', async () => (await restarts()) === kill)
    const counts = crowd.members.map(({ acked }) => acked.size)
    await waitUntil('all are acked again', () =>
      crowd.members.every(({ acked }, index) => acked.size > (counts[index] ?? 0)),
    )
  }
  await crowd.stop()
  using reader = await chat.open()
  crowd.assertKept(await historyOf(reader, chatId))
  for (const line of crowd.refused) assert.match(line, REFUSED)
  assert.ok(crowd.refused.length > 0, 'somebody waited for an answer when it died')
  assert.equal(crowd.ends, 0)
  for (const { pushed, acked } of crowd.members) {
    const ids = new Set(pushed.map(({ id }) => id))
    for (const [content, id] of acked) assert.ok(ids.has(id), `${content} was acked, so it was pushed`)
  }
})

test('chat: a subscriber on another shard hears the chat again after its shard died', async () => {
  const { server } = chat
  const chatId = await chat.addChat('feed')
  // On every shard some: whichever dies, others stay.
  using listeners = await ChatCrowd.open(4 * SHARDS, {
    port: server.port('chat.tcp'),
    chatId,
    name: 'l',
    window: 0,
    subscribes: true,
    reconnects: true,
  })
  for (let victim = 0; victim < SHARDS; victim++) {
    await server.kill(victim)
    await server.recovered(victim, 2)
    await waitUntil('all are back', () => listeners.members.every(({ isReady }) => isReady))
    // The first ones after the crash may be missed by those whose feed died with the shard; the later ones not.
    await waitUntil('everybody hears the chat', async () => {
      const id = createdId(await chat.post(`/api/chats/${chatId}/messages`, { content: `after ${victim}` }))
      using own = await chat.open()
      assert.equal(await own.ask(PING), PONG)
      return listeners.members.every(({ pushed }) => (pushed.at(-1)?.id ?? 0) >= id - 3)
    })
  }
  assert.deepEqual(listeners.faults, [])
  using fresh = await chat.open()
  assert.equal(await fresh.ask(packet('Subscribe', { chat_id: chatId })), subscribed(chatId))
})
