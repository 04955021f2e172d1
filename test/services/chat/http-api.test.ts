// Every route of chat's HTTP API with exact bodies. [PROTOCOLS 3.6]
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LightMyRequestResponse } from 'fastify'
import { BODY_BYTES_MAX } from '../../../src/services/chat/http-api.ts'
import { PARTICIPANTS_MAX } from '../../../src/services/chat/http-schema.ts'
import { PRESENCE_LISTED_MAX } from '../../../src/services/chat/presence-actor.ts'
import { startHttpWorld } from './http-world.ts'

/** The manual clock stands at its start. */
const DATE = '2026-01-01 00:00:00'
const GENERAL = `{"id":1,"name":"General","chat_type":"group","creator_id":1,"created_at":"${DATE}","updated_at":"${DATE}","participants_count":1,"last_message":null}`
/** Asks that one actor's mailbox holds. */
const USERS_AT_ONCE = 1_000
const CHAT_UNKNOWN = failure('Чат не найден')
const CONTENT_EMPTY = failure('Содержимое сообщения не может быть пустым')
const CONTENT_TOO_LONG = failure('Сообщение не может быть длиннее 4000 символов')

function failure(message: string): string {
  return `{"success":false,"message":"${message}","data":null}`
}

function success(data: string): string {
  return `{"success":true,"message":null,"data":${data}}`
}

function messageOf(id: number, content: string, type = 'text'): string {
  return `{"id":${id},"chat_id":1,"sender_id":1,"content":${JSON.stringify(content)},"message_type":"${type}","created_at":"${DATE}","is_edited":false,"edited_at":null}`
}

function assertAnswer({ statusCode, body, headers }: LightMyRequestResponse, status: number, expected: string): void {
  assert.equal(body, expected)
  assert.equal(statusCode, status)
  assert.equal(headers['content-type'], 'application/json; charset=utf-8')
}

test('http api: a fresh store has the chat General', async () => {
  const world = await startHttpWorld()
  assertAnswer(await world.get('/api/chats'), 200, success(`[${GENERAL}]`))
  assertAnswer(await world.get('/api/chats/1'), 200, success(GENERAL))
  assertAnswer(await world.get('/api/chats/1/typing'), 200, success('[]'))
  assertAnswer(await world.get('/api/presence'), 200, success('[]'))
  const empty = '{"success":true,"data":[],"pagination":{"page":1,"per_page":50,"total":0,"total_pages":0}}'
  assertAnswer(await world.get('/api/chats/1/messages'), 200, empty)
})

test('http api: a message is stored, in the history and the last of its chat', async () => {
  const world = await startHttpWorld()
  const sent = '{"success":true,"message":"Сообщение отправлено","data":{"id":1}}'
  assertAnswer(await world.post('/api/chats/1/messages', { content: 'Hello!', message_type: 'text' }), 201, sent)
  const message = messageOf(1, 'Hello!')
  const page = `{"success":true,"data":[${message}],"pagination":{"page":1,"per_page":50,"total":1,"total_pages":1}}`
  assertAnswer(await world.get('/api/chats/1/messages'), 200, page)
  const chat = GENERAL.replace('"last_message":null', `"last_message":${message}`)
  assertAnswer(await world.get('/api/chats/1'), 200, success(chat))
  assertAnswer(await world.get('/api/chats'), 200, success(`[${chat}]`))
})

test('http api: types are lower case; an absent or unknown one is text', async () => {
  const world = await startHttpWorld()
  const types = ['text', 'image', 'file', 'system', 'Image', 'nonsense', '', null, undefined]
  for (const message_type of types) {
    assert.equal((await world.post('/api/chats/1/messages', { content: 'x', message_type })).statusCode, 201)
  }
  const { data } = (await world.get('/api/chats/1/messages')).json<{ data: { message_type: string }[] }>()
  const stored = ['text', 'image', 'file', 'system', 'text', 'text', 'text', 'text', 'text']
  assert.deepEqual(
    data.map(({ message_type }) => message_type),
    stored,
  )
})

test('http api: content of 1 to 4000 bytes', async () => {
  const world = await startHttpWorld()
  const path = '/api/chats/1/messages'
  for (const content of ['x', 'x'.repeat(4_000), 'ж'.repeat(2_000), '😀'.repeat(1_000)])
    assert.equal((await world.post(path, { content })).statusCode, 201, `${content.length} characters`)
  assertAnswer(await world.post(path, { content: '' }), 400, CONTENT_EMPTY)
  for (const content of ['x'.repeat(4_001), `${'ж'.repeat(2_000)}x`, `${'😀'.repeat(1_000)}x`])
    assertAnswer(await world.post(path, { content }), 400, CONTENT_TOO_LONG)
  const half = failure('invalid body: content must be well-formed Unicode')
  assertAnswer(await world.post(path, '{"content":"\\ud83d"}'), 400, half)
})

test('http api: bodies that are not what the schema says', async () => {
  const world = await startHttpWorld()
  const bodies: [string, unknown, string][] = [
    ['/api/chats/1/messages', {}, 'content is missing'],
    ['/api/chats/1/messages', { content: null }, 'content is missing'],
    ['/api/chats/1/messages', { content: 5 }, 'content must be a string'],
    ['/api/chats/1/messages', { content: 'x', message_type: 5 }, 'message_type must be a string'],
    ['/api/chats', {}, 'name is missing'],
    ['/api/chats', { name: '' }, 'name is empty'],
    ['/api/chats', { name: 'ж'.repeat(128) }, 'name is longer than 255 bytes'],
    ['/api/chats', { name: 'x', participants: 1 }, 'participants must be an array of integers'],
    ['/api/chats', { name: 'x', participants: [2, 1.5] }, 'participants must be an array of integers'],
    ['/api/chats', { name: 'x', participants: ['1'] }, 'participants must be an array of integers'],
    [
      '/api/chats',
      { name: 'x', participants: Array.from({ length: PARTICIPANTS_MAX + 1 }, (_, index) => index) },
      `participants has more than ${PARTICIPANTS_MAX} items`,
    ],
    ['/api/users', { username: 'ж'.repeat(33) }, 'username is longer than 64 bytes'],
    ['/api/users', { username: 'x'.repeat(65) }, 'username is longer than 64 bytes'],
  ]
  for (const [path, body, problem] of bodies)
    assertAnswer(await world.post(path, body), 400, failure(`invalid body: ${problem}`))
})

test('http api: bodies that are no JSON object, or not UTF-8', async () => {
  const world = await startHttpWorld()
  const broken = Buffer.concat([Buffer.from('{"content":"'), Buffer.of(0xff), Buffer.from('"}')])
  for (const path of ['/api/chats', '/api/chats/1/messages', '/api/users']) {
    for (const body of ['', '{bad}', '\ufeff{}', '{"content":"x"', '[]', '1', 'null', broken])
      assertAnswer(await world.post(path, body), 400, failure('invalid JSON'))
    assertAnswer(await world.request({ method: 'POST', url: path }), 400, failure('invalid JSON'))
  }
})

test('http api: bodies of another type, and of 2 MiB and one byte more', async () => {
  const world = await startHttpWorld()
  const path = '/api/users'
  for (const type of ['text/plain', 'application/jsonp', 'nonsense', 'multipart/form-data; boundary=x'])
    assertAnswer(
      await world.post(path, '{"username":"x"}', { 'content-type': type }),
      415,
      failure('Content-Type must be application/json'),
    )
  const charset = { 'content-type': 'Application/JSON; charset=utf-8' }
  assert.equal((await world.post(path, '{"username":"x"}', charset)).statusCode, 201)
  const full = `{"username":"y"}`.padEnd(BODY_BYTES_MAX)
  assert.equal((await world.post(path, full)).statusCode, 201)
  assertAnswer(await world.post(path, `${full} `), 413, failure('the body is larger than 2 MiB'))
})

test('http api: ids that are no positive integers are unknown chats', async () => {
  const world = await startHttpWorld()
  const absurd = ['0', '-1', '1.5', 'x', '1e3', '01', '+1', '%20', '9007199254740992', '9'.repeat(90)]
  for (const id of absurd) {
    assertAnswer(await world.get(`/api/chats/${id}`), 404, CHAT_UNKNOWN)
    assertAnswer(await world.get(`/api/chats/${id}/messages`), 404, CHAT_UNKNOWN)
    assertAnswer(await world.get(`/api/chats/${id}/typing`), 404, CHAT_UNKNOWN)
    assertAnswer(await world.post(`/api/chats/${id}/messages`, { content: 'x' }), 404, CHAT_UNKNOWN)
  }
  for (const id of ['999', '9007199254740991']) {
    assertAnswer(await world.get(`/api/chats/${id}`), 404, CHAT_UNKNOWN)
    assertAnswer(await world.get(`/api/chats/${id}/typing`), 404, CHAT_UNKNOWN)
    assertAnswer(await world.post(`/api/chats/${id}/messages`, { content: 'x' }), 404, CHAT_UNKNOWN)
    const empty = '{"success":true,"data":[],"pagination":{"page":1,"per_page":50,"total":0,"total_pages":0}}'
    assertAnswer(await world.get(`/api/chats/${id}/messages`), 200, empty)
  }
})

test('http api: pages of five messages, and pages that are none', async () => {
  const world = await startHttpWorld()
  const path = '/api/chats/1/messages'
  for (let number = 1; number <= 5; number++) await world.post(path, { content: `${number}` })
  const second = `[${messageOf(3, '3')},${messageOf(4, '4')}]`
  assertAnswer(
    await world.get(`${path}?page=2&per_page=2`),
    200,
    `{"success":true,"data":${second},"pagination":{"page":2,"per_page":2,"total":5,"total_pages":3}}`,
  )
  for (const [query, pagination] of [
    ['page=4&per_page=2', '{"page":4,"per_page":2,"total":5,"total_pages":3}'],
    ['page=9007199254740991&per_page=200', '{"page":9007199254740991,"per_page":200,"total":5,"total_pages":1}'],
  ])
    assertAnswer(await world.get(`${path}?${query}`), 200, `{"success":true,"data":[],"pagination":${pagination}}`)
  const wide = (await world.get(`${path}?per_page=201`)).json<{ data: unknown[]; pagination: object }>()
  assert.deepEqual(wide.pagination, { page: 1, per_page: 200, total: 5, total_pages: 1 })
  assert.equal(wide.data.length, 5)
  for (const value of ['0', '-1', '1.5', 'x', '', '1e2', '0x10', '%201', '9007199254740992', '1&NAME=1']) {
    for (const name of ['page', 'per_page']) {
      const query = `${name}=${value.replace('NAME', name)}`
      const problem = failure(`invalid query: ${name} must be an integer of at least 1`)
      assertAnswer(await world.get(`${path}?${query}`), 400, problem)
    }
  }
})

test('http api: chats: types, participants, skipped ones, latest first', async () => {
  const world = await startHttpWorld()
  await world.post('/api/users', { username: 'ann' })
  const created = await world.post('/api/chats', { name: 'Команда', chat_type: 'channel', participants: [2, 2, 1] })
  assertAnswer(created, 201, '{"success":true,"message":"Чат успешно создан","data":{"id":2}}')
  const odd = await world.post('/api/chats', { name: 'x', chat_type: 'odd', participants: [9, 2, -1] })
  assertAnswer(odd, 201, '{"success":true,"message":"Чат успешно создан","data":{"id":3,"skipped":[9,-1]}}')
  assert.equal((await world.post('/api/chats', { name: 'n'.repeat(255), participants: null })).statusCode, 201)
  const { data } = (await world.get('/api/chats/2')).json<{ data: object }>()
  assert.deepEqual(data, {
    id: 2,
    name: 'Команда',
    chat_type: 'channel',
    creator_id: 1,
    created_at: DATE,
    updated_at: DATE,
    participants_count: 2,
    last_message: null,
  })
  world.timers.run(2_000)
  await world.post('/api/chats/2/messages', { content: 'latest' })
  const list = (await world.get('/api/chats')).json<{ data: { id: number; chat_type: string }[] }>().data
  assert.deepEqual(
    list.map(({ id, chat_type }) => [id, chat_type]),
    [
      [2, 'channel'],
      [4, 'group'],
      [3, 'group'],
      [1, 'group'],
    ],
  )
})

test('http api: users: created, and refused when the name is taken', async () => {
  const world = await startHttpWorld()
  assertAnswer(await world.post('/api/users', { username: 'ada' }), 201, success('{"id":2}'))
  assertAnswer(await world.post('/api/users', { username: 'ada' }), 409, failure('Имя пользователя уже занято'))
  assertAnswer(await world.post('/api/users', { username: 'ж'.repeat(32) }), 201, success('{"id":3}'))
})

test('http api: who is typing and who is online, until their time is over', async () => {
  const world = await startHttpWorld()
  await world.typing(1, 1)
  await world.status(1, 'a "quoted" state')
  assertAnswer(await world.get('/api/chats/1/typing'), 200, success('[{"user_id":1,"expires_in":5}]'))
  const online = `[{"user_id":1,"status_data":"a \\"quoted\\" state","updated_at":"${DATE}","expires_in":60}]`
  assertAnswer(await world.get('/api/presence'), 200, success(online))
  world.timers.run(6_000)
  assertAnswer(await world.get('/api/chats/1/typing'), 200, success('[]'))
  world.timers.run(57_000)
  assertAnswer(await world.get('/api/presence'), 200, success('[]'))
})

test('http api: presence of more users than one answer of the actor lists', async () => {
  const world = await startHttpWorld()
  const wanted: number[] = []
  for (const [count, listed] of [
    [PRESENCE_LISTED_MAX, PRESENCE_LISTED_MAX],
    [1, PRESENCE_LISTED_MAX + 1],
  ] as const) {
    for (let start = 0; start < count; start += USERS_AT_ONCE) {
      const names = Array.from(
        { length: Math.min(USERS_AT_ONCE, count - start) },
        (_, index) => `${listed} ${start + index}`,
      )
      const users = await Promise.all(names.map((name) => world.store.createUser({ name })))
      await Promise.all(users.map(({ id }) => world.status(id, 'online')))
      wanted.push(...users.map(({ id }) => id))
    }
    const answer = await world.get('/api/presence')
    assert.equal(answer.statusCode, 200)
    assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
    const { success, message, data } = answer.json<{ success: true; message: null; data: { user_id: number }[] }>()
    assert.deepEqual([success, message], [true, null])
    assert.equal(data.length, listed)
    assert.deepEqual(
      data.map(({ user_id }) => user_id),
      wanted,
    )
    const head = await world.request({ method: 'HEAD', url: '/api/presence' })
    assert.deepEqual([head.statusCode, head.body], [200, ''])
  }
})

test('http api: HEAD answers as GET without a body; other methods are 405, other paths 404', async () => {
  const world = await startHttpWorld()
  for (const url of ['/api/chats', '/api/chats/1', '/api/chats/1/messages', '/api/presence', '/openapi.json']) {
    const get = await world.get(url)
    const head = await world.request({ method: 'HEAD', url })
    assert.deepEqual([head.statusCode, head.body], [200, ''])
    assert.equal(head.headers['content-length'], get.headers['content-length'])
  }
  for (const [url, allow] of [
    ['/api/chats', 'GET, HEAD, POST'],
    ['/api/chats/1', 'GET, HEAD'],
    ['/api/chats/1/messages', 'GET, HEAD, POST'],
    ['/api/users', 'POST'],
    ['/docs', 'GET, HEAD'],
  ] as const) {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'] as const) {
      // What stands in the body does not matter: nobody takes it.
      const answer = await world.request({
        method: method as 'PUT',
        url,
        headers: { 'content-type': 'a/b' },
        body: '{',
      })
      assertAnswer(answer, 405, failure('method not allowed'))
      assert.equal(answer.headers.allow, allow)
    }
  }
  assert.equal((await world.get('/api/users')).headers.allow, 'POST')
  for (const url of ['/', '/api', '/api/chats/1/x', '/api/chats/%zz', `/api/chats/${'9'.repeat(200)}`])
    assertAnswer(await world.get(url), 404, failure('not found'))
  assertAnswer(await world.post('/nothing', '{bad'), 404, failure('not found'))
})

test('http api: answers are counted by method, route and status', async () => {
  const world = await startHttpWorld()
  await world.get('/api/chats/1')
  await world.get('/api/chats/2')
  await world.request({ method: 'HEAD', url: '/api/chats/1' })
  await world.post('/api/users', '{bad')
  await world.get('/nothing')
  await world.request({ method: 'PROPFIND' as 'PUT', url: '/api/users' })
  assert.equal(await world.counted('GET', '/api/chats/{id}', '200'), 1)
  assert.equal(await world.counted('GET', '/api/chats/{id}', '404'), 1)
  assert.equal(await world.counted('HEAD', '/api/chats/{id}', '200'), 1)
  assert.equal(await world.counted('POST', '/api/users', '400'), 1)
  assert.equal(await world.counted('GET', 'other', '404'), 1)
  assert.equal(await world.counted('other', 'other', '405'), 1)
})
