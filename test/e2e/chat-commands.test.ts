// The commands of the chat protocol's page as people type them, in a real shell against a running server: only the ports
// are other ones. netcat, curl, a Node client and a Python client.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { ackId } from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { requireProgram } from '../harness/program.ts'
import { within } from '../harness/wait.ts'

const COMMAND_MS_MAX = 15_000
/** The ports of the page, and whose they are here. */
const PORTS = { 8080: 'chat.http', 8081: 'chat.tcp', 8082: 'chat.udp' } as const

const NODE_CLIENT = `
const net = require('net')
const socket = new net.Socket()
socket.connect(8081, 'localhost', () => {
  socket.write(JSON.stringify({
    packet_type: 'SendMessage',
    message: { chat_id: 1, sender_id: 1, content: 'Hello from Node!', message_type: 'Text' },
  }))
})
socket.on('data', (data) => {
  console.log('ACK:', JSON.parse(data.toString()))
  socket.destroy()
})
`
const PYTHON_CLIENT = `
import json
import socket

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.sendto(json.dumps({"packet_type": "Ping"}).encode(), ("localhost", 8082))
data, address = sock.recvfrom(1024)
print(data)
`

const folder = mkdtempSync(join(tmpdir(), 'polyloop-commands-'))
let chat: ChatServer

before(async () => {
  requireProgram({ names: ['nc'], aptPackage: 'netcat-openbsd' })
  requireProgram({ names: ['curl'], aptPackage: 'curl' })
  requireProgram({ names: ['python3'], aptPackage: 'python3-minimal' })
  chat = await ChatServer.start({ settings: { 'services.chat.rateLimit.rate': 50 } })
})

after(async () => {
  await chat[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
  assert.deepEqual(chat.server.stray, [])
})

/** With the ports of this server in place of those of the page. */
function here(source: string): string {
  return source.replace(/\b808[012]\b/g, (port) => `${chat.server.port(PORTS[port as unknown as keyof typeof PORTS])}`)
}

/** What the command prints, after it ended with 0. */
async function type(command: string): Promise<string> {
  const child = spawn('sh', ['-c', here(command)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [out, err, [status]] = await within(
    `the end of ${command}`,
    Promise.all([text(child.stdout), text(child.stderr), exited]),
    COMMAND_MS_MAX,
  )
  assert.equal(status, 0, `${command}\n${err}`)
  return out
}

/** As `type`, for a file that `program` runs. */
function run(program: string, name: string, source: string): Promise<string> {
  const file = join(folder, name)
  writeFileSync(file, here(source))
  return type(`${program} '${file}'`)
}

test('chat: nc gets its pong and its ACK over TCP', async () => {
  const [pong, ack] = await Promise.all([
    type(`echo '{"packet_type":"Ping"}' | nc -q1 localhost 8081`),
    type(
      `echo '{"packet_type":"SendMessage","message":{"chat_id":1,"sender_id":1,"content":"Test","message_type":"Text"}}' | nc -q1 localhost 8081`,
    ),
  ])
  assert.equal(pong, '"pong"\n')
  assert.ok(ack.endsWith('\n'))
  const id = ackId(ack.slice(0, -1))
  assert.match(
    await type('curl http://localhost:8080/api/chats/1/messages'),
    new RegExp(`"id":${id},.*"content":"Test"`),
  )
})

test('chat: nc gets its pong over UDP, and its status shows', async () => {
  const [pong, status] = await Promise.all([
    type(`echo '{"packet_type":"Ping"}' | nc -u -w1 localhost 8082`),
    type(`echo '{"packet_type":"Status","user_id":1,"status_data":"online"}' | nc -u -w1 localhost 8082`),
  ])
  assert.equal(pong, 'pong')
  assert.equal(status, '')
  assert.match(
    await type('curl http://localhost:8080/api/presence'),
    /^\{"success":true,"message":null,"data":\[\{"user_id":1,"status_data":"online",/,
  )
})

test('chat: curl lists chats and messages, and sends one', async () => {
  assert.match(
    await type('curl http://localhost:8080/api/chats'),
    /^\{"success":true,"message":null,"data":\[\{"id":1,"name":"General","chat_type":"group",.*\}\]\}$/,
  )
  const sent = await type(
    `curl -X POST http://localhost:8080/api/chats/1/messages -H 'Content-Type: application/json' -d '{"content":"Hello!","message_type":"text"}'`,
  )
  const [, id] = /^\{"success":true,"message":"Сообщение отправлено","data":\{"id":(\d+)\}\}$/.exec(sent) ?? []
  assert.ok(id !== undefined, sent)
  assert.match(
    await type('curl http://localhost:8080/api/chats/1/messages'),
    new RegExp(
      `^\\{"success":true,"data":\\[.*"id":${id},"chat_id":1,"sender_id":1,"content":"Hello!","message_type":"text",.*\\],"pagination":\\{.*\\}\\}$`,
    ),
  )
})

test('chat: a Node client that writes one packet without a newline and parses the first data has its ACK', async () => {
  const out = await run(process.execPath, 'client.cjs', NODE_CLIENT)
  assert.match(out, /^ACK: \{ message_id: [1-9]\d*, success: true, error: null \}\n$/)
})

test('chat: a Python client that sends Ping with sendto reads pong', async () => {
  assert.equal(await run('python3', 'client.py', PYTHON_CLIENT), "b'pong'\n")
})
