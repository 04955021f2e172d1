// Chat over HTTP (PROTOCOLS 3.6 and 1.5; C7, C10, C11, C17): every route with every documented status and exact bodies,
// on a fresh store.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ackId, CHAT_UNKNOWN, CONTENT_EMPTY, CONTENT_TOO_LONG, messagePacket } from '../harness/chat-packet.ts'
import { ChatServer, createdId, type HttpAnswer } from '../harness/chat-server.ts'
import { openSocket, readAll } from '../harness/line-client.ts'

const DATE = '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d'
const ORIGIN = 'https://chat.example'
const BODY_BYTES_MAX = 2 * 1024 * 1024
const HEAD_BYTES_MAX = 16 * 1024
const ROUTES = [
  ['GET', '/api/chats'],
  ['GET', '/api/chats/1'],
  ['GET', '/api/chats/1/messages'],
  ['GET', '/api/chats/1/typing'],
  ['GET', '/api/presence'],
  ['GET', '/health'],
  ['GET', '/ready'],
  ['GET', '/openapi.json'],
] as const

const METRICS = {
  tcp_connections: 'gauge',
  tcp_connections_total: 'counter',
  packets_total: 'counter',
  udp_dropped_total: 'counter',
  acks_total: 'counter',
  ack_latency_seconds: 'histogram',
  errors_total: 'counter',
  subscriptions: 'gauge',
  presence_entries: 'gauge',
  http_requests_total: 'counter',
}

let chat: ChatServer

before(async () => {
  chat = await ChatServer.start({ settings: { 'services.chat.corsOrigins': ORIGIN } })
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

function refusal(message: string): string {
  return JSON.stringify({ success: false, message, data: null })
}

function dataOf<T>({ text }: HttpAnswer): T {
  return (JSON.parse(text) as { readonly data: T }).data
}

/** A refusal in the envelope, whose words are the server's own. */
function assertRefused({ status, text }: HttpAnswer, expected: number): void {
  assert.equal(status, expected, text)
  assert.match(text, /^\{"success":false,"message":"[^"].*","data":null\}$/)
}

/** Whatever bytes make a request: what the server answers until its end. */
async function raw(request: string): Promise<string> {
  const socket = await openSocket({ port: chat.server.port('chat.http') })
  const answer = readAll(socket)
  socket.write(request)
  const text = (await answer).toString()
  socket.destroy()
  return text
}

// First, while the store is fresh.
test('chat http: a fresh store holds the chat General, byte for byte (C17)', async () => {
  const list = await chat.request('/api/chats')
  const general = `\\{"id":1,"name":"General","chat_type":"group","creator_id":1,"created_at":"(${DATE})","updated_at":"\\1","participants_count":1,"last_message":null\\}`
  assert.equal(list.status, 200)
  assert.match(list.headers.get('content-type') ?? '', /^application\/json/)
  assert.match(list.text, new RegExp(`^\\{"success":true,"message":null,"data":\\[${general}\\]\\}$`))
  const one = await chat.request('/api/chats/1')
  assert.equal(one.status, 200)
  assert.match(one.text, new RegExp(`^\\{"success":true,"message":null,"data":${general}\\}$`))
  const none = await chat.request('/api/chats/1/messages')
  assert.equal(none.text, '{"success":true,"data":[],"pagination":{"page":1,"per_page":50,"total":0,"total_pages":0}}')
  assert.equal((await chat.request('/api/chats/1/typing')).text, '{"success":true,"message":null,"data":[]}')
  assert.equal((await chat.request('/api/presence')).text, '{"success":true,"message":null,"data":[]}')
})

test('chat http: an id that names no chat is 404', async () => {
  for (const path of ['/api/chats/999', '/api/chats/999/typing']) {
    const { status, text } = await chat.request(path)
    assert.deepEqual([status, text], [404, refusal(CHAT_UNKNOWN)], path)
  }
  const sent = await chat.post('/api/chats/999/messages', { content: 'x' })
  assert.deepEqual([sent.status, sent.text], [404, refusal(CHAT_UNKNOWN)])
  for (const id of ['0', '-1', '1.5', 'abc', '1e3', '01x', '%31x', '9007199254740993', '99999999999999999999']) {
    assertRefused(await chat.request(`/api/chats/${id}`), 404)
    assertRefused(await chat.request(`/api/chats/${id}/messages`), 404)
    assertRefused(await chat.request(`/api/chats/${id}/typing`), 404)
    assertRefused(await chat.post(`/api/chats/${id}/messages`, { content: 'x' }), 404)
  }
  const unknown = await chat.request('/api/chats/999/messages?page=3&per_page=7')
  assert.equal(unknown.status, 200)
  assert.equal(
    unknown.text,
    '{"success":true,"data":[],"pagination":{"page":3,"per_page":7,"total":0,"total_pages":0}}',
  )
})

test('chat http: POST messages stores, types in any form, and the next read has it', async () => {
  const chatId = await chat.addChat('posts')
  const path = `/api/chats/${chatId}/messages`
  const bodies = [
    [{ content: 'Hello!', message_type: 'text' }, 'text'],
    [{ content: 'без типа' }, 'text'],
    [{ content: 'null', message_type: null }, 'text'],
    [{ content: 'unknown', message_type: 'hologram', more: 1 }, 'text'],
    [{ content: 'image', message_type: 'image' }, 'image'],
    [{ content: 'file', message_type: 'file' }, 'file'],
    [{ content: 'system "}\u2028', message_type: 'system' }, 'system'],
  ] as const
  const messages: string[] = []
  for (const [body, type] of bodies) {
    const answer = await chat.post(path, body)
    const id = createdId(answer)
    assert.equal(answer.text, `{"success":true,"message":"Сообщение отправлено","data":{"id":${id}}}`)
    const { text } = await chat.request(`${path}?per_page=1&page=${messages.length + 1}`)
    const [, date] = new RegExp(`"created_at":"(${DATE})"`).exec(text) ?? []
    const message = `{"id":${id},"chat_id":${chatId},"sender_id":1,"content":${JSON.stringify(body.content)},"message_type":"${type}","created_at":"${date}","is_edited":false,"edited_at":null}`
    const total = messages.push(message)
    assert.equal(
      text,
      `{"success":true,"data":[${message}],"pagination":{"page":${total},"per_page":1,"total":${total},"total_pages":${total}}}`,
    )
    const one = await chat.request(`/api/chats/${chatId}`)
    assert.ok(one.text.endsWith(`"updated_at":"${date}","participants_count":1,"last_message":${message}}}`), one.text)
  }
  const whole = await chat.request(path)
  assert.equal(
    whole.text,
    `{"success":true,"data":[${messages.join(',')}],"pagination":{"page":1,"per_page":50,"total":${messages.length},"total_pages":1}}`,
  )
})

test('chat http: content of 1 to 4000 bytes, refused with the texts of TCP (C7)', async () => {
  const path = '/api/chats/1/messages'
  for (const content of ['x', 'x'.repeat(4000), 'ж'.repeat(2000)]) createdId(await chat.post(path, { content }))
  for (const [content, text] of [
    ['', CONTENT_EMPTY],
    ['x'.repeat(4001), CONTENT_TOO_LONG],
    [`${'ж'.repeat(2000)}x`, CONTENT_TOO_LONG],
    ['x'.repeat(1_000_000), CONTENT_TOO_LONG],
  ] as const) {
    const answer = await chat.post(path, { content })
    assert.deepEqual([answer.status, answer.text], [400, refusal(text)])
  }
  for (const body of [{}, { content: null }, { content: 1 }, { content: ['x'] }, [], 1, '"x"', 'null'])
    assertRefused(await chat.post(path, body), 400)
})

test('chat http: pages as on TCP; below 1 or no integer is 400, above 200 is served as 200 (C10, C11)', async () => {
  const path = '/api/chats/1/messages'
  for (const query of [
    'page=0',
    'page=-1',
    'page=1.5',
    'page=x',
    'page=',
    'per_page=0',
    'per_page=-5',
    'per_page=2e0x',
    'per_page=',
  ])
    assertRefused(await chat.request(`${path}?${query}`), 400)
  const { text } = await chat.request(`${path}?per_page=1000`)
  const { pagination } = JSON.parse(text) as { pagination: { per_page: number } }
  assert.equal(pagination.per_page, 200)
  const late = await chat.request(`${path}?page=9007199254740991&per_page=200`)
  assert.deepEqual(dataOf(late), [])
})

test('chat http: POST chats: types, participants, skipped ones, and the order of the list', async () => {
  const members = [await chat.addUser('ann'), await chat.addUser('ben')]
  const created = await chat.post('/api/chats', { name: 'Команда', chat_type: 'channel', participants: members })
  const id = createdId(created)
  assert.equal(created.text, `{"success":true,"message":"Чат успешно создан","data":{"id":${id}}}`)
  const one = await chat.request(`/api/chats/${id}`)
  assert.match(
    one.text,
    new RegExp(
      `^\\{"success":true,"message":null,"data":\\{"id":${id},"name":"Команда","chat_type":"channel","creator_id":1,"created_at":"(${DATE})","updated_at":"\\1","participants_count":3,"last_message":null\\}\\}$`,
    ),
  )
  const odd = await chat.post('/api/chats', { name: 'x', participants: [members[0], 12_345, 1, members[0], 12_346] })
  assert.deepEqual(dataOf(odd), { id: createdId(odd), skipped: [12_345, 12_346] })
  const counted = dataOf<{ participants_count: number }>(await chat.request(`/api/chats/${createdId(odd)}`))
  assert.equal(counted.participants_count, 2)
  for (const [type, stored] of [
    ['direct', 'direct'],
    ['group', 'group'],
    ['nonsense', 'group'],
    [null, 'group'],
    [undefined, 'group'],
  ] as const) {
    const chatId = createdId(
      await chat.post('/api/chats', { name: 'n'.repeat(255), chat_type: type, participants: null }),
    )
    assert.equal(dataOf<{ chat_type: string }>(await chat.request(`/api/chats/${chatId}`)).chat_type, stored)
  }
  const bodies = [
    {},
    { name: null },
    { name: '' },
    { name: 'n'.repeat(256) },
    { name: 'ж'.repeat(128) },
    { name: 7 },
    { name: 'x', participants: 1 },
    { name: 'x', participants: ['1'] },
    { name: 'x', participants: [1.5] },
  ]
  for (const body of bodies) assertRefused(await chat.post('/api/chats', body), 400)
  using client = await chat.open()
  ackId(await client.ask(messagePacket('makes it the latest', id)))
  const list = dataOf<{ id: number; updated_at: string }[]>(await chat.request('/api/chats'))
  const dates = list.map(({ updated_at }) => updated_at)
  assert.deepEqual(dates, dates.toSorted().reverse())
  const latest = list.filter(({ updated_at }) => updated_at === dates[0])
  assert.ok(latest.some((one) => one.id === id))
})

test('chat http: POST users: 201, 400, 409', async () => {
  const created = await chat.post('/api/users', { username: 'carol' })
  const id = createdId(created)
  assert.match(created.text, new RegExp(`^\\{"success":true,"message":(null|"[^"]+"),"data":\\{"id":${id}\\}\\}$`))
  assertRefused(await chat.post('/api/users', { username: 'carol' }), 409)
  createdId(await chat.post('/api/users', { username: 'ж'.repeat(32) }))
  for (const body of [
    {},
    { username: '' },
    { username: 'x'.repeat(65) },
    { username: 'ж'.repeat(33) },
    { username: 1 },
    [],
  ])
    assertRefused(await chat.post('/api/users', body), 400)
})

test('chat http: bodies: not JSON, not UTF-8, of another type, too large', async () => {
  for (const path of ['/api/chats', '/api/chats/1/messages', '/api/users']) {
    for (const body of ['{bad}', '', '{"content":"x"', '\uFEFF{}', '{"content":"\t"}']) {
      const answer = await chat.post(path, body)
      assert.deepEqual([answer.status, answer.text], [400, refusal('invalid JSON')], `${path} ${body}`)
    }
    const broken = Buffer.concat([Buffer.from('{"content":"'), Buffer.of(0xff), Buffer.from('"}')])
    const headers = { 'content-type': 'application/json' }
    const answer = await chat.request(path, { method: 'POST', headers, body: broken })
    assert.deepEqual([answer.status, answer.text], [400, refusal('invalid JSON')], path)
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml'])
      assertRefused(await chat.post(path, '{}', { 'content-type': type }), 415)
    const filler = 'x'.repeat(BODY_BYTES_MAX - '{"content":""}'.length)
    assert.equal((await chat.post(path, `{"content":"${filler}"}`)).status, 400, 'exactly 2 MiB')
    assertRefused(await chat.post(path, `{"content":"${filler}y"}`), 413)
  }
  createdId(
    await chat.post('/api/chats/1/messages', { content: 'x' }, { 'content-type': 'application/json; charset=utf-8' }),
  )
})

test('chat http: unknown paths are 404, other methods 405 with Allow, HEAD works where GET does', async () => {
  for (const path of ['/', '/api', '/api/nothing', '/api/chats/1/nothing', '/api/chats/1/messages/1'])
    assertRefused(await chat.request(path), 404)
  for (const [path, allowed] of [
    ['/api/chats', ['GET', 'HEAD', 'POST']],
    ['/api/chats/1', ['GET', 'HEAD']],
    ['/api/chats/1/messages', ['GET', 'HEAD', 'POST']],
    ['/api/chats/1/typing', ['GET', 'HEAD']],
    ['/api/presence', ['GET', 'HEAD']],
    ['/api/users', ['POST']],
  ] as const) {
    for (const method of ['PUT', 'DELETE', 'PATCH']) {
      const answer = await chat.request(path, { method })
      assertRefused(answer, 405)
      const allow = (answer.headers.get('allow') ?? '').split(/, */).filter((name) => name !== 'OPTIONS')
      assert.deepEqual(allow.toSorted(), allowed, path)
    }
  }
  assertRefused(await chat.request('/api/users'), 405)
  for (const [, path] of ROUTES) {
    const [head, get] = [await chat.request(path, { method: 'HEAD' }), await chat.request(path)]
    assert.deepEqual([head.status, head.text], [get.status, ''], path)
    assert.equal(get.status, 200, path)
  }
})

test('chat http: a head over 16 KiB is 431, garbage is 400, and many requests share a connection', async () => {
  const padding = 'x'.repeat(HEAD_BYTES_MAX)
  assert.match(await raw(`GET /api/chats HTTP/1.1\r\nHost: x\r\nX-Long: ${padding}\r\n\r\n`), /^HTTP\/1\.1 431 /)
  assert.match(await raw('NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 /)
  const request = 'GET /api/presence HTTP/1.1\r\nHost: x\r\n'
  const answers = await raw(`${`${request}\r\n`.repeat(49)}${request}Connection: close\r\n\r\n`)
  assert.equal(answers.match(/HTTP\/1\.1 200 OK\r\n/g)?.length, 50)
})

test('chat http: CORS headers go to the origins of corsOrigins and to nobody else', async () => {
  const path = '/api/chats'
  const allowed = await chat.request(path, { headers: { origin: ORIGIN } })
  assert.equal(allowed.headers.get('access-control-allow-origin'), ORIGIN)
  for (const headers of [{ origin: 'https://other.example' }, {}] as Readonly<Record<string, string>>[]) {
    const answer = await chat.request(path, { headers })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('access-control-allow-origin'), null)
  }
  const preflight = await chat.request(path, {
    method: 'OPTIONS',
    headers: { origin: ORIGIN, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-own' },
  })
  assert.equal(preflight.headers.get('access-control-allow-origin'), ORIGIN)
  assert.equal(preflight.headers.get('access-control-max-age'), '3600')
  assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /POST/)
})

test('chat http: health and readiness, the OpenAPI document with every route, and its page without foreign hosts', async () => {
  const health = JSON.parse((await chat.request('/health')).text) as { status: string }
  assert.equal(health.status, 'healthy')
  assert.equal((await chat.request('/ready')).text, '{"status":"ready"}')
  const document = JSON.parse((await chat.request('/openapi.json')).text) as {
    openapi: string
    paths: Record<string, Record<string, { responses: object }>>
  }
  assert.match(document.openapi, /^3\./)
  const told = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path.replace(/\{\w+\}/, '{id}')}`),
  )
  const routes = [
    'get /api/chats',
    'get /api/chats/{id}',
    'post /api/chats',
    'get /api/chats/{id}/messages',
    'post /api/chats/{id}/messages',
    'get /api/chats/{id}/typing',
    'get /api/presence',
    'post /api/users',
    'get /health',
    'get /ready',
  ]
  for (const route of routes) assert.ok(told.includes(route), route)
  const page = await fetch(`${chat.origin}/docs`)
  const html = await page.text()
  assert.equal(page.status, 200)
  assert.match(page.headers.get('content-type') ?? '', /^text\/html/)
  const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, target = '']) => target)
  assert.ok(links.length > 2, html)
  for (const link of links) {
    const url = new URL(link, page.url)
    assert.equal(url.origin, chat.origin, link)
    const asset = await fetch(url)
    assert.equal(asset.status, 200, link)
    await asset.arrayBuffer()
  }
})

test('chat http: requests are counted by method, route and status', async () => {
  const metrics = await chat.server.metrics()
  const of = (labels: Readonly<Record<string, string>>): number =>
    metrics.sum('polyloop_chat_http_requests_total', labels)
  assert.ok(of({ method: 'POST', status: '201' }) > 10)
  assert.ok(of({ method: 'GET', status: '404' }) > 10)
  const series = metrics.series.filter(({ name }) => name === 'polyloop_chat_http_requests_total')
  for (const { labels } of series) assert.doesNotMatch(labels.route ?? '', /\d/, 'no ids in labels')
})

test('chat: the metrics of the page are there, each of its type (A1)', async () => {
  const { families } = await chat.server.metrics()
  assert.deepEqual(
    Object.entries(METRICS).map(([name]) => [name, families.get(`polyloop_chat_${name}`)]),
    Object.entries(METRICS),
  )
})
