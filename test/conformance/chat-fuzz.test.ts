// Whatever bytes come over TCP, UDP and HTTP: the answers are those of the protocol's page, the server stays alive, and
// nothing is left behind. A hundred thousand inputs are the soak's.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fuzzChat } from '../harness/chat-fuzz.ts'
import { ackId, messagePacket, PING, PONG } from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { paddedTo } from '../harness/chat-stream.ts'
import { waitUntil } from '../harness/wait.ts'

const INPUTS = Number(process.env.POLYLOOP_FUZZ_INPUTS ?? 2_000)
const SEED = Number(process.env.POLYLOOP_FUZZ_SEED ?? Date.now() % 1_000_000_000)
const WARM_UP = 500
const GLUED = 100
const DESCRIPTOR_SLACK = 4
/** Heaps of threads that have not collected yet; what a leak of every input would take is more. */
const GROWTH_BYTES_MAX = 96 * 1024 ** 2

let chat: ChatServer

before(async () => {
  chat = await ChatServer.start()
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

test(`chat: ${INPUTS} inputs get the documented answers and leave nothing behind (seed ${SEED})`, async (context) => {
  const { server } = chat
  await fuzzChat(chat, SEED, Math.min(WARM_UP, INPUTS))
  const before = { descriptors: server.descriptors(), bytes: server.rss() }
  const figures = await fuzzChat(chat, SEED + WARM_UP, Math.max(0, INPUTS - WARM_UP))
  for (const [name, value] of Object.entries(figures)) context.diagnostic(`${name}: ${value}`)
  const connections = async (): Promise<number> => (await server.metrics()).sum('polyloop_chat_tcp_connections')
  await waitUntil('all connections have ended', async () => (await connections()) === 0)
  await waitUntil('descriptors are back', () => server.descriptors() <= before.descriptors + DESCRIPTOR_SLACK)
  const grown = server.rss() - before.bytes
  assert.ok(grown <= GROWTH_BYTES_MAX, `${grown} bytes more`)
  const metrics = await server.metrics()
  assert.equal(metrics.sum('polyloop_shard_restarts_total'), 0)
  assert.equal(metrics.sum('polyloop_chat_subscriptions'), 0)
  assert.ok(await server.isHealthy())
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'error' || level === 'fatal'),
    [],
  )
})

test('chat: what a connection begins with is taken as it is, of whatever length', async () => {
  for (let bytes = 1_000; bytes <= 65_000; bytes += 4_000) {
    using client = await chat.open()
    client.socket.write(paddedTo(bytes))
    client.end()
    assert.equal(await client.next(), PONG, `${bytes} bytes`)
    assert.equal(await client.next(), undefined, `${bytes} bytes`)
  }
})

test('chat: packets glued by the hundred and cut anywhere are the same packets', async () => {
  using client = await chat.open()
  const request = Buffer.from(messagePacket('клей {"}').repeat(2) + PING)
  client.socket.write(Buffer.concat(Array.from({ length: GLUED }, () => request)))
  let last = 0
  for (let reply = 0; reply < 3 * GLUED; reply++) {
    const line = await client.next()
    if (reply % 3 === 2) {
      assert.equal(line, PONG)
      continue
    }
    const id = ackId(line)
    assert.ok(id > last)
    last = id
  }
  // One of the largest packets, cut where a receive buffer might end.
  const largest = paddedTo(65_536)
  for (const cut of [1, 4_096, 8_191, 8_192, 8_193, 32_768, 65_535]) {
    client.socket.write(largest.slice(0, cut))
    await new Promise((resolve) => setImmediate(resolve))
    client.socket.write(largest.slice(cut))
    assert.equal(await client.next(), PONG, `cut at ${cut}`)
  }
})
