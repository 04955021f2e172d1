import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TEXT } from '../../../src/services/chat/text.ts'
import {
  CHAT_UNKNOWN,
  DONE,
  FOREIGN_KEY,
  failure,
  messagePacket,
  PING,
  PONG,
  packet,
  subscribed,
} from '../../harness/chat-packet.ts'
import { LATE_MS } from './actor-world.ts'
import { TcpWorld } from './tcp-world.ts'

const ack = (id: number): string => `{"message_id":${id},"success":true,"error":null}`
const SUBSCRIBE = packet('Subscribe', { chat_id: 1 })
const PUSH = '{"packet_type":"Typing","chat_id":1,"user_id":9,"expires_in":5}'
const FEED = 'chat-feed.1'
const MINUTE_MS = 60_000

test('chat tcp: replies come in the order of requests, whatever takes how long', async () => {
  await using world = new TcpWorld()
  const { client, lines } = await world.open()
  world.actors.isHeld = true
  const sent =
    messagePacket('a') +
    PING +
    '{bad}' +
    packet('Ack') +
    messagePacket('b', 7) +
    packet('Nope') +
    'garbage\n' +
    packet('Status', { user_id: 1, status_data: 'online' }) +
    messagePacket('c') +
    PING
  client.write(sent)
  await world.settle(sent.length)
  assert.deepEqual(lines.all, [], 'the first waits for the disk, and all others for it')
  world.actors.isHeld = false
  const wanted = [
    ack(1),
    PONG,
    failure(TEXT.invalidJson),
    failure(FOREIGN_KEY),
    failure('unknown packet_type: Nope'),
    failure(TEXT.notAnObject),
    DONE,
    ack(2),
    PONG,
  ]
  await world.until('all is answered', () => lines.all.length === wanted.length)
  assert.deepEqual(lines.all, wanted)
  assert.equal(await world.count(0, 'polyloop_chat_acks_total', { result: 'ok' }), 2)
  assert.equal(await world.count(0, 'polyloop_chat_acks_total', { result: 'error' }), 1)
  assert.equal(await world.count(0, 'polyloop_chat_errors_total'), 4)
  assert.equal(await world.count(0, 'polyloop_chat_packets_total', { packet_type: 'SendMessage' }), 3)
})

test('chat tcp: a page waits for what was sent before it, and nothing behind it begins before it is there', async () => {
  await using world = new TcpWorld()
  const { client, lines, connection } = await world.open()
  client.write(messagePacket('opens the chat'))
  await world.until('one ACK', () => lines.all.length === 1)
  world.actors.takeCalled()
  world.actors.isHeld = true
  client.write(messagePacket('x') + packet('GetMessages', { chat_id: 1, per_page: 1, page: 2 }) + messagePacket('y'))
  await world.until('the message is sent', () => world.actors.called.length === 1)
  for (let round = 0; round < 3; round++) await world.step()
  assert.deepEqual([world.actors.takeCalled(), connection.paused], [['addMessage'], true])
  world.actors.isHeld = false
  await world.until('all is answered', () => lines.all.length === 4)
  assert.match(
    lines.all[2] ?? '',
    /"page":2,"per_page":1,"messages":\[\{"id":2,.*"content":"x".*\],"total":2,"total_pages":2,/,
  )
  assert.deepEqual([lines.all[1], lines.all[3]], [ack(2), ack(3)])
  assert.equal(connection.paused, false)
})

test('chat tcp: 128 requests are in progress, then reading pauses', async () => {
  await using world = new TcpWorld()
  const { client, lines, connection } = await world.open()
  client.write(messagePacket('opens the chat'))
  await world.until('one ACK', () => lines.all.length === 1)
  world.actors.takeCalled()
  world.actors.isHeld = true
  client.write(Array.from({ length: 300 }, (_, index) => messagePacket(`${index}`)).join('') + PING)
  await world.until('as many as may be are sent', () => world.actors.called.length >= 128)
  for (let round = 0; round < 3; round++) await world.step()
  assert.deepEqual([world.actors.takeCalled().length, connection.paused], [128, true])
  world.actors.isHeld = false
  await world.until('all is answered', () => lines.all.length === 302)
  assert.deepEqual(lines.all, [...Array.from({ length: 301 }, (_, index) => ack(index + 1)), PONG])
})

test('chat tcp: a push that comes while a message is unanswered comes behind its ACK, else at once', async () => {
  await using world = new TcpWorld()
  const { client, lines } = await world.open()
  client.write(SUBSCRIBE)
  await world.until('it is subscribed', () => lines.all.length === 1)
  world.deliver(FEED, `${PUSH}\n`)
  await world.until('the push is there', () => lines.all.length === 2)
  world.actors.isHeld = true
  client.write(messagePacket('own') + PING)
  await world.until('the message is sent', () => world.actors.called.includes('addMessage'))
  world.deliver(FEED, `${PUSH}\n`)
  for (let round = 0; round < 3; round++) await world.step()
  assert.deepEqual(lines.all, [subscribed(1), PUSH])
  world.actors.isHeld = false
  await world.until('all is there', () => lines.all.length === 6)
  const [, , first, second, third, own] = lines.all
  assert.deepEqual([first, second, third], [ack(1), PONG, PUSH])
  assert.match(own ?? '', /^\{"packet_type":"Message","chat_id":1,"message":\{"id":1,/)
})

test('chat tcp: more held pushes than the send buffer may have end in "subscriber too slow"', async () => {
  await using world = new TcpWorld({ limits: { sendBufferMaxBytes: 10 * PUSH.length } })
  const { client, lines, connection } = await world.open()
  client.write(SUBSCRIBE)
  await world.until('it is subscribed', () => lines.all.length === 1)
  world.actors.isHeld = true
  client.write(messagePacket('own'))
  await world.until('the message is sent', () => world.actors.called.includes('addMessage'))
  for (let push = 0; push < 9; push++) world.deliver(FEED, `${PUSH}\n`)
  assert.equal(connection.open, true)
  world.deliver(FEED, `${PUSH}\n`)
  assert.equal(connection.open, false)
  await world.until('the end', () => lines.ended)
  assert.deepEqual(lines.all, [subscribed(1), failure(TEXT.tooSlow)])
  client.end()
  await world.until('it is gone', () => world.net.size === 0)
  assert.equal(await world.count(0, 'polyloop_chat_subscriptions'), 0)
})

test('chat tcp: what closes is said behind what was asked before, and what comes after it is not heard', async () => {
  for (const [bad, error] of [
    [`{"a":"${'x'.repeat(65_536)}"}`, 'packet larger than 65536 bytes'],
    ['{', TEXT.incomplete],
  ] as const) {
    await using world = new TcpWorld()
    const { client, lines } = await world.open()
    world.actors.isHeld = true
    const sent = messagePacket('before') + bad
    if (error === TEXT.incomplete) client.end(sent)
    else client.end(sent + messagePacket('behind').repeat(1_000))
    await world.settle(sent.length)
    assert.deepEqual([lines.all, lines.ended], [[], false])
    world.actors.isHeld = false
    await world.until('the end', () => lines.ended)
    assert.deepEqual(lines.all, [ack(1), failure(error)])
    assert.equal(world.actors.takeCalled().filter((name) => name === 'addMessage').length, 1)
  }
})

test('chat tcp: a half-close between packets gets every reply first, also that of a barrier that waits', async () => {
  await using world = new TcpWorld()
  const { client, lines } = await world.open()
  world.actors.isHeld = true
  world.actors.engine.createChat({ name: 'other', type: 'group', creatorId: 1, participants: [] })
  client.end(`${messagePacket('last')}${packet('Subscribe', { chat_id: 2 })}${PING} \n`)
  for (let round = 0; round < 9; round++) await world.step()
  assert.equal(lines.ended, false)
  world.actors.isHeld = false
  await world.until('the end', () => lines.ended)
  assert.deepEqual(lines.all, [ack(1), subscribed(2), PONG])
})

test('chat tcp: a packet has 10 s from its first byte, garbage too, and no longer than that', async () => {
  for (const begin of ['{"packet_type', 'garbage']) {
    await using world = new TcpWorld()
    const { client, lines } = await world.open()
    client.write(PING.slice(0, 5))
    await world.settle(5)
    await world.pass(9_000)
    client.write(PING.slice(5) + begin)
    await world.settle(PING.length + begin.length)
    await world.pass(9_990)
    assert.equal(lines.all.includes(failure(TEXT.packetTimeout)), false, 'not early')
    await world.pass(10 + LATE_MS)
    await world.until('the end', () => lines.ended)
    const before = begin === 'garbage' ? [PONG, failure(TEXT.notAnObject)] : [PONG]
    assert.deepEqual(lines.all, [...before, failure(TEXT.packetTimeout)])
  }
})

test('chat tcp: a packet in pieces is not late while nobody reads it', async () => {
  await using world = new TcpWorld()
  const { client, lines, connection } = await world.open()
  client.write(PING.slice(0, 5))
  await world.settle(5)
  connection.pause()
  await world.pass(15_000)
  connection.state.writable()
  await world.pass(9_900)
  client.write(PING.slice(5))
  await world.until('the answer', () => lines.all.length === 1)
  assert.deepEqual(lines.all, [PONG])
})

test('chat tcp: who is silent is closed without a word, unless it has subscribed', async () => {
  await using world = new TcpWorld()
  const [silent, subscriber, left] = [await world.open(), await world.open(), await world.open()]
  subscriber.client.write(SUBSCRIBE)
  left.client.write(SUBSCRIBE + packet('Unsubscribe', { chat_id: 1 }))
  await world.until('answers', () => subscriber.lines.all.length + left.lines.all.length === 3)
  await world.pass(5 * MINUTE_MS + 2_200)
  await world.until('both are closed', () => silent.lines.ended && left.lines.ended)
  assert.deepEqual(silent.lines.all, [])
  assert.equal(subscriber.connection.open, true)
  assert.equal(await world.count(0, 'polyloop_chat_subscriptions'), 1)
})

test('chat tcp: Subscribe is answered when the topic has answered, and knows chats', async () => {
  await using world = new TcpWorld()
  const { client, lines, connection } = await world.open()
  world.topicAnswer = 'none'
  client.write(packet('Subscribe', { chat_id: 9 }) + SUBSCRIBE + SUBSCRIBE + PING)
  await world.until('the topic is asked', () => world.subscribers.has(FEED))
  await world.step()
  assert.deepEqual(lines.all, [failure(CHAT_UNKNOWN)])
  world.tell(connection, { type: 'subscribed', topic: FEED, epoch: 1, offset: 0, recovered: false, missed: 0 })
  await world.until('all is answered', () => lines.all.length === 4)
  assert.deepEqual(lines.all.slice(1), [subscribed(1), subscribed(1), PONG])
})

test('chat tcp: a topic that does not answer, or has no room, is an error, and later subscriptions work', async () => {
  await using world = new TcpWorld()
  const { client, lines } = await world.open()
  world.topicAnswer = 'none'
  client.write(SUBSCRIBE)
  await world.until('the topic is asked', () => world.subscribers.has(FEED))
  await world.pass(10_000 + LATE_MS)
  await world.until('an answer', () => lines.all.length === 1)
  assert.equal(world.subscribers.get(FEED)?.size, 0)
  world.topicAnswer = 'refused'
  client.write(SUBSCRIBE)
  await world.until('an answer', () => lines.all.length === 2)
  world.topicAnswer = 'subscribed'
  client.write(SUBSCRIBE)
  await world.until('an answer', () => lines.all.length === 3)
  assert.deepEqual(lines.all, [
    failure('Ошибка БД: no answer came before the deadline'),
    failure('too many subscriptions'),
    subscribed(1),
  ])
})

test('chat tcp: a subscription with a hole is said to be interrupted, and ends the connection', async () => {
  for (const event of [
    { type: 'gap', topic: FEED, epoch: 2, from: 1, to: 2, reason: 'epoch' },
    { type: 'refused', topic: FEED },
  ] as const) {
    await using world = new TcpWorld()
    const { client, lines, connection } = await world.open()
    client.write(SUBSCRIBE)
    await world.until('it is subscribed', () => lines.all.length === 1)
    world.tell(connection, event)
    world.tell(connection, event)
    await world.until('the end', () => lines.ended)
    assert.deepEqual(lines.all, [subscribed(1), failure('subscription interrupted')])
  }
})

test('chat tcp: 256 chats may be followed, one more when another is left', async () => {
  await using world = new TcpWorld()
  for (let chat = 2; chat <= 257; chat++)
    world.actors.engine.createChat({ name: `${chat}`, type: 'group', creatorId: 1, participants: [] })
  const { client, lines } = await world.open()
  const subscribe = (chat: number): string => packet('Subscribe', { chat_id: chat })
  for (let chat = 1; chat <= 257; chat++) client.write(subscribe(chat))
  client.write(packet('Unsubscribe', { chat_id: 3 }) + subscribe(257))
  await world.until('all is answered', () => lines.all.length === 259)
  const [refused, left, last] = lines.all.slice(256)
  assert.deepEqual(
    [refused, left, last],
    [failure('too many subscriptions'), subscribed(3, 'Unsubscribe'), subscribed(257)],
  )
  assert.equal(await world.count(0, 'polyloop_chat_subscriptions'), 256)
})

test('chat tcp: above the rate limit packets are refused, and served again later', async () => {
  await using world = new TcpWorld({ config: { rateLimit: { rate: 10, burst: 3 } } })
  const { client, lines } = await world.open()
  client.write(`${PING.repeat(2)}${messagePacket('x')}${messagePacket('y')}${packet('Ack')}garbage\n${PING}`)
  await world.until('all is answered', () => lines.all.length === 6)
  const limited = failure(TEXT.rateLimited)
  assert.deepEqual(lines.all, [PONG, PONG, ack(1), limited, limited, limited])
  await world.pass(101)
  client.write(PING)
  await world.until('it is served', () => lines.all.length === 7)
  assert.equal(lines.all[6], PONG)
})

test('chat tcp: what the store and its way fail with is said in the words of its error', async () => {
  await using world = new TcpWorld()
  const { client, lines } = await world.open()
  client.write(messagePacket('opens the chat'))
  await world.until('one ACK', () => lines.all.length === 1)
  world.actors.takeCalled()
  world.actors.isHeld = true
  client.write(messagePacket('lost'))
  await world.until('the message is sent', () => world.actors.called.length === 1)
  await world.actors.kill(false)
  world.actors.isHeld = false
  await world.until('an answer', () => lines.all.length === 2)
  assert.match(lines.all[1] ?? '', /^\{"message_id":0,"success":false,"error":"Ошибка БД: \S.*"\}$/)
  client.write(PING)
  await world.until('it goes on', () => lines.all.length === 3)
})
