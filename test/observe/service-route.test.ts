// Routes of services on a real admin server: bodies, parameters, answers, server-sent events.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import type { AdminEvents, AdminRequest, AdminRoute } from '../../src/observe/admin-route.ts'
import { type AdminServer, type AdminView, createAdminServer } from '../../src/observe/admin-server.ts'
import { EVENT_STREAM_BYTES_MAX, encodeEvent } from '../../src/observe/event-stream.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { EVENT_STREAMS_MAX } from '../../src/observe/service-route.ts'
import { waitUntil } from '../harness/wait.ts'

const BODY_BYTES_MAX = 32 * 1024

const requests: AdminRequest[] = []
const sinks = new Set<AdminEvents>()
let began = 0

const routes: readonly AdminRoute[] = [
  {
    method: 'PUT',
    path: '/api/v1/things/:id',
    bodyBytesMax: BODY_BYTES_MAX,
    handle: (request) => {
      requests.push(request)
      if (request.parameters.id === 'broken') throw new Error('a bug')
      return { status: 201, body: { id: request.parameters.id, bytes: request.body.length } }
    },
  },
  {
    method: 'GET',
    path: '/api/v1/things/:id/events',
    handle: ({ parameters }) => ({
      events: (sink) => {
        if (parameters.id === 'none') sink.fail({ status: 503, body: { error: 'not now' } })
        else {
          began++
          sinks.add(sink)
          sink.begin()
        }
        return () => sinks.delete(sink)
      },
    }),
  },
]

let admin: AdminServer
let url = ''

before(async () => {
  admin = await createAdminServer({
    host: '127.0.0.1',
    port: 0,
    token: 'a-long-token',
    allowedHosts: [],
    log: createLogger({ level: 'silent', write: () => {}, base: { thread: 'main' } }),
    // Nothing here asks for the runtime.
    view: {} as AdminView,
    routes,
  })
  url = `http://127.0.0.1:${admin.addresses[0]?.port}`
})

after(() => admin.close())

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: 'Bearer a-long-token', ...(init.headers as Record<string, string>) }
  return fetch(`${url}${path}`, { ...init, headers })
}

test('service routes: a body comes as bytes, whatever its type; parameters are decoded', async () => {
  const id = 'a:b/ü '.repeat(30)
  const body = Buffer.from([0xff, 0x00, 0x7b])
  const answer = await ask(`/api/v1/things/${encodeURIComponent(id)}`, { method: 'PUT', body })
  assert.deepEqual(await answer.json(), { id, bytes: 3 })
  assert.equal(answer.status, 201)
  const request = requests.at(-1)
  assert.deepEqual(request?.body, body)
  assert.equal((await ask('/api/v1/things/x', { method: 'PUT' })).status, 201)
  assert.equal(requests.at(-1)?.body.length, 0)
})

test('service routes: limits, methods, tokens and failures are those of the admin endpoint', async () => {
  const statusOf = async (path: string, init: RequestInit): Promise<number> => (await ask(path, init)).status
  assert.equal(await statusOf('/api/v1/things/x', { method: 'PUT', body: Buffer.alloc(BODY_BYTES_MAX) }), 201)
  assert.equal(await statusOf('/api/v1/things/x', { method: 'PUT', body: Buffer.alloc(BODY_BYTES_MAX + 1) }), 413)
  assert.equal(await statusOf('/api/v1/things/broken', { method: 'PUT' }), 500)
  assert.equal(await statusOf('/api/v1/things/%ff', { method: 'PUT' }), 400)
  const wrong = await ask('/api/v1/things/x')
  assert.equal(wrong.status, 405)
  assert.equal(wrong.headers.get('allow'), 'PUT')
  assert.equal((await fetch(`${url}/api/v1/things/x`, { method: 'PUT' })).status, 401)
  // The endpoint's own routes read JSON as before.
  const headers = { 'content-type': 'application/json' }
  const refused = await ask('/api/v1/shards', { method: 'POST', headers, body: '{"count":0}' })
  assert.equal(refused.status, 400)
})

test('service routes: events arrive as they are sent, and end with the client', async () => {
  const gone = new AbortController()
  const answer = await ask('/api/v1/things/x/events', { signal: gone.signal })
  assert.equal(answer.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const [sink] = sinks
  assert.ok(sink !== undefined && answer.body !== null)
  sink.send('{"a":\n1}')
  sink.send('{}', 'gap')
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of answer.body) {
    text += decoder.decode(chunk as Uint8Array)
    if (text.includes('gap')) break
  }
  assert.equal(text, ': listening\n\ndata: {"a":\ndata: 1}\n\nevent: gap\ndata: {}\n\n')
  gone.abort()
  await waitUntil('the stream has ended', () => sinks.size === 0)
})

test('service routes: a stream that cannot begin is answered', async () => {
  const answer = await ask('/api/v1/things/none/events')
  assert.equal(answer.status, 503)
  assert.deepEqual(await answer.json(), { error: 'not now' })
})

test('service routes: streams are bounded', async () => {
  const gone = new AbortController()
  const open = Array.from({ length: EVENT_STREAMS_MAX }, () => ask('/api/v1/things/x/events', { signal: gone.signal }))
  const answers = await Promise.all(open)
  assert.ok(answers.every(({ status }) => status === 200))
  assert.equal((await ask('/api/v1/things/x/events')).status, 503)
  gone.abort()
  await waitUntil('all have ended', () => sinks.size === 0)
  assert.equal((await ask('/api/v1/things/none/events')).status, 503)
})

test('service routes: a client that does not read its events is dropped', async () => {
  const client = connect(Number(new URL(url).port), '127.0.0.1')
  const before = began
  client.write('GET /api/v1/things/x/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a-long-token\r\n\r\n')
  await waitUntil('the stream is open', () => began > before)
  const [sink] = sinks
  assert.ok(sink !== undefined)
  const large = 'x'.repeat(1024 * 1024)
  let sent = 0
  await waitUntil('it is dropped', () => {
    sink.send(large)
    sent++
    return sinks.size === 0
  })
  client.destroy()
  // What the kernel takes comes on top.
  assert.ok(sent * large.length < EVENT_STREAM_BYTES_MAX + 64 * 1024 * 1024)
})

test('events: line ends of all kinds begin a line of data', () => {
  assert.equal(encodeEvent('a\r\nb\rc\n'), 'data: a\ndata: b\ndata: c\ndata: \n\n')
})
