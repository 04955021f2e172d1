// Shards that die under the load of chat: their connections are lost and come back, an ask on its way gets a typed error,
// and what was acked stays.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ChatCrowd } from '../harness/chat-crowd.ts'
import { historyOf, PING, PONG, packet, subscribed } from '../harness/chat-packet.ts'
import { ChatServer, createdId } from '../harness/chat-server.ts'
import { waitUntil } from '../harness/wait.ts'

const SHARDS = 3
const CLIENTS = 30
const REFUSED = /^\{"message_id":0,"success":false,"error":"Ошибка БД: [^"]+"\}$/

let chat: ChatServer

before(async () => {
  chat = await ChatServer.start({ shards: SHARDS, settings: { 'shard.restartBackoff.max': '200ms' } })
})

after(async () => {
  await chat[Symbol.asyncDispose]()
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
  assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total'), SHARDS)
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
  const restarts = (await server.metrics()).sum('polyloop_shard_restarts_total')
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
  assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total'), restarts + SHARDS)
  using fresh = await chat.open()
  assert.equal(await fresh.ask(packet('Subscribe', { chat_id: chatId })), subscribed(chatId))
})
