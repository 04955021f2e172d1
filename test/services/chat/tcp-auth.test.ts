import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SignJWT } from 'jose'
import { TEXT } from '../../../src/services/chat/text.ts'
import { DONE, failure, messagePacket, PING, PONG, packet } from '../../harness/chat-packet.ts'
import { moved } from '../../net/move-fixture.ts'
import { TcpWorld, type TcpWorldOptions } from './tcp-world.ts'

const SECRET = 'a secret of at least 32 bytes, really'
const OPTIONS: TcpWorldOptions = { config: { auth: 'jwt', jwt: { secret: SECRET } } }

function tokenOf(subject: string): Promise<string> {
  return new SignJWT({ sub: subject }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET))
}

async function auth(subject = '1'): Promise<string> {
  return packet('Auth', { token: await tokenOf(subject) })
}

test('chat tcp: with a token a connection is its user, and nobody else', async () => {
  await using world = new TcpWorld(OPTIONS)
  const { client, lines } = await world.open()
  const own = packet('Status', { user_id: 1, status_data: 'online' })
  const foreign = [
    messagePacket('x', 1, 2),
    packet('Status', { user_id: 2, status_data: 'online' }),
    packet('Typing', { chat_id: 1, user_id: 2 }),
  ]
  client.write((await auth()) + messagePacket('x') + foreign.join('') + own + PING)
  await world.until('all is answered', () => lines.all.length === 7)
  const mismatch = failure(TEXT.tokenMismatch)
  const ack = '{"message_id":1,"success":true,"error":null}'
  assert.deepEqual(lines.all, [DONE, ack, mismatch, mismatch, mismatch, DONE, PONG])
})

test('chat tcp: whatever else comes first closes, a bad token too', async () => {
  for (const first of [PING, messagePacket('x'), '{bad}', '{}', 'garbage\n', packet('Nope')]) {
    await using world = new TcpWorld(OPTIONS)
    const { client, lines } = await world.open()
    client.write(first + (await auth()) + PING)
    await world.until('the end', () => lines.ended)
    assert.deepEqual(lines.all, [failure(TEXT.authRequired)], first)
    assert.deepEqual(world.actors.called, [])
  }
  for (const bad of [
    packet('Auth'),
    packet('Auth', { token: 7 }),
    await auth('0'),
    await auth('ada'),
    await auth('1.0'),
  ]) {
    await using world = new TcpWorld(OPTIONS)
    const { client, lines } = await world.open()
    client.write(bad + PING)
    await world.until('the end', () => lines.ended)
    assert.deepEqual(lines.all, [failure(TEXT.tokenInvalid)], bad)
  }
})

test('chat tcp: the user moves along, and has a rate limit of its own', async () => {
  await using world = new TcpWorld({ config: { ...OPTIONS.config, rateLimit: { rate: 1, burst: 2 } } })
  const { client, connection, lines } = await world.open()
  client.write(await auth())
  await world.until('it is known', () => lines.all.length === 1)
  await moved(world.net, connection as never)
  client.write(PING.repeat(3))
  await world.until('all is answered', () => lines.all.length === 4)
  assert.deepEqual(lines.all, [DONE, PONG, PONG, failure(TEXT.rateLimited)])
})

test('chat tcp: without authentication Auth is a type like any other', async () => {
  await using world = new TcpWorld()
  const { client, lines } = await world.open()
  client.write((await auth()) + PING)
  await world.until('all is answered', () => lines.all.length === 2)
  assert.deepEqual(lines.all, [failure('unknown packet_type: Auth'), PONG])
})
