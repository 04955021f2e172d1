// `chat.auth: jwt` over TCP, HTTP and UDP (PROTOCOLS 3.8): who has no token gets nothing, who has one is its subject and
// nobody else.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { after, before, test } from 'node:test'
import {
  ackId,
  CHAT_UNKNOWN,
  DONE,
  failure,
  historyOf,
  messagePacket,
  PING,
  PONG,
  packet,
  subscribed,
} from '../harness/chat-packet.ts'
import { ChatServer, createdId } from '../harness/chat-server.ts'
import { signToken } from '../harness/chat-token.ts'
import type { LineClient } from '../harness/line-client.ts'
import { waitUntil } from '../harness/wait.ts'

const SECRET = 'a secret of more than thirty-two bytes'
const REQUIRED = failure('authentication required')
const INVALID = failure('invalid token')
const MISMATCH = failure('sender_id does not match the token')
const REFUSED = '{"success":false,"message":"invalid token","data":null}'
/** An hour. */
const LATER_S = 3_600

let chat: ChatServer
let ann: number
let ben: number

before(async () => {
  chat = await ChatServer.start({ settings: { 'services.chat.auth': 'jwt', 'services.chat.jwt.secret': SECRET } })
  const headers = { authorization: `Bearer ${tokenOf(1)}` }
  ann = createdId(await chat.post('/api/users', { username: 'ann' }, headers))
  ben = createdId(await chat.post('/api/users', { username: 'ben' }, headers))
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

function tokenOf(user: number, claims: object = {}): string {
  return signToken({ secret: SECRET, claims: { sub: `${user}`, ...claims } })
}

function auth(token: unknown): string {
  return packet('Auth', { token })
}

async function openAs(user: number): Promise<LineClient> {
  const client = await chat.open()
  assert.equal(await client.ask(auth(tokenOf(user))), DONE)
  return client
}

function nowS(): number {
  return Math.floor(Date.now() / 1000)
}

/** Tokens that look right and are not. */
function badTokens(): string[] {
  const claims = { sub: '1' }
  const good = tokenOf(1)
  const [head = '', body = '', signature = ''] = good.split('.')
  return [
    '',
    'x',
    `${head}.${body}`,
    `${head}.${body}.`,
    `${head}.${body}.${signature.slice(0, -2)}AA`,
    `${good}.x`,
    signToken({ secret: 'another secret, thirty-two bytes long', claims }),
    signToken({ secret: SECRET, header: { alg: 'none' }, claims }),
    signToken({ secret: SECRET, header: { alg: 'HS512' }, claims }),
    tokenOf(1, { exp: nowS() - 60 }),
    tokenOf(1, { nbf: nowS() + 60 }),
    tokenOf(1, { token_type: 'refresh' }),
    ...['0', '-1', '1.5', 'admin', ' 1', '9007199254740993'].map((sub) =>
      signToken({ secret: SECRET, claims: { sub } }),
    ),
    signToken({ secret: SECRET, claims: {} }),
  ]
}

test('chat auth: over TCP anything but a good Auth first is an error and the end', async () => {
  for (const first of [PING, messagePacket('x'), packet('Ack'), packet('Status', { user_id: 1, status_data: 'x' })]) {
    using client = await chat.open()
    assert.equal(await client.ask(first), REQUIRED, first)
    assert.equal(await client.next(), undefined, first)
  }
  for (const token of [...badTokens(), null, undefined, 1, {}]) {
    using client = await chat.open()
    client.say(auth(token), PING)
    const line = await client.next()
    if (typeof token === 'string' && token !== '') assert.equal(line, INVALID, token)
    else assert.ok(line === INVALID || line === REQUIRED, `${line} for ${token}`)
    assert.equal(await client.next(), undefined, `${token}`)
  }
})

test('chat auth: good tokens open the connection, with leeway of 5 s and the claims that count', async () => {
  for (const claims of [
    {},
    { exp: nowS() + LATER_S, nbf: nowS() - LATER_S, token_type: 'access', role: 'viewer' },
    { exp: nowS() - 2 },
    { nbf: nowS() + 3 },
  ]) {
    using client = await chat.open()
    client.say(auth(tokenOf(1, claims)), PING)
    assert.equal(await client.next(), DONE)
    assert.equal(await client.next(), PONG)
  }
})

test('chat auth: the ids in packets are the subject, everything else stays an error and open', async () => {
  using client = await openAs(ann)
  ackId(await client.ask(messagePacket('as myself', 1, ann)))
  for (const request of [
    messagePacket('as somebody', 1, ben),
    messagePacket('as nobody', 1, 999),
    packet('Status', { user_id: ben, status_data: 'online' }),
    packet('Typing', { chat_id: 1, user_id: ben }),
  ])
    assert.equal(await client.ask(request), MISMATCH, request)
  assert.equal(await client.ask(packet('Status', { user_id: ann, status_data: 'online' })), DONE)
  assert.equal(await client.ask(packet('Typing', { chat_id: 1, user_id: ann })), DONE)
  assert.equal(await client.ask(packet('Subscribe', { chat_id: 1 })), subscribed(1))
  assert.equal(await client.ask(packet('Subscribe', { chat_id: 999 })), failure(CHAT_UNKNOWN))
  assert.ok((await historyOf(client, 1)).every(({ sender_id }) => sender_id === ann))
})

test('chat auth: over HTTP 401 without a token, and the acting user is its subject', async () => {
  for (const authorization of [undefined, 'Bearer', 'Basic eDp5', ...badTokens().map((token) => `Bearer ${token}`)]) {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
    for (const path of ['/api/chats', '/api/chats/1', '/api/chats/1/messages', '/api/presence']) {
      const { status, text } = await chat.request(path, { headers })
      assert.deepEqual([status, text], [401, REFUSED], `${path} ${authorization}`)
    }
    const posted = await chat.post('/api/chats/1/messages', { content: 'x' }, headers)
    assert.deepEqual([posted.status, posted.text], [401, REFUSED])
  }
  const headers = { authorization: `Bearer ${tokenOf(ben)}` }
  assert.equal((await chat.request('/api/chats', { headers })).text, '{"success":true,"message":null,"data":[]}')
  const chatId = createdId(await chat.post('/api/chats', { name: 'of ben' }, headers))
  createdId(await chat.post(`/api/chats/${chatId}/messages`, { content: 'of ben' }, headers))
  const list = JSON.parse((await chat.request('/api/chats', { headers })).text) as {
    data: { id: number; creator_id: number }[]
  }
  assert.deepEqual(
    list.data.map(({ id, creator_id }) => [id, creator_id]),
    [[chatId, ben]],
  )
  const { text } = await chat.request(`/api/chats/${chatId}/messages`, { headers })
  assert.equal((JSON.parse(text) as { data: { sender_id: number }[] }).data[0]?.sender_id, ben)
  // A subject that is no user of the store.
  const stranger = { authorization: `Bearer ${tokenOf(999)}` }
  const created = await chat.post('/api/chats', { name: 'x' }, stranger)
  assert.deepEqual(
    [created.status, JSON.parse(created.text)],
    [500, { success: false, message: 'Ошибка при создании чата', data: null }],
  )
  assert.equal((await chat.request('/health')).status, 200, 'health needs no token')
  assert.equal((await chat.request('/ready')).status, 200)
})

test('chat auth: over UDP Status and Typing need a token of the user, Ping needs none', async () => {
  const socket = createSocket('udp4')
  const answers: string[] = []
  socket.on('message', (payload) => answers.push(payload.toString()))
  const port = chat.server.port('chat.udp')
  const presence = async (): Promise<{ user_id: number; status_data: string }[]> => {
    const headers = { authorization: `Bearer ${tokenOf(1)}` }
    const { text } = await chat.request('/api/presence', { headers })
    return (JSON.parse(text) as { data: { user_id: number; status_data: string }[] }).data
  }
  const say = (request: string): Promise<void> =>
    new Promise((resolve, reject) =>
      socket.send(request, port, '127.0.0.1', (error) => (error === null ? resolve() : reject(error))),
    )
  const dropped = async (): Promise<number> => (await chat.server.metrics()).sum('polyloop_chat_udp_dropped_total')
  const before = await dropped()
  const status = { user_id: ben, status_data: 'udp' }
  try {
    await say(packet('Status', status))
    await say(packet('Status', { ...status, token: tokenOf(ann) }))
    await say(packet('Status', { ...status, token: 'x' }))
    await say(packet('Typing', { chat_id: 1, user_id: ben }))
    await waitUntil('all are dropped', async () => (await dropped()) === before + 4)
    await say(packet('Status', { ...status, token: tokenOf(ben) }))
    await waitUntil('the status shows', async () =>
      (await presence()).some((one) => one.user_id === ben && one.status_data === 'udp'),
    )
    await say(PING)
    await waitUntil('pong', () => answers.length > 0)
    assert.deepEqual(answers, ['pong'])
    assert.equal(await dropped(), before + 4)
  } finally {
    socket.close()
  }
})
