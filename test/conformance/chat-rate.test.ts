// The rate limit at its default, 50 a second and 200 at once per address (PROTOCOLS 3.8), over all transports together.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ChatDatagram } from '../harness/chat-datagram.ts'
import { failure, PING, PONG } from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import type { LineClient } from '../harness/line-client.ts'
import { pause, waitUntil } from '../harness/wait.ts'

const RATE = 50
const BURST = 200
const SENT = 400
const LIMITED = failure('rate limit exceeded')

let chat: ChatServer

before(async () => {
  chat = await ChatServer.start({
    settings: { 'services.chat.rateLimit.rate': RATE, 'services.chat.rateLimit.burst': BURST },
  })
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

/** Pings until one is refused again: the bucket is empty then. */
async function exhaust(client: LineClient): Promise<void> {
  await waitUntil('the bucket is empty', async () => (await client.ask(PING)) === LIMITED)
}

test('chat: of 400 packets sent at once the first 200 pass, and the connection stays open', async () => {
  const startMs = performance.now()
  using first = await chat.open()
  using second = await chat.open()
  for (const client of [first, second]) client.socket.write(PING.repeat(SENT / 2))
  const answers: (string | undefined)[] = []
  for (let reply = 0; reply < SENT / 2; reply++) answers.push(await first.next(), await second.next())
  const elapsedS = (performance.now() - startMs) / 1000
  const passed = answers.filter((line) => line === PONG).length
  assert.equal(answers.filter((line) => line === LIMITED).length, SENT - passed)
  assert.ok(
    passed >= BURST && passed <= BURST + Math.ceil(elapsedS * RATE) + 1,
    `${passed} of ${SENT} in ${elapsedS} s`,
  )
  // Another address has its own bucket.
  using other = await chat.open({ localAddress: '127.0.0.2' })
  assert.equal(await other.ask(PING), PONG)
  await pause(1_000 / RATE)
  await waitUntil('a token is back', async () => (await first.ask(PING)) === PONG)
})

test('chat: above the rate HTTP answers 429 with Retry-After', async () => {
  using client = await chat.open()
  const answer = await waitUntil('a request above the rate', async () => {
    await exhaust(client)
    const one = await chat.request('/api/chats')
    return one.status === 200 ? undefined : one
  })
  assert.equal(answer.status, 429)
  assert.match(answer.headers.get('retry-after') ?? '', /^[1-9]\d*$/)
  assert.deepEqual(JSON.parse(answer.text), { success: false, message: 'rate limit exceeded', data: null })
})

test('chat: above the rate datagrams are dropped and counted', async () => {
  using client = await chat.open()
  const dropped = async (): Promise<number> => (await chat.server.metrics()).sum('polyloop_chat_udp_dropped_total')
  const before = await dropped()
  using datagram = new ChatDatagram(chat.server.port('chat.udp'))
  let sent = 0
  await waitUntil('one is dropped', async () => {
    await exhaust(client)
    for (let index = 0; index < 5; index++) await datagram.say(PING)
    sent += 5
    return (await dropped()) > before
  })
  await waitUntil(
    'each is answered or counted',
    async () => datagram.answers.length + (await dropped()) - before === sent,
  )
})
