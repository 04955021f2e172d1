// Reloads and other numbers of shards under the load of chat: every message is acked, in order, nobody is disconnected,
// and subscribers have no gap.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ChatCrowd } from '../harness/chat-crowd.ts'
import { DONE, historyOf, PONG, packet } from '../harness/chat-packet.ts'
import { ChatServer, createdId } from '../harness/chat-server.ts'
import { waitUntil } from '../harness/wait.ts'

const SENDERS = 20
const SUBSCRIBERS = 20
const MOVED_MS_MAX = 60_000

let chat: ChatServer

before(async () => {
  // On a busy machine reloads take longer than half a packet may, and a status holds.
  chat = await ChatServer.start({
    shards: 2,
    settings: { 'services.chat.packetTimeout': '60s', 'services.chat.presenceTtl': '10m' },
  })
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

test('chat: reloads and other numbers of shards lose no ACK, keep the order, and leave subscribers without a gap', async () => {
  const { server } = chat
  const chatId = await chat.addChat('moving')
  const port = server.port('chat.tcp')
  using senders = await ChatCrowd.open(SENDERS, { port, chatId, name: 's', window: 2, subscribes: true })
  using listeners = await ChatCrowd.open(SUBSCRIBERS, { port, chatId, name: 'l', window: 0, subscribes: true })
  // Half a packet waits through all of it, and a status is remembered.
  using half = await chat.open()
  assert.equal(await half.ask(packet('Status', { user_id: 1, status_data: 'здесь' })), DONE)
  half.socket.write('{"packet_type":"P')
  senders.start()
  let moves = 0
  let httpPosts = 0
  const move = async (path: string, body: object): Promise<void> => {
    const before = senders.ackCount
    await waitUntil('the load runs', () => senders.ackCount > before + SENDERS)
    const headers = { 'content-type': 'application/json' }
    const { status } = await server.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
    assert.equal(status, 202)
    moves++
    const isDone = async (): Promise<boolean> => {
      createdId(await chat.post('/api/chats/1/messages', { content: `${httpPosts++}` }))
      return server.logged('runtime.move_done').length >= moves
    }
    await waitUntil(`move ${moves} is done`, isDone, MOVED_MS_MAX)
    assert.deepEqual(server.logged('runtime.rollout_failed'), [])
  }
  await move('/api/v1/reload', {})
  half.socket.write('ing"}')
  assert.equal(await half.next(), PONG)
  for (const count of [1, 3]) await move('/api/v1/shards', { count })
  await senders.stop()
  const { text } = await chat.request('/api/presence')
  assert.match(text, /"user_id":1,"status_data":"здесь"/)
  using reader = await chat.open()
  const history = await historyOf(reader, chatId)
  senders.assertKept(history)
  assert.equal(history.length, senders.ackCount, 'each stored message was acked')
  assert.deepEqual([...senders.refused, ...listeners.faults], [])
  assert.equal(senders.ends + listeners.ends, 0, 'nobody was disconnected')
  const ids = history.map(({ id }) => id)
  for (const member of [...senders.members, ...listeners.members]) {
    await waitUntil(`${member.options.name} has all`, () => member.pushed.length >= ids.length)
    assert.deepEqual(
      member.pushed.map(({ id }) => id),
      ids,
      member.options.name,
    )
    assert.deepEqual(member.others, [])
    assert.equal(member.notices.length, 1, 'the status, and no end of it')
  }
  assert.deepEqual(
    (await historyOf(reader, 1)).map(({ content }) => content),
    Array.from({ length: httpPosts }, (_, index) => `${index}`),
  )
  const metrics = await server.metrics()
  assert.equal(metrics.sum('polyloop_migrations_total', { result: 'failed' }), 0)
})
