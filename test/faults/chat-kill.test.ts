// Kill -9 of the whole process under the load of 50 TCP clients (C9), and SIGTERM under it (A8): an ACK is a promise that
// outlives the process. A hundred rounds are the soak's.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ChatCrowd } from '../harness/chat-crowd.ts'
import { killRounds } from '../harness/chat-kill.ts'
import { ackId, historyOf, messagePacket, packet, subscribed } from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { Random } from '../simulation/random.ts'

const ROUNDS = 5
const SEED = Number(process.env.POLYLOOP_CHAT_SEED ?? Date.now() % 1_000_000_000)
/** Fewer than may be in progress, in one segment. */
const PIPELINED = 100
const CLIENTS = 50

let chat: ChatServer

before(async () => {
  chat = await ChatServer.start()
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

test(`chat: killed ${ROUNDS} times under load, it has every acked message once, ids rise (seed ${SEED})`, async (context) => {
  const { acked, unacked } = await killRounds(chat, { rounds: ROUNDS, random: new Random(SEED) })
  assert.ok(acked > ROUNDS * CLIENTS)
  context.diagnostic(`${acked} acked, ${unacked} stored without one`)
})

test('chat: a message is there after a kill right behind its ACK, over TCP and HTTP (C9)', async () => {
  const chatId = await chat.addChat('one message')
  using client = await chat.open()
  const posted = await chat.post(`/api/chats/${chatId}/messages`, { content: 'by http' })
  const id = ackId(await client.ask(messagePacket('by tcp', chatId)))
  await chat.restart()
  using reader = await chat.open()
  assert.deepEqual(
    (await historyOf(reader, chatId)).map(({ content, id }) => [content, id]),
    [
      ['by http', (JSON.parse(posted.text) as { data: { id: number } }).data.id],
      ['by tcp', id],
    ],
  )
})

test('chat: SIGTERM under load finishes what is in progress, ends connections with FIN and exits with 0 (A8)', async () => {
  const chatId = await chat.addChat('last words')
  const port = chat.server.port('chat.tcp')
  using crowd = await ChatCrowd.open(CLIENTS, { port, chatId, name: 'm', window: 4 })
  using subscriber = await chat.open()
  assert.equal(await subscriber.ask(packet('Subscribe', { chat_id: 1 })), subscribed(1))
  using own = await chat.open()
  crowd.start()
  await waitUntil('the load runs', () => crowd.ackCount > CLIENTS)
  own.socket.write(Array.from({ length: PIPELINED }, (_, index) => messagePacket(`own-${index}`, 1)).join(''))
  const ids = [ackId(await own.next())]
  chat.server.signal('SIGTERM')
  // All of them came in one segment: the first ACK says that the rest is in progress.
  while (ids.length < PIPELINED) ids.push(ackId(await own.next()))
  assert.equal(await own.next(), undefined)
  for (const client of [own, subscriber]) {
    assert.equal(await within('FIN', client.ended), true)
    client.end()
  }
  // Members send on whatever the server does; for those that it does not read any more it owes no answer.
  for (const member of crowd.members) member.stop()
  await waitUntil('all connections end', () => crowd.ends === CLIENTS)
  assert.deepEqual(await within('the exit', chat.server.ended), { status: 0, signal: null })
  const pushed: number[] = []
  for (let line = await subscriber.next(); line !== undefined; line = await subscriber.next())
    pushed.push((JSON.parse(line) as { message: { id: number } }).message.id)
  // A subscriber has nothing in progress, so it may be let go before the last of them.
  assert.deepEqual(pushed, ids.slice(0, pushed.length))
  await chat.restart()
  using reader = await chat.open()
  crowd.assertKept(await historyOf(reader, chatId))
  assert.deepEqual(crowd.refused, [])
  assert.deepEqual(
    (await historyOf(reader, 1)).map(({ id }) => id),
    ids,
  )
})
