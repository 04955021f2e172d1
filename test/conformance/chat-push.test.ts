// What subscribers of a chat get (C14, PROTOCOLS 3.3 and 3.5): messages once and in id order on every shard, typing and
// status, the sender's ACK first, and an end with a word for those who do not read.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ChatCrowd } from '../harness/chat-crowd.ts'
import { ChatMember } from '../harness/chat-member.ts'
import {
  ackId,
  DONE,
  failure,
  historyOf,
  messagePacket,
  PING,
  PONG,
  packet,
  subscribed,
} from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import type { LineClient } from '../harness/line-client.ts'
import { pause, waitUntil, within } from '../harness/wait.ts'

const SHARDS = 4
const SUBSCRIBERS = 20
const SENDERS = 10
const MESSAGES = 3_000
const PRESENCE_MS = 2_000
const TYPING_MS = 1_000
const SEND_BUFFER = '256KiB'
/** So much that it fits neither the limit nor the kernel's buffers. */
const FLOOD_BYTES = 24 * 1024 * 1024
const CONTENT_BYTES = 3_900

let chat: ChatServer

before(async () => {
  chat = await ChatServer.start({
    shards: SHARDS,
    settings: {
      'services.chat.presenceTtl': `${PRESENCE_MS}ms`,
      'services.chat.typingTtl': `${TYPING_MS}ms`,
      'net.sendBuffer.high': '128KiB',
      'net.sendBuffer.max': SEND_BUFFER,
    },
  })
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

async function subscriberOf(...chatIds: readonly number[]): Promise<LineClient> {
  const client = await chat.open()
  for (const chatId of chatIds)
    assert.equal(await client.ask(packet('Subscribe', { chat_id: chatId })), subscribed(chatId))
  return client
}

test(`chat: ${SUBSCRIBERS} subscribers on ${SHARDS} shards get each message of ${SENDERS} senders once, in id order (C14)`, async () => {
  const chatId = await chat.addChat('crowd')
  const port = chat.server.port('chat.tcp')
  using listeners = await ChatCrowd.open(SUBSCRIBERS, { port, chatId, name: 'l', window: 0, subscribes: true })
  // Half of the senders listen as well: their own ACK has to come before the push, which members watch.
  using speakers = await ChatCrowd.open(SENDERS / 2, { port, chatId, name: 's', window: 8, subscribes: true })
  using others = await ChatCrowd.open(SENDERS / 2, { port, chatId, name: 'o', window: 8 })
  using strangers = await ChatCrowd.open(2, { port, chatId: 1, name: 'x', window: 0, subscribes: true })
  const metrics = await chat.server.metrics()
  for (let shard = 0; shard < SHARDS; shard++)
    assert.ok(metrics.sum('polyloop_shard_connections', { service: 'chat', shard: `${shard}` }) > 0, `shard ${shard}`)
  speakers.start()
  others.start()
  await waitUntil('enough is acked', () => speakers.ackCount + others.ackCount >= MESSAGES)
  await Promise.all([speakers.stop(), others.stop()])
  using reader = await chat.open()
  const history = await historyOf(reader, chatId)
  const members = new ChatCrowd([...listeners.members, ...speakers.members, ...others.members])
  members.assertKept(history)
  assert.deepEqual(members.refused, [])
  const ids = history.map(({ id }) => id)
  for (const member of [...listeners.members, ...speakers.members]) {
    await waitUntil(`${member.options.name} has all`, () => member.pushed.length >= ids.length)
    assert.deepEqual(
      member.pushed.map(({ id }) => id),
      ids,
    )
    assert.deepEqual(member.others, [])
  }
  for (const member of others.members) assert.deepEqual(member.pushed, [])
  for (const member of strangers.members) assert.deepEqual([...member.pushed, ...member.others], [])
})

test('chat: a push is the message as GetMessages has it, from whichever way it came, until Unsubscribe', async () => {
  const chatId = await chat.addChat('ways')
  using client = await subscriberOf(chatId)
  const sent = [messagePacket('tcp "}', chatId)]
  using sender = await chat.open()
  for (const request of sent) ackId(await sender.ask(request))
  const posted = await chat.post(`/api/chats/${chatId}/messages`, { content: 'http', message_type: 'image' })
  assert.equal(posted.status, 201)
  const history = await historyOf(sender, chatId)
  assert.deepEqual(
    history.map(({ content, message_type }) => [content, message_type]),
    [
      ['tcp "}', 'Text'],
      ['http', 'Image'],
    ],
  )
  for (const message of history) {
    const { id, chat_id, sender_id, content, message_type, created_at, is_edited, edited_at } = message
    const members = { id, chat_id, sender_id, content, message_type, created_at, is_edited, edited_at }
    assert.equal(await client.next(), JSON.stringify({ packet_type: 'Message', chat_id: chatId, message: members }))
  }
  assert.equal(await client.ask(packet('Unsubscribe', { chat_id: chatId })), subscribed(chatId, 'Unsubscribe'))
  ackId(await sender.ask(messagePacket('unheard', chatId)))
  ackId(await sender.ask(messagePacket('in another chat', 1)))
  // Without a subscription Unsubscribe is answered alike; and what a chat without subscribers got is never replayed.
  assert.equal(await client.ask(packet('Unsubscribe', { chat_id: chatId })), subscribed(chatId, 'Unsubscribe'))
  assert.equal(await client.ask(packet('Subscribe', { chat_id: chatId })), subscribed(chatId))
  ackId(await sender.ask(messagePacket('heard', chatId)))
  assert.match((await client.next()) ?? '', /"content":"heard"/)
  assert.equal(await client.ask(PING), PONG)
})

test('chat: one connection follows several chats, each in its own order', async () => {
  const chatIds = [await chat.addChat('one'), await chat.addChat('two'), await chat.addChat('three')]
  using client = await subscriberOf(...chatIds, chatIds[0] ?? 0)
  using sender = await chat.open()
  const rounds = 20
  for (let round = 0; round < rounds; round++)
    for (const chatId of chatIds) sender.socket.write(messagePacket(`${round}`, chatId))
  const seen = new Map(chatIds.map((chatId) => [chatId, [] as string[]]))
  for (let count = 0; count < rounds * chatIds.length; count++) {
    const push = JSON.parse((await client.next()) ?? 'null') as { chat_id: number; message: { content: string } }
    seen.get(push.chat_id)?.push(push.message.content)
  }
  for (const contents of seen.values())
    assert.deepEqual(
      contents,
      Array.from({ length: rounds }, (_, round) => `${round}`),
    )
  assert.equal(await client.ask(PING), PONG, 'repeating a subscription doubles nothing')
})

test('chat: typing is pushed at most once a second and user, shows over HTTP, and ends with a message or its time', async () => {
  const user = await chat.addUser('typist')
  const chatId = await chat.addChat('typing', [user])
  using client = await subscriberOf(chatId)
  using typist = await chat.open()
  const typing = packet('Typing', { chat_id: chatId, user_id: user })
  const typists = async (): Promise<string> => (await chat.request(`/api/chats/${chatId}/typing`)).text
  const nobody = '{"success":true,"message":null,"data":[]}'
  assert.equal(await typists(), nobody)
  for (let round = 0; round < 3; round++) assert.equal(await typist.ask(typing), DONE)
  const push = `{"packet_type":"Typing","chat_id":${chatId},"user_id":${user},"expires_in":${TYPING_MS / 1000}}`
  assert.equal(await client.next(), push)
  assert.equal(await typists(), `{"success":true,"message":null,"data":[{"user_id":${user},"expires_in":1}]}`)
  ackId(await typist.ask(messagePacket('typed', chatId, user)))
  assert.match((await client.next()) ?? '', /"content":"typed"/, 'one push of typing, then the message')
  assert.equal(await typists(), nobody)
  await pause(1_000) // the rate of pushes
  assert.equal(await typist.ask(typing), DONE)
  assert.equal(await client.next(), push)
  const startMs = performance.now()
  await waitUntil('typing ends by itself', async () => (await typists()) === nobody)
  assert.ok(performance.now() - startMs >= TYPING_MS - 100, 'not before its time')
  assert.equal(await client.ask(PING), PONG)
})

test('chat: a changed status, its removal and its end are pushed to the chats of the user, a renewal is not', async () => {
  const user = await chat.addUser('present')
  const chatId = await chat.addChat('presence', [user])
  const foreign = await chat.addChat('without the user')
  using client = await subscriberOf(chatId)
  using stranger = await subscriberOf(foreign)
  using own = await chat.open()
  const say = (status: string): Promise<string | undefined> =>
    own.ask(packet('Status', { user_id: user, status_data: status }))
  const push = (status: string, seconds: number): string =>
    JSON.stringify({ packet_type: 'Status', user_id: user, status_data: status, expires_in: seconds })
  assert.equal(await say('online'), DONE)
  assert.equal(await client.next(), push('online', PRESENCE_MS / 1000))
  assert.equal(await say('online'), DONE)
  assert.equal(await say('за компом "}'), DONE)
  assert.equal(await client.next(), push('за компом "}', PRESENCE_MS / 1000), 'no push of the renewal')
  assert.equal(await say('offline'), DONE)
  assert.equal(await client.next(), push('offline', 0))
  assert.equal(await say('away'), DONE)
  const startMs = performance.now()
  assert.equal(await client.next(), push('away', PRESENCE_MS / 1000))
  await pause(PRESENCE_MS / 2)
  assert.equal(await say('away'), DONE)
  assert.equal(await client.next(), push('offline', 0))
  assert.ok(performance.now() - startMs >= PRESENCE_MS * 1.5 - 100, 'the renewal held it')
  assert.equal(await client.ask(PING), PONG)
  assert.equal(await stranger.ask(PING), PONG, 'a chat without the user hears nothing')
})

test('chat: a subscriber that does not read gets "subscriber too slow" and EOF, and delays nobody', async () => {
  const chatId = await chat.addChat('flood')
  const port = chat.server.port('chat.tcp')
  using slow = new ChatMember({ port, chatId, name: 'slow', userId: 1, window: 0, subscribes: true })
  await waitUntil('it is subscribed', () => slow.isReady)
  slow.socket?.pause()
  using listeners = await ChatCrowd.open(4, { port, chatId, name: 'l', window: 0, subscribes: true })
  const padding = '.'.repeat(CONTENT_BYTES)
  using senders = await ChatCrowd.open(4, { port, chatId, name: 's', window: 16, padding })
  const tooSlow = async (): Promise<boolean> =>
    (await chat.server.metrics()).sum('polyloop_chat_errors_total', { reason: 'too_slow' }) > 0
  senders.start()
  const deadline = Math.ceil(FLOOD_BYTES / CONTENT_BYTES)
  await waitUntil(
    'it is given up',
    async () => {
      assert.ok(senders.ackCount < deadline * 2, `${senders.ackCount} messages fit into its buffers`)
      return tooSlow()
    },
    30_000,
  )
  slow.socket?.resume()
  await within(
    'its end',
    waitUntil('it ends', () => slow.ends === 1),
  )
  await senders.stop()
  assert.deepEqual(slow.others, [failure('subscriber too slow')])
  assert.deepEqual(slow.faults, [])
  using reader = await chat.open()
  const ids = (await historyOf(reader, chatId)).map(({ id }) => id)
  const seen = slow.pushed.map(({ id }) => id)
  assert.deepEqual(seen, ids.slice(0, seen.length), 'what it got has no gap')
  for (const member of listeners.members) {
    await waitUntil('the others have all', () => member.pushed.length >= ids.length)
    assert.deepEqual(
      member.pushed.map(({ id }) => id),
      ids,
    )
    assert.equal(member.ends, 0)
  }
  assert.deepEqual([...listeners.faults, ...senders.faults, ...senders.refused], [])
})
