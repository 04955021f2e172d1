// A disk that is full under the load of chat: typed errors for whoever writes, nothing acked is lost, reading goes on, and
// when there is space again so does writing, without a restart.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { ChatCrowd } from '../harness/chat-crowd.ts'
import { SmallDisk } from '../harness/chat-disk.ts'
import { ackId, historyOf, messagePacket } from '../harness/chat-packet.ts'
import { ChatServer, createdId } from '../harness/chat-server.ts'
import { waitUntil } from '../harness/wait.ts'

const DISK_MIB = 24
const LEFT_BYTES = 1024 ** 2
const CLIENTS = 10
const CONTENT_BYTES = 3_000
const FULL = /^\{"message_id":0,"success":false,"error":"Ошибка БД: [^"]+"\}$/
const ROUNDS = 2

test('chat: a full disk is a typed error, loses nothing acked, and is over when there is space', async (context) => {
  const mounted = SmallDisk.mount(DISK_MIB)
  if (mounted === undefined) return context.skip('mounting a small file system needs root on Linux')
  using disk = mounted
  await using chat = await ChatServer.start({ settings: { 'store.path': join(disk.folder, 'chat.db') } })
  const { server } = chat
  const port = server.port('chat.tcp')
  const chatId = await chat.addChat('full')
  const padding = '.'.repeat(CONTENT_BYTES)
  using crowd = await ChatCrowd.open(CLIENTS, { port, chatId, name: 'm', window: 2, padding })
  for (let round = 0; round < ROUNDS; round++) {
    disk.fill(LEFT_BYTES)
    const refusedBefore = crowd.refused.length
    crowd.start()
    await waitUntil('the disk is full', () => crowd.refused.length > refusedBefore + CLIENTS)
    await crowd.stop()
    for (const line of crowd.refused) assert.match(line, FULL)
    // Nobody can write, by whichever way: what has room in the files as they are fills that, and then is refused too.
    using client = await chat.open()
    for (const [path, body, text] of [
      ['/api/chats/1/messages', { content: padding }, 'Ошибка при отправке сообщения'],
      ['/api/chats', { name: 'n'.repeat(255) }, 'Ошибка при создании чата'],
    ] as const) {
      const answer = await waitUntil(`${path} is refused`, async () => {
        disk.fill(0)
        const one = await chat.post(path, body)
        return one.status === 201 ? undefined : one
      })
      assert.deepEqual(
        [answer.status, answer.text],
        [500, JSON.stringify({ success: false, message: text, data: null })],
      )
    }
    // And everybody can read what was acked.
    crowd.assertKept(await historyOf(client, chatId))
    assert.equal((await historyOf(client, chatId)).length, crowd.ackCount, 'what was refused is not stored')
    disk.free()
    await waitUntil(
      'writing works again',
      async () => (await chat.post('/api/chats/1/messages', { content: 'x' })).status === 201,
    )
    ackId(await client.ask(messagePacket('after', 1)))
    createdId(await chat.post('/api/chats', { name: `after ${round}` }))
  }
  assert.equal(crowd.ends, 0, 'nobody was disconnected')
  assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total'), 0)
  const complaints = server.log.filter(
    ({ level, event }) => (level === 'error' || level === 'warn') && event.startsWith('store.'),
  )
  assert.ok(
    complaints.length > 0 && complaints.length < 100,
    `${complaints.length} lines say it, and do not flood the log`,
  )
  await chat.restart()
  using reader = await chat.open()
  crowd.assertKept(await historyOf(reader, chatId))
  assert.deepEqual(server.stray, [])
})
