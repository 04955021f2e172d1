// The tools of chat and the load test as people start them, against the service as it comes.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import type { RunReport } from '../../src/cli/load/report.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { waitUntil } from '../harness/wait.ts'

const bin = join(import.meta.dirname, '../../bin/polyloop.js')
const TIMEOUT_MS = 30_000

let server: ChatServer
before(async () => {
  server = await ChatServer.start({ shards: 2 })
})
after(() => server[Symbol.asyncDispose]())

interface Ended {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

function start(line: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [bin, ...line], { env: { PATH: process.env.PATH }, timeout: TIMEOUT_MS })
  child.stdin?.end()
  return child
}

async function endOf(child: ChildProcess): Promise<Ended> {
  assert.ok(child.stdout && child.stderr)
  const closed = once(child, 'close') as Promise<[number | null]>
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [status] = await closed
  return { status, out, err }
}

function tcp(...line: string[]): Promise<Ended> {
  return endOf(start(['chat-tcp', `--port=${server.server.port('chat.tcp')}`, ...line]))
}

interface LoadOutcome {
  readonly status: number | null
  readonly run: RunReport
}

async function load(on: ChatServer, scheme: 'chat' | 'http', ...line: string[]): Promise<LoadOutcome> {
  const port = on.server.port(scheme === 'chat' ? 'chat.tcp' : 'chat.http')
  const [path = '', ...options] = scheme === 'chat' ? ['', ...line] : line
  const target = `${scheme}://127.0.0.1:${port}${path}`
  const common = ['--warmup=0', '--duration=500ms', '--connections=8', '--threads=2', '--json']
  const { status, out, err } = await endOf(start(['load-test', target, ...common, ...options]))
  const { runs } = JSON.parse(out || '{"runs":[]}') as { runs: RunReport[] }
  const [run] = runs
  assert.ok(run !== undefined, err)
  return { status, run }
}

test('chat-tcp: a message, its id, and the page that shows it', async () => {
  const chat = String(await server.addChat('of chat-tcp'))
  const sent = await tcp('--chat', chat, '--text', 'Привіт, "світе"\n', '--type', 'System')
  assert.deepEqual([sent.status, sent.err], [0, ''])
  const [, id] = /\nreceived \{"message_id":(\d+),"success":true,"error":null\}\nmessage id \1\n$/.exec(sent.out) ?? []
  assert.ok(Number(id) > 0, sent.out)
  await tcp('--chat', chat, '--text=second')
  const page = await tcp('--get-messages', '--chat', chat)
  assert.equal(page.status, 0)
  const lines = page.out.trimEnd().split('\n')
  assert.match(
    lines[0] ?? '',
    new RegExp(`^#${id} [\\d-]{10} [\\d:]{8} user 1 \\[System\\]: Привіт, "світе"\\\\u000a$`),
  )
  assert.match(lines[1] ?? '', /user 1: second$/)
  assert.equal(lines[2], 'page 1 of 1, 2 of 2 messages')
  const second = await tcp('--get_messages', '--chat', chat, '--page=2', '--per_page==1')
  assert.match(second.out, /^#\d+ .*second\npage 2 of 2, 1 of 2 messages\n$/)
})

test('chat-tcp: ping, and 1 on an error acknowledgement', async () => {
  const ping = await tcp('--ping')
  assert.deepEqual(ping, { status: 0, out: 'sent {"packet_type":"Ping"}\nreceived "pong"\n', err: '' })
  const unknown = await tcp('--chat', '999999')
  assert.equal(unknown.status, 1)
  assert.match(unknown.out, /received \{"message_id":0,"success":false,"error":"Ошибка БД: /)
  assert.match(unknown.err, /^chat-tcp: Ошибка БД: FOREIGN KEY constraint failed\n$/)
  const empty = await tcp('--text', '')
  assert.deepEqual([empty.status, empty.err], [1, 'chat-tcp: Содержимое сообщения не может быть пустым\n'])
})

test('chat-tcp: follows a chat until Ctrl-C', async () => {
  const chat = String(await server.addChat('to follow'))
  const port = server.server.port('chat.tcp')
  const child = start(['chat-tcp', `--port=${port}`, '--subscribe', '--chat', chat])
  let out = ''
  child.stdout?.setEncoding('utf8').on('data', (more: string) => {
    out += more
  })
  await waitUntil('the subscription', () => out.includes('"success":true'))
  await tcp('--chat', chat, '--text=heard')
  await waitUntil('the push', () => out.includes('user 1: heard\n'))
  child.kill('SIGINT')
  const [status] = (await once(child, 'close')) as [number | null]
  assert.equal(status, 0)
  assert.match(out, /interrupted\n$/)
})

test('chat-udp: a pong, a status that shows, and 1 without a server', async () => {
  const user = await server.addUser('of chat-udp')
  const port = server.server.port('chat.udp')
  const { status, out, err } = await endOf(start(['chat_udp', `--port=${port}`, `--user=${user}`, '--status=away']))
  assert.deepEqual([status, err], [0, ''])
  assert.match(
    out,
    /^sent \{"packet_type":"Ping"\}\nreceived pong\nsent \{"packet_type":"Status".*\nsent .*"Typing".*\n$/,
  )
  await waitUntil('the status', async () => {
    const { text: presence } = await server.request('/api/presence')
    return presence.includes(`{"user_id":${user},"status_data":"away"`)
  })
  const nobody = await endOf(start(['chat-udp', '--port=1', '--timeout=200ms']))
  assert.equal(nobody.status, 1)
  assert.match(nobody.err, /^chat-udp: no pong from 127\.0\.0\.1:1: /)
})

test('load-test chat: acknowledged messages are stored, and subscribers get each once', async () => {
  const chat = await server.addChat('for load')
  const { status, run } = await load(server, 'chat', `--chat=${chat}`, '--window=4', '--subscribers=3')
  assert.deepEqual([status, run.errors.kinds], [0, {}])
  const { sent, answered } = run.messages
  assert.ok(answered > 20 && sent === answered, JSON.stringify(run.messages))
  assert.deepEqual(run.subscribers, { wanted: 3, opened: 3, pushes: 3 * sent })
  const { text: history } = await server.request(`/api/chats/${chat}/messages?per_page=1`)
  assert.match(history, new RegExp(`"total":${sent},`))
  const open = await load(server, 'chat', `--chat=${chat}`, '--rate=200', '--subscribers=1')
  assert.deepEqual([open.status, open.run.errors.kinds, open.run.messages.sent], [0, {}, 100])
})

test('load-test http: reads and posts', async () => {
  const chat = await server.addChat('for HTTP')
  const path = `/api/chats/${chat}/messages`
  const posts = await load(server, 'http', path, '--body={"content":"Hello!"}')
  assert.deepEqual([posts.status, posts.run.errors.kinds], [0, {}])
  const reads = await load(server, 'http', path)
  assert.deepEqual([reads.status, reads.run.errors.kinds], [0, {}])
  const { text: history } = await server.request(path)
  assert.match(history, new RegExp(`"total":${posts.run.messages.sent},`))
  const unknown = await load(server, 'http', '/api/chats/999999')
  assert.equal(unknown.status, 1)
  assert.deepEqual(Object.keys(unknown.run.errors.details), ['failed: HTTP 404'])
})

test('load-test: a rate limit is named, over TCP and HTTP', async () => {
  const settings = { 'services.chat.rateLimit.rate': 10, 'services.chat.rateLimit.burst': 20 }
  await using limited = await ChatServer.start({ shards: 1, settings })
  const overTcp = await load(limited, 'chat')
  assert.equal(overTcp.status, 1)
  assert.deepEqual(Object.keys(overTcp.run.errors.details), ['failed: rate limit exceeded'])
  assert.match(String(overTcp.run.warnings), /raise services\.chat\.rateLimit\.rate/)
  const overHttp = await load(limited, 'http', '/api/chats')
  assert.deepEqual(Object.keys(overHttp.run.errors.details), ['failed: HTTP 429'])
})
