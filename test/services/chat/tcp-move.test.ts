import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TEXT } from '../../../src/services/chat/text.ts'
import { failure, messagePacket, PING, PONG, packet, subscribed } from '../../harness/chat-packet.ts'
import { moved } from '../../net/move-fixture.ts'
import { LATE_MS } from './actor-world.ts'
import { TcpWorld } from './tcp-world.ts'

const FEED = 'chat-feed.1'
const PUSH = '{"packet_type":"Typing","chat_id":1,"user_id":9,"expires_in":5}'

test('chat tcp: a connection moves behind every byte, with its packet and its subscription', async () => {
  await using world = new TcpWorld()
  const { client, connection, lines } = await world.open()
  client.write(packet('Subscribe', { chat_id: 1 }))
  await world.until('it is subscribed', () => lines.all.length === 1)
  let one = connection
  const before = world.net.bytesIn
  const text = `${PING} garbage\n${messagePacket('ж"}')}{"packet`
  for (const [index, byte] of Buffer.from(text).entries()) {
    client.write(Buffer.of(byte))
    await world.settle(before + index + 1)
    one = (await moved(world.net, one as never)) as typeof one
  }
  world.deliver(FEED, `${PUSH}\n`)
  client.write('_type":"Ping"}')
  await world.until('all is answered', () => lines.all.length === 7)
  const [, pong, garbage, ack, own, push, last] = lines.all
  assert.deepEqual([pong, garbage, push, last], [PONG, failure(TEXT.notAnObject), PUSH, PONG])
  assert.match(ack ?? '', /^\{"message_id":1,"success":true/)
  assert.match(own ?? '', /"content":"ж\\"\}"/)
  const sums = async (name: string): Promise<number> => (await world.count(0, name)) + (await world.count(1, name))
  assert.deepEqual(
    [
      await sums('polyloop_chat_tcp_connections'),
      await sums('polyloop_chat_tcp_connections_total'),
      await sums('polyloop_chat_subscriptions'),
    ],
    [1, 1, 1],
  )
})

test('chat tcp: a connection with an open request stays until it is answered', async () => {
  await using world = new TcpWorld()
  const { client, connection, lines } = await world.open()
  world.actors.isHeld = true
  const sent = messagePacket('x')
  client.write(sent)
  await world.settle(sent.length)
  let drained = false
  connection.drain(60_000, () => {
    drained = true
  })
  for (let round = 0; round < 5; round++) await world.step()
  assert.deepEqual([drained, lines.all], [false, []])
  world.actors.isHeld = false
  await world.until('it may go', () => drained)
  assert.equal(lines.all.length, 1)
})

test('chat tcp: the time of a packet goes on where it was', async () => {
  await using world = new TcpWorld()
  const { client, connection, lines } = await world.open()
  client.write('{"a')
  await world.settle(3)
  await world.pass(6_000)
  await moved(world.net, connection as never)
  await world.pass(3_900)
  assert.deepEqual(lines.all, [])
  await world.pass(100 + LATE_MS)
  await world.until('the end', () => lines.ended)
  assert.deepEqual(lines.all, [failure(TEXT.packetTimeout)])
})

test('chat tcp: a subscriber that arrives may be silent, others may not', async () => {
  await using world = new TcpWorld()
  const [subscriber, other] = [await world.open(), await world.open()]
  subscriber.client.write(packet('Subscribe', { chat_id: 1 }))
  await world.until('it is subscribed', () => subscriber.lines.all.length === 1)
  const there = await moved(world.net, subscriber.connection as never)
  await moved(world.net, other.connection as never)
  await world.pass(302_300)
  await world.until('the end', () => other.lines.ended)
  assert.equal(there.open, true)
  assert.deepEqual(subscriber.lines.all, [subscribed(1)])
})
