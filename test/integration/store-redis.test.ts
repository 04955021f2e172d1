// Two runtimes that share a store on one Redis, as two hosts would: a page on any host shows what was acknowledged on any,
// and subscribers of a chat hear on all of them the same messages in the same order.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createRuntime, type Runtime } from '../../src/index.ts'
import { CapturedLog } from '../harness/captured-log.ts'
import { ackId, type ChatMessage, messagePacket, packet, subscribed } from '../harness/chat-packet.ts'
import { LineClient } from '../harness/line-client.ts'
import { MetricPage } from '../harness/metric-page.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { waitUntil } from '../harness/wait.ts'

const ROUNDS = 1_000
/** At a time, each with a chat of its own. */
const PAIRS = 5
const WRITERS = 6
const MESSAGES_EACH = 150

const log = new CapturedLog()
let redis: RedisServer
let hosts: readonly [Runtime, Runtime]

before(async () => {
  redis = await startRedis()
  hosts = await Promise.all([startHost(2), startHost(1)])
  for (const host of hosts) await waitUntil('it is connected', () => host.health().bridge?.status === 'connected')
})

after(async () => {
  await Promise.all((hosts ?? []).map((host) => host.close()))
  await redis[Symbol.asyncDispose]()
})

function startHost(shards: number): Promise<Runtime> {
  return createRuntime({
    shards,
    only: ['chat'],
    logStream: log,
    settings: {
      'admin.port': 0,
      'store.kind': 'redis',
      'bridge.redis.url': redis.url,
      'services.chat.http.port': 0,
      'services.chat.tcp.port': 0,
      'services.chat.udp.port': 0,
      'services.chat.rateLimit.rate': 0,
    },
  })
}

function portOf(host: Runtime, transport: 'tcp' | 'http'): number {
  return host.listeners.find((listener) => listener.transport === transport)?.port ?? 0
}

function open(host: Runtime): Promise<LineClient> {
  return LineClient.open({ port: portOf(host, 'tcp') })
}

async function post(host: Runtime, path: string, body: unknown): Promise<{ readonly id: number }> {
  const response = await fetch(`http://127.0.0.1:${portOf(host, 'http')}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  assert.equal(response.status, 201)
  return ((await response.json()) as { readonly data: { readonly id: number } }).data
}

function addChat(host: Runtime, name: string): Promise<{ readonly id: number }> {
  return post(host, '/api/chats', { name })
}

interface Page {
  readonly messages: readonly ChatMessage[]
  readonly total: number
}

async function pageOf(client: LineClient, chatId: number, page: number, perPage: number): Promise<Page> {
  const line = await client.ask(packet('GetMessages', { chat_id: chatId, page, per_page: perPage }))
  return JSON.parse(line ?? 'null') as Page
}

/** What a subscriber heard of a chat, until it has so many messages. */
async function heard(client: LineClient, count: number): Promise<[number, string][]> {
  const messages: [number, string][] = []
  while (messages.length < count) {
    const { packet_type, message } = JSON.parse((await client.next()) ?? 'null') as {
      readonly packet_type: string
      readonly message: ChatMessage
    }
    assert.equal(packet_type, 'Message')
    messages.push([message.id, message.content])
  }
  return messages
}

test(`hosts: what one acknowledged the other shows at once, ${ROUNDS} times`, async () => {
  await Promise.all(Array.from({ length: PAIRS }, () => talk(ROUNDS / PAIRS)))
})

async function talk(rounds: number): Promise<void> {
  const { id: chatId } = await addChat(hosts[0], 'at once')
  using ada = await open(hosts[0])
  using bob = await open(hosts[1])
  // Both have the chat in memory before the first message.
  for (const client of [ada, bob]) assert.equal((await pageOf(client, chatId, 1, 1)).total, 0)
  let lastId = 0
  for (let round = 1; round <= rounds; round++) {
    const [writer, reader] = round % 3 === 0 ? [bob, ada] : [ada, bob]
    const id = ackId(await writer.ask(messagePacket(`message ${round}`, chatId)))
    const { total, messages } = await pageOf(reader, chatId, round, 1)
    assert.deepEqual([total, messages[0]?.id, messages[0]?.content], [round, id, `message ${round}`])
    assert.ok(id > lastId)
    lastId = id
  }
  const pages = await Promise.all([ada, bob].map((client) => pageOf(client, chatId, 1, 200)))
  assert.deepEqual(pages[0], pages[1])
  assert.deepEqual(
    pages[0]?.messages.map(({ content }) => content),
    Array.from({ length: rounds }, (_, index) => `message ${index + 1}`),
  )
}

test('hosts: subscribers on both hear all messages of both, in the order of their ids', async () => {
  const { id: chatId } = await addChat(hosts[1], 'one order')
  const subscribers = await Promise.all([...hosts, ...hosts].map(open))
  for (const client of subscribers)
    assert.equal(await client.ask(packet('Subscribe', { chat_id: chatId })), subscribed(chatId))
  const acked = new Map<number, string>()
  const writers = await Promise.all(Array.from({ length: WRITERS }, (_, index) => open(hosts[index % 2] as Runtime)))
  const write = async (client: LineClient, name: number): Promise<void> => {
    const contents = Array.from({ length: MESSAGES_EACH }, (_, index) => `${name}/${index} "ж" \u{1F600}`)
    client.say(...contents.map((content) => messagePacket(content, chatId)))
    for (const content of contents) acked.set(ackId(await client.next()), content)
  }
  await Promise.all(writers.map(write))
  const expected = [...acked].toSorted(([one], [other]) => one - other)
  assert.equal(expected.length, WRITERS * MESSAGES_EACH)
  for (const client of subscribers) assert.deepEqual(await heard(client, expected.length), expected)
  // What is pushed is what a page shows.
  const [ada] = subscribers as [LineClient]
  const { messages } = await pageOf(ada, chatId, 1, 200)
  assert.deepEqual(
    messages.map(({ id, content }) => [id, content]),
    expected.slice(0, 200),
  )
  for (const client of [...subscribers, ...writers]) client[Symbol.dispose]()
})

test('hosts: typing and a status on one are pushed on the other; a message pushed is the message a page shows', async () => {
  const { id: chatId } = await addChat(hosts[0], 'gestures')
  using ada = await open(hosts[0])
  using bob = await open(hosts[1])
  assert.equal(await bob.ask(packet('Subscribe', { chat_id: chatId })), subscribed(chatId))
  await ada.ask(packet('Typing', { chat_id: chatId, user_id: 1 }))
  assert.equal(await bob.next(), `{"packet_type":"Typing","chat_id":${chatId},"user_id":1,"expires_in":5}`)
  await ada.ask(packet('Status', { user_id: 1, status_data: 'away' }))
  assert.equal(await bob.next(), '{"packet_type":"Status","user_id":1,"status_data":"away","expires_in":60}')
  ackId(await ada.ask(messagePacket('said', chatId)))
  const pushed = JSON.parse((await bob.next()) ?? 'null') as { readonly message: ChatMessage }
  assert.deepEqual([pushed.message], (await pageOf(bob, chatId, 1, 1)).messages)
})

test('hosts: chats and users made on one are there on the other', async () => {
  const { id: userId } = await post(hosts[0], '/api/users', { username: 'ada' })
  const { id: chatId } = await addChat(hosts[1], 'made elsewhere')
  using client = await open(hosts[0])
  ackId(await client.ask(messagePacket('hello', chatId, userId)))
  const unknown = await client.ask(messagePacket('hello', chatId, userId + 1))
  assert.equal(unknown, '{"message_id":0,"success":false,"error":"Ошибка БД: FOREIGN KEY constraint failed"}')
  const [page] = await Promise.all([pageOf(client, chatId, 1, 5)])
  assert.equal(page.total, 1)
})

test('hosts: there is no thread of the store; shards count their writes; the log says that Redis can lose them', async () => {
  for (const host of hosts) {
    const text = await host.metrics()
    assert.doesNotMatch(text, /shard="store"/)
    assert.ok(new MetricPage(text).sum('polyloop_store_commit_seconds_count') > ROUNDS / 4)
  }
  const [line] = log.logged('store.not_durable')
  assert.equal(line?.problem, 'appendonly is no: what was acknowledged is gone when Redis ends')
})

test('hosts: a server that came back without its last messages: no host goes on showing those', async () => {
  const { id: chatId } = await addChat(hosts[0], 'lost')
  const key = `{polyloop:store}:messages:${chatId}`
  using ada = await open(hosts[0])
  using bob = await open(hosts[1])
  const contents = async (client: LineClient): Promise<string[]> =>
    (await pageOf(client, chatId, 1, 9)).messages.map(({ content }) => content)
  ackId(await ada.ask(messagePacket('kept', chatId)))
  redis.command('COPY', key, `${key}:before`)
  for (const after of [1, 2, 3]) {
    for (let index = 0; index < 2; index++) ackId(await ada.ask(messagePacket('lost', chatId)))
    assert.deepEqual(await contents(ada), ['kept', 'lost', 'lost'])
    // As a replica that had not got them.
    redis.command('COPY', `${key}:before`, key, 'REPLACE')
    const stored = ['kept']
    for (let index = 0; index < after; index++) {
      ackId(await bob.ask(messagePacket(`new ${index}`, chatId)))
      stored.push(`new ${index}`)
    }
    // Fewer than it had seen, as many, and more.
    assert.deepEqual(await contents(ada), stored)
    assert.deepEqual(await contents(bob), stored)
    redis.command('COPY', `${key}:before`, key, 'REPLACE')
    assert.deepEqual(await contents(ada), ['kept'])
  }
})

test('hosts: a page anywhere, also one of which neither host has seen a part', async () => {
  const { id: chatId } = await addChat(hosts[0], 'long')
  using ada = await open(hosts[0])
  using bob = await open(hosts[1])
  const count = 450
  const all = Array.from({ length: count }, (_, index) => `${index + 1}`)
  assert.equal((await pageOf(bob, chatId, 1, 1)).total, 0)
  for (const part of [all.slice(0, 50), all.slice(50, 100), all.slice(100, 400), all.slice(400)]) {
    const [writer, reader] = Number(part[0]) % 100 === 1 ? [ada, bob] : [bob, ada]
    for (let from = 0; from < part.length; from += 50) {
      const batch = part.slice(from, from + 50)
      writer.say(...batch.map((content) => messagePacket(content, chatId)))
      for (const _ of batch) ackId(await writer.next())
    }
    const total = Number(part.at(-1))
    for (const perPage of [7, 64, 200]) {
      for (let page = Math.ceil(total / perPage) + 1; page >= 1; page--) {
        const shown = await pageOf(reader, chatId, page, perPage)
        assert.equal(shown.total, total)
        assert.deepEqual(
          shown.messages.map(({ content }) => content),
          all.slice((page - 1) * perPage, Math.min(page * perPage, total)),
        )
      }
    }
  }
})
