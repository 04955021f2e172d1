// Sizes and times of chat over TCP (C5), the times shortened: what is too large, too late or too quiet gets its error
// line, and nothing gets it early. Also the option `autoCreateUsers`.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
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
import { openSocket, readAll } from '../harness/line-client.ts'
import { pause, waitUntil, within } from '../harness/wait.ts'

const PACKET_BYTES_MAX = 65_536
const PACKET_TIMEOUT_MS = 700
const IDLE_TIMEOUT_MS = 1_500
/** 250 ms are promised; the rest is for threads and the scheduler of a busy machine. */
const LATE_MS = 250 + 350

/** A page of about 400 kB. */
const PAGE_MESSAGES = 100
const LATE_PAGES = 60

const TOO_LARGE = failure('packet larger than 65536 bytes')
const TOO_LATE = failure('packet timeout')

let chat: ChatServer
let lateChat: number

before(async () => {
  chat = await ChatServer.start({
    settings: {
      'services.chat.packetTimeout': `${PACKET_TIMEOUT_MS}ms`,
      'services.chat.idleTimeout': `${IDLE_TIMEOUT_MS}ms`,
      'services.chat.autoCreateUsers': true,
    },
  })
  lateChat = await chat.addChat('late')
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

/** A Ping of exactly so many bytes. */
function pingOf(bytes: number): string {
  const bare = '{"packet_type":"Ping","x":""}'
  return bare.replace('""', `"${'x'.repeat(bytes - bare.length)}"`)
}

/** Sends without half-closing; answers all that comes until the server ends, and how long that took. */
async function untilEnd(
  ...segments: readonly string[]
): Promise<{ readonly text: string; readonly elapsedMs: number }> {
  const socket = await openSocket({ port: chat.server.port('chat.tcp') })
  const answer = readAll(socket)
  const startMs = performance.now()
  for (const segment of segments) socket.write(segment)
  const text = (await answer).toString()
  const elapsedMs = performance.now() - startMs
  socket.destroy()
  return { text, elapsedMs }
}

function assertInTime(elapsedMs: number, limitMs: number): void {
  assert.ok(elapsedMs >= limitMs - 1, `${elapsedMs} ms is not early for ${limitMs}`)
  assert.ok(elapsedMs <= limitMs + LATE_MS, `${elapsedMs} ms is not late for ${limitMs}`)
}

test('chat: a packet of 65 536 bytes is served, one byte more gets an error line and EOF (C5)', async () => {
  using client = await chat.open()
  assert.equal(await client.ask(pingOf(PACKET_BYTES_MAX)), PONG)
  client.socket.write(pingOf(PACKET_BYTES_MAX) + PING + pingOf(PACKET_BYTES_MAX))
  for (let reply = 0; reply < 3; reply++) assert.equal(await client.next(), PONG)
  assert.equal((await untilEnd(pingOf(PACKET_BYTES_MAX + 1))).text, `${TOO_LARGE}\n`)
  // What came before is answered, what comes behind is not, and the end is an end and no reset.
  const { text } = await untilEnd(messagePacket('before'), pingOf(PACKET_BYTES_MAX + 1), PING.repeat(20_000))
  assert.match(text, /^\{"message_id":[1-9]\d*,"success":true,"error":null\}\n/)
  assert.equal(text.slice(text.indexOf('\n') + 1), `${TOO_LARGE}\n`)
})

test('chat: an object that never ends, and garbage without a newline, end at the size limit', async () => {
  assert.equal((await untilEnd('{'.repeat(PACKET_BYTES_MAX + 1))).text, `${TOO_LARGE}\n`)
  assert.equal((await untilEnd(`{"${'\\"'.repeat(PACKET_BYTES_MAX / 2)}`)).text, `${TOO_LARGE}\n`)
  const garbage = failure('expected a JSON object')
  assert.equal((await untilEnd('g'.repeat(PACKET_BYTES_MAX + 10))).text, `${garbage}\n${TOO_LARGE}\n`)
  using client = await chat.open()
  client.socket.write(`${'g'.repeat(PACKET_BYTES_MAX - 10)}\n${PING}`)
  assert.equal(await client.next(), garbage)
  assert.equal(await client.next(), PONG)
})

test('chat: half a packet gets its error line and EOF at the timeout, counted from its first byte (C5)', async () => {
  using client = await chat.open()
  assert.equal(await client.ask(PING), PONG)
  const startMs = performance.now()
  // Bytes that arrive meanwhile buy no time.
  client.socket.write('{"packet_type":')
  await pause(PACKET_TIMEOUT_MS / 2)
  client.socket.write('"Pin')
  assert.equal(await client.next(), TOO_LATE)
  assertInTime(performance.now() - startMs, PACKET_TIMEOUT_MS)
  assert.equal(await within('the end', client.ended), true)
})

test('chat: the timeout counts for each packet anew, and for garbage without a newline', async () => {
  using client = await chat.open()
  for (let round = 0; round < 3; round++) {
    client.socket.write(PING.slice(0, 5))
    await pause(PACKET_TIMEOUT_MS / 2)
    client.socket.write(PING.slice(5))
    assert.equal(await client.next(), PONG)
  }
  const { text, elapsedMs } = await untilEnd('garbage')
  assert.equal(text, `${failure('expected a JSON object')}\n${TOO_LATE}\n`)
  assertInTime(elapsedMs, PACKET_TIMEOUT_MS)
})

test('chat: a silent connection is closed without a word, a subscriber stays', async () => {
  using subscriber = await chat.open()
  assert.equal(await subscriber.ask(packet('Subscribe', { chat_id: 1 })), subscribed(1))
  using left = await chat.open()
  assert.equal(await left.ask(packet('Subscribe', { chat_id: 1 })), subscribed(1))
  assert.equal(await left.ask(packet('Unsubscribe', { chat_id: 1 })), subscribed(1, 'Unsubscribe'))
  using client = await chat.open()
  await pause(IDLE_TIMEOUT_MS / 2)
  const sentMs = performance.now()
  assert.equal(await client.ask(PING), PONG)
  assert.equal(await client.next(), undefined)
  assertInTime(performance.now() - sentMs, IDLE_TIMEOUT_MS)
  assert.equal(await client.ended, true)
  assert.equal(await left.next(), undefined)
  await pause(IDLE_TIMEOUT_MS)
  assert.equal(subscriber.isOver, false)
  assert.equal(await subscriber.ask(PING), PONG)
})

test('chat: a client that reads late makes the server wait, loses nothing, and takes no memory (1.6)', async () => {
  using client = await chat.open()
  const content = 'x'.repeat(3_900)
  for (let round = 0; round < PAGE_MESSAGES; round++) client.socket.write(messagePacket(content, lateChat))
  for (let round = 0; round < PAGE_MESSAGES; round++) ackId(await client.next())
  using late = await chat.open()
  // Subscribers are not closed for their silence.
  assert.equal(await late.ask(packet('Subscribe', { chat_id: 1 })), subscribed(1))
  late.socket.pause()
  const page = packet('GetMessages', { chat_id: lateChat, per_page: PAGE_MESSAGES })
  late.socket.write(`${page}${PING}`.repeat(LATE_PAGES))
  const unsent = async (): Promise<number> => (await chat.server.metrics()).sum('polyloop_net_unsent_bytes')
  await waitUntil('replies wait', async () => (await unsent()) > 0)
  // All of them are many times as much.
  for (let look = 0; look < 10; look++) assert.ok((await unsent()) < 4 * 1024 ** 2, `${await unsent()} bytes wait`)
  using other = await chat.open()
  assert.equal(await other.ask(PING), PONG, 'nobody else waits')
  late.socket.resume()
  for (let reply = 0; reply < LATE_PAGES; reply++) {
    const line = (await late.next()) ?? ''
    assert.ok(line.length > PAGE_MESSAGES * content.length && line.endsWith('"success":true,"error":null}'), `${reply}`)
    assert.equal(await late.next(), PONG)
  }
})

test('chat: with autoCreateUsers an unknown sender is created, an unknown chat is not', async () => {
  using client = await chat.open()
  const id = ackId(await client.ask(messagePacket('from nowhere', 1, 77)))
  assert.equal((await historyOf(client, 1)).find((one) => one.id === id)?.sender_id, 77)
  assert.equal(await client.ask(packet('Status', { user_id: 77, status_data: 'online' })), DONE)
  assert.equal(
    await client.ask(messagePacket('to nowhere', 999, 77)),
    failure('Ошибка БД: FOREIGN KEY constraint failed'),
  )
})
