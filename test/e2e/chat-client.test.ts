// The tools of chat against peers that answer wrongly, late or not at all; the real service is in chat-cli.test.ts.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { type ChatTcpOptions, runChatTcp } from '../../src/cli/chat-tcp.ts'
import { type ChatUdpOptions, runChatUdp } from '../../src/cli/chat-udp.ts'
import type { ToolIo } from '../../src/cli/tool-io.ts'
import { waitUntil } from '../harness/wait.ts'
import { tcpServer, udpServer } from './load-server.ts'

interface Outcome {
  readonly status: number
  readonly out: string
  readonly err: string
}

async function outcomeOf(run: (io: ToolIo) => Promise<number>, interrupt = new AbortController()): Promise<Outcome> {
  const out: string[] = []
  const err: string[] = []
  const stdout = { write: (text: string) => out.push(text) }
  const stderr = { write: (text: string) => err.push(text) }
  const status = await run({ stdout, stderr, signal: interrupt.signal })
  return { status, out: out.join(''), err: err.join('') }
}

const portOf = (url: string): number => Number(new URL(url).port)

async function talk(
  serve: (socket: Socket) => void,
  options: ChatTcpOptions,
  interrupt?: AbortController,
): Promise<Outcome> {
  await using server = await tcpServer(serve)
  return await outcomeOf((io) => runChatTcp({ port: portOf(server.url), ...options }, io), interrupt)
}

/** Answers the first bytes with these. */
function answering(...answers: string[]): (socket: Socket) => void {
  return (socket) => socket.on('data', () => socket.write(answers.shift() ?? ''))
}

const SENT =
  'sent {"packet_type":"SendMessage","message":{"chat_id":1,"sender_id":1,"content":"x","message_type":"Text"}}\n'

test('chat-tcp: an answer that arrives byte by byte', async () => {
  const ack = '{"message_id":123,"success":true,"error":null}\n'
  const { status, out, err } = await talk(
    (socket) => {
      socket.once('data', async () => {
        for (const character of ack) await new Promise((done) => socket.write(character, done))
      })
    },
    { text: 'x' },
  )
  assert.deepEqual([status, out, err], [0, `${SENT}received ${ack}message id 123\n`, ''])
})

test('chat-tcp: 1 when the answer is an error, wrong, late, or does not come', async () => {
  for (const [answer, problem] of [
    ['{"message_id":0,"success":false,"error":"Чат не найден"}\n', 'Чат не найден'],
    ['{"message_id":0,"success":true,"error":null}\n', 'an acknowledgement without a message id'],
    ['"pong"\n', 'not an answer of the chat service'],
  ] as const) {
    const outcome = await talk(answering(answer), { text: 'x' })
    assert.deepEqual(outcome, { status: 1, out: `${SENT}received ${answer}`, err: `chat-tcp: ${problem}\n` })
  }
  const late = await talk(answering('{"message_id":1,"succ'), { text: 'x', timeout: '100ms' })
  assert.deepEqual(late, { status: 1, out: SENT, err: 'chat-tcp: no answer in time\n' })
  const closed = await talk((socket) => socket.once('data', () => socket.end()), { text: 'x' })
  assert.deepEqual(closed, { status: 1, out: SENT, err: 'chat-tcp: the server closed the connection\n' })
  const nobody = await outcomeOf((io) => runChatTcp({ port: 1 }, io))
  assert.equal(nobody.status, 1)
  assert.match(nobody.err, /^chat-tcp: cannot connect to 127\.0\.0\.1:1: .*ECONNREFUSED/)
})

test('chat-tcp: a token goes first, and is not printed', async () => {
  const said: string[] = []
  const good = '{"message_id":0,"success":true,"error":null}\n'
  const outcome = await talk(
    (socket) => {
      const answers = [good, '"pong"\n']
      socket.on('data', (bytes) => {
        said.push(bytes.toString())
        socket.write(answers.shift() ?? '')
      })
    },
    { token: 'a.b.c', ping: true },
  )
  assert.deepEqual(said, ['{"packet_type":"Auth","token":"a.b.c"}\n', '{"packet_type":"Ping"}\n'])
  assert.equal(outcome.status, 0)
  assert.doesNotMatch(outcome.out, /a\.b\.c/)
  const refused = await talk(answering('{"message_id":0,"success":false,"error":"invalid token"}\n'), { token: 'x' })
  assert.deepEqual([refused.status, refused.err], [1, 'chat-tcp: invalid token\n'])
})

test('chat-tcp: pushes until Ctrl-C, or until the server ends', async () => {
  const subscribed = '{"packet_type":"Subscribe","chat_id":1,"success":true,"error":null}\n'
  const message = '{"id":1,"sender_id":2,"content":"Hi","message_type":"Text","created_at":"2026-01-02 03:04:06"}'
  const push = `{"packet_type":"Message","chat_id":1,"message":${message}}\n`
  const head = `sent {"packet_type":"Subscribe","chat_id":1}\nreceived ${subscribed}`
  const line = '#1 2026-01-02 03:04:06 user 2: Hi\n'
  const ended = await talk((socket) => socket.once('data', () => socket.end(subscribed + push + push)), {
    subscribe: true,
    timeout: '100ms',
  })
  assert.deepEqual(ended, {
    status: 1,
    out: head + line + line,
    err: 'chat-tcp: the server closed the connection\n',
  })
  const interrupt = new AbortController()
  const stopped = await talk(
    (socket) => socket.once('data', () => socket.write(subscribed + push, () => setImmediate(() => interrupt.abort()))),
    { subscribe: true },
    interrupt,
  )
  assert.deepEqual([stopped.status, stopped.err], [0, ''])
  assert.match(stopped.out, /interrupted\n$/)
})

test('chat-tcp: an endless line ends it', async () => {
  const { status, err } = await talk(
    (socket) => {
      socket.once('data', () => socket.write('x'.repeat(9 * 1024 * 1024)))
    },
    { ping: true },
  )
  assert.deepEqual([status, err], [1, 'chat-tcp: an endless line\n'])
})

test('chat-udp: ping, status and typing, each as one datagram', async () => {
  const said: string[] = []
  await using server = await udpServer((datagram) => {
    said.push(datagram.toString())
    return datagram.includes('Ping') ? [Buffer.from('pong')] : []
  })
  const options: ChatUdpOptions = { port: portOf(server.url), user: 7, chat: 3, status: 'away', token: 't' }
  const { status, out } = await outcomeOf((io) => runChatUdp(options, io))
  assert.equal(status, 0)
  assert.equal(
    out,
    'sent {"packet_type":"Ping"}\nreceived pong\n' +
      'sent {"packet_type":"Status","user_id":7,"status_data":"away"}\n' +
      'sent {"packet_type":"Typing","chat_id":3,"user_id":7}\n',
  )
  // They are on their way when the tool ends.
  await waitUntil('three datagrams', () => said.length === 3)
  assert.deepEqual(said[1], '{"packet_type":"Status","user_id":7,"status_data":"away","token":"t"}')
})

test('chat-udp: 1 without a pong, 0 after Ctrl-C', async () => {
  const wrong = await udpServer(() => [Buffer.from('"pong"\n')])
  {
    await using server = wrong
    const outcome = await outcomeOf((io) => runChatUdp({ port: portOf(server.url) }, io))
    assert.deepEqual([outcome.status, outcome.err], [1, 'chat-udp: not a pong\n'])
  }
  // Nobody listens there now.
  const nobody = await outcomeOf((io) => runChatUdp({ port: portOf(wrong.url) }, io))
  assert.equal(nobody.status, 1)
  assert.match(nobody.err, /^chat-udp: no pong from 127\.0\.0\.1:\d+: .*ECONNREFUSED/)
  const silent = createSocket('udp4').bind(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address()
  const late = await outcomeOf((io) => runChatUdp({ port, timeout: '100ms' }, io))
  assert.deepEqual([late.status, late.err], [1, `chat-udp: no pong from 127.0.0.1:${port}: none in 100ms\n`])
  const interrupt = new AbortController()
  silent.once('message', () => interrupt.abort())
  const stopped = await outcomeOf((io) => runChatUdp({ port, timeout: '1m' }, io), interrupt)
  assert.deepEqual(stopped, { status: 0, out: 'sent {"packet_type":"Ping"}\ninterrupted\n', err: '' })
  silent.close()
})
