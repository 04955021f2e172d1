// Chat over UDP (C4, C15, C16): a pong of four bytes, presence and typing that show over HTTP, and silence that is counted
// for everything else.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ChatDatagram } from '../harness/chat-datagram.ts'
import { DONE, historyOf, messagePacket, PING, packet, subscribed } from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { waitUntil } from '../harness/wait.ts'

const PRESENCE_MS = 3_000
const TYPING_MS = 2_000
const DATAGRAM_BYTES_MAX = 1_500
const REASONS = ['invalid', 'oversize', 'unsupported', 'overload'] as const
type Dropped = Readonly<Record<(typeof REASONS)[number], number>>

let chat: ChatServer

before(async () => {
  chat = await ChatServer.start({
    settings: {
      'services.chat.presenceTtl': `${PRESENCE_MS}ms`,
      'services.chat.typingTtl': `${TYPING_MS}ms`,
    },
  })
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

interface Present {
  readonly user_id: number
  readonly status_data: string
  readonly updated_at: string
  readonly expires_in: number
}

async function listed<T>(path: string): Promise<T[]> {
  return (JSON.parse((await chat.request(path)).text) as { data: T[] }).data
}

async function statusOf(user: number): Promise<Present | undefined> {
  return (await listed<Present>('/api/presence')).find(({ user_id }) => user_id === user)
}

async function dropped(): Promise<Dropped> {
  const metrics = await chat.server.metrics()
  const of = (reason: string): number => metrics.sum('polyloop_chat_udp_dropped_total', { reason })
  return { invalid: of('invalid'), oversize: of('oversize'), unsupported: of('unsupported'), overload: of('overload') }
}

/** Sends these and a Ping behind them; the pong of the Ping has to be all that comes back. */
async function assertDropped(payloads: readonly (string | Buffer)[], reason: keyof Dropped): Promise<void> {
  using client = new ChatDatagram(chat.server.port('chat.udp'))
  const before = await dropped()
  for (const payload of payloads) await client.say(payload)
  await waitUntil(
    `all are dropped as ${reason}`,
    async () => (await dropped())[reason] >= before[reason] + payloads.length,
  )
  assert.deepEqual(await dropped(), { ...before, [reason]: before[reason] + payloads.length })
  await client.say(PING)
  await waitUntil('the pong', () => client.answers.length > 0)
  assert.deepEqual(
    client.answers.map((answer) => answer.toString()),
    ['pong'],
  )
}

test('chat udp: Ping gets the 4 bytes pong, over both address families (C4)', async () => {
  for (const host of ['127.0.0.1', '::1']) {
    using client = new ChatDatagram(chat.server.port('chat.udp'), host)
    // As nc sends it, with members nobody needs, and as long as a datagram may be.
    const longest = `{"packet_type":"Ping","x":""}`
    const requests = [PING, `${PING}\n`, ` \r\n${PING} `, packet('Ping', { user_id: 'x', message: null })]
    requests.push(longest.replace('""', `"${'x'.repeat(DATAGRAM_BYTES_MAX - longest.length)}"`))
    for (const [index, request] of requests.entries()) {
      await client.say(request)
      await waitUntil(`pong ${index}`, () => client.answers.length > index)
    }
    for (const answer of client.answers) assert.deepEqual([...answer], [...Buffer.from('pong')])
    assert.equal(client.answers.length, requests.length)
  }
})

test('chat udp: a Status shows in presence, is renewed, removed, and gone after its time (C15)', async () => {
  const users = [await chat.addUser('udp one'), await chat.addUser('udp two')]
  const [one = 0, two = 0] = users
  using client = new ChatDatagram(chat.server.port('chat.udp'))
  const say = (user: number, status: string): Promise<void> =>
    client.say(packet('Status', { user_id: user, status_data: status }))
  await say(one, 'online')
  const present = await waitUntil('the status shows', () => statusOf(one))
  assert.deepEqual(Object.keys(present), ['user_id', 'status_data', 'updated_at', 'expires_in'])
  assert.deepEqual([present.status_data, typeof present.updated_at], ['online', 'string'])
  assert.ok(present.expires_in >= 1 && present.expires_in <= PRESENCE_MS / 1000, `${present.expires_in}`)
  await say(two, 'away')
  await waitUntil('both show', async () => (await statusOf(two))?.status_data === 'away')
  const metrics = await chat.server.metrics()
  assert.ok(metrics.sum('polyloop_chat_presence_entries') >= 2)
  await say(two, 'offline')
  await waitUntil('one is removed', async () => (await statusOf(two)) === undefined)
  const renewedMs = performance.now()
  await say(one, 'online')
  await waitUntil('the other ends by itself', async () => (await statusOf(one)) === undefined)
  assert.ok(performance.now() - renewedMs >= PRESENCE_MS - 50, 'not before its time')
  assert.deepEqual(client.answers, [])
})

test('chat udp: Typing shows for its time and reaches subscribers, as Status does (C15)', async () => {
  const user = await chat.addUser('udp typist')
  const chatId = await chat.addChat('udp', [user])
  using subscriber = await chat.open()
  assert.equal(await subscriber.ask(packet('Subscribe', { chat_id: chatId })), subscribed(chatId))
  using client = new ChatDatagram(chat.server.port('chat.udp'))
  await client.say(packet('Typing', { chat_id: chatId, user_id: user }))
  const typedMs = performance.now()
  assert.equal(
    await subscriber.next(),
    `{"packet_type":"Typing","chat_id":${chatId},"user_id":${user},"expires_in":${TYPING_MS / 1000}}`,
  )
  const [typist] = await listed<{ user_id: number; expires_in: number }>(`/api/chats/${chatId}/typing`)
  assert.equal(typist?.user_id, user)
  assert.ok(typist.expires_in >= 1 && typist.expires_in <= TYPING_MS / 1000)
  await client.say(packet('Status', { user_id: user, status_data: 'online' }))
  assert.equal(
    await subscriber.next(),
    `{"packet_type":"Status","user_id":${user},"status_data":"online","expires_in":${PRESENCE_MS / 1000}}`,
  )
  await waitUntil('typing ends', async () => (await listed(`/api/chats/${chatId}/typing`)).length === 0)
  assert.ok(performance.now() - typedMs >= TYPING_MS - 50, 'not before its time')
  assert.deepEqual(client.answers, [])
})

test('chat udp: unknown users and chats are ignored without a word', async () => {
  using client = new ChatDatagram(chat.server.port('chat.udp'))
  await client.say(packet('Status', { user_id: 999, status_data: 'online' }))
  await client.say(packet('Typing', { chat_id: 999, user_id: 1 }))
  await client.say(packet('Typing', { chat_id: 1, user_id: 999 }))
  // Behind them in the same order, from the same peer: what shows is behind what never will.
  await client.say(packet('Status', { user_id: 1, status_data: 'known' }))
  await waitUntil('the known one shows', async () => (await statusOf(1))?.status_data === 'known')
  assert.equal(await statusOf(999), undefined)
  assert.deepEqual(await listed('/api/chats/1/typing'), [])
  using tcp = await chat.open()
  assert.equal(await tcp.ask(packet('Status', { user_id: 1, status_data: 'offline' })), DONE)
  assert.deepEqual(client.answers, [])
})

test('chat udp: what is too long, no valid packet or of another type is dropped and counted, never answered (C16)', async () => {
  const long = `{"packet_type":"Ping","x":"${'x'.repeat(DATAGRAM_BYTES_MAX)}"}`
  await assertDropped([`${long.slice(0, DATAGRAM_BYTES_MAX - 1)}"}`, long, Buffer.alloc(60_000, '{')], 'oversize')
  const illFormed = Buffer.concat([Buffer.from('{"packet_type":"Ping","x":"'), Buffer.of(0xff), Buffer.from('"}')])
  await assertDropped(
    [
      '',
      'x',
      '{',
      '{bad}',
      '[]',
      '"pong"',
      `${PING}${PING}`,
      `${PING}x`,
      illFormed,
      '\uFEFF{"packet_type":"Ping"}',
      '{}',
    ],
    'invalid',
  )
  await assertDropped(
    [
      packet('Status', { user_id: 1 }),
      packet('Status', { user_id: '1', status_data: 'x' }),
      packet('Status', { user_id: 1, status_data: 'x'.repeat(65) }),
      packet('Typing', { chat_id: 1 }),
      packet('Typing', { chat_id: 1.5, user_id: 1 }),
    ],
    'invalid',
  )
  await assertDropped(
    [
      messagePacket('by udp'),
      packet('GetMessages', { chat_id: 1 }),
      packet('Subscribe', { chat_id: 1 }),
      packet('Unsubscribe', { chat_id: 1 }),
      packet('Ack'),
    ],
    'unsupported',
  )
  using tcp = await chat.open()
  assert.deepEqual(await historyOf(tcp, 1), [], 'nothing of it is stored')
})
