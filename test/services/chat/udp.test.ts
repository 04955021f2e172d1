import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SignJWT } from 'jose'
import type { DatagramPeer } from '../../../src/net/handler.ts'
import { udpHandler } from '../../../src/services/chat/udp.ts'
import { messagePacket, PING, packet } from '../../harness/chat-packet.ts'
import { TcpWorld, type TcpWorldOptions } from './tcp-world.ts'

const SECRET = 'a secret of at least 32 bytes, really'
const ONLINE = { user_id: 1, status_data: 'online' }

/** The UDP edge of one shard, beside the actors of a world. */
class UdpWorld extends TcpWorld {
  readonly answers: string[] = []
  isFull = false
  readonly #handler = udpHandler(this.edges[0])

  /** Handles datagrams, and all that follows. */
  async say(...payloads: readonly (string | Uint8Array)[]): Promise<void> {
    const peer: DatagramPeer = {
      address: '192.0.2.1',
      port: 5,
      session: 'peer:192.0.2.1:5',
      send: (payload) => !this.isFull && this.answers.push(Buffer.from(payload).toString()) > 0,
    }
    for (const payload of payloads) await this.#handler.datagram(peer, Buffer.from(payload))
    await this.actors.run()
  }

  async dropped(): Promise<Record<string, number>> {
    const family = (await this.metrics[0].collect()).find(({ name }) => name === 'polyloop_chat_udp_dropped_total')
    const counts = family?.values.map(({ labels, value }) => [String(labels.reason), value] as const) ?? []
    return Object.fromEntries(counts.filter(([, count]) => count > 0))
  }

  async online(): Promise<number[]> {
    const list = await this.actors.answerOf(this.actors.presence.ask('list', { after: 0 }))
    return list.map(({ userId }) => userId)
  }
}

test('chat udp: Ping gets four bytes, Status and Typing have their effect and no answer', async () => {
  await using world = new UdpWorld()
  await world.say(PING, `  ${PING}\n`, packet('Status', ONLINE), packet('Typing', { chat_id: 1, user_id: 1 }))
  assert.deepEqual(world.answers, ['pong', 'pong'])
  assert.deepEqual(await world.online(), [1])
  assert.equal(world.actors.takePublished().filter((line) => line.includes('"packet_type":"Typing"')).length, 1)
  assert.deepEqual(await world.dropped(), {})
})

test('chat udp: what is no packet, too long or of another type is dropped and counted', async () => {
  await using world = new UdpWorld()
  const long = packet('Ping', { x: 'x'.repeat(1_500 - packet('Ping', { x: '' }).length) })
  assert.equal(long.length, 1_500)
  await world.say(long, `${long} `)
  assert.deepEqual(world.answers, ['pong'])
  await world.say('', 'hello', '{bad}', PING + PING, '[]', packet('Status', { user_id: 'x' }), Buffer.of(0xff))
  await world.say(
    messagePacket('x'),
    packet('Subscribe', { chat_id: 1 }),
    packet('Ack'),
    packet('Nope'),
    packet('Auth'),
  )
  world.isFull = true
  await world.say(PING)
  assert.deepEqual(await world.dropped(), { invalid: 7, oversize: 1, unsupported: 5, overload: 1 })
  assert.deepEqual(world.actors.called, [])
})

test('chat udp: above the rate limit of an address datagrams are dropped', async () => {
  await using world = new UdpWorld({ config: { rateLimit: { rate: 1, burst: 2 } } })
  await world.say(PING, packet('Status', ONLINE), PING, packet('Status', ONLINE))
  assert.deepEqual([world.answers, await world.dropped()], [['pong'], { overload: 2 }])
})

test('chat udp: with authentication Status and Typing need the token of their user', async () => {
  const options: TcpWorldOptions = {
    config: { auth: 'jwt', jwt: { secret: SECRET }, rateLimit: { rate: 1, burst: 3 } },
  }
  await using world = new UdpWorld(options)
  world.actors.addUsers(1)
  const sign = (sub: string): Promise<string> =>
    new SignJWT({ sub }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET))
  const token = await sign('1')
  await world.say(PING, packet('Status', ONLINE), packet('Status', { ...ONLINE, token: 'x' }))
  await world.say(packet('Status', { ...ONLINE, user_id: 2, token }))
  assert.deepEqual([world.answers, await world.online(), await world.dropped()], [['pong'], [], { invalid: 3 }])
  // The address has used its tokens up; a user whose token is known has its own.
  await world.say(...Array.from({ length: 4 }, () => packet('Status', { ...ONLINE, token })))
  assert.deepEqual([await world.online(), await world.dropped()], [[1], { invalid: 3, overload: 1 }])
  await world.say(packet('Status', { ...ONLINE, user_id: 2, token: await sign('2') }))
  assert.deepEqual([await world.online(), await world.dropped()], [[1], { invalid: 3, overload: 2 }])
})

test('chat udp: whatever comes, at most four bytes go back', async () => {
  await using world = new UdpWorld()
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 1_600 }), fc.jsonValue(), async (bytes, value) => {
      await world.say(
        bytes,
        JSON.stringify(value),
        packet('Status', { user_id: value, status_data: value, token: value }),
      )
    }),
    { numRuns: 200 },
  )
  assert.deepEqual(world.answers, [])
})
