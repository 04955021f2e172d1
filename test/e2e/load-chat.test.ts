// The load test against chat services that are small enough to be wrong in a known way; the real one is in chat-cli.test.ts.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { LoadTestOptions } from '../../src/cli/load/plan.ts'
import { assertClean, LOSSY, load, type Outcome, type Server, SHORT, tcpServer } from './load-server.ts'

interface Arrival {
  /** Counts the messages of all connections from 1. */
  readonly number: number
  readonly content: string
}

/** What is answered, and what subscribers get; the right things by default. */
interface Reaction {
  readonly answer?: string
  readonly pushes?: readonly string[]
}

const ackOf = (id: number): string => `{"message_id":${id},"success":true,"error":null}`
const errorOf = (error: string): string => JSON.stringify({ message_id: 0, success: false, error })
const pushOf = (id: number, content: string): string =>
  `{"packet_type":"Message","chat_id":1,"message":{"id":${id},"chat_id":1,"sender_id":1,"content":"${content}","message_type":"Text","created_at":"2026-01-02 03:04:05","is_edited":false,"edited_at":null}}`

/** Packets of a stream: no string of the load test contains a brace. */
function packetsOf(text: string): { readonly packets: string[]; readonly rest: string } {
  const packets: string[] = []
  let depth = 0
  let start = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '{' && depth++ === 0) start = at
    if (text[at] === '}' && --depth === 0) {
      packets.push(text.slice(start, at + 1))
      start = at + 1
    }
  }
  return { packets, rest: text.slice(start) }
}

/** A chat with one room. Message `number` has id `10 * number`: ids need not be neighbours. */
async function chatServer(react: (arrival: Arrival) => Reaction, token?: string): Promise<Server> {
  const subscribers = new Set<Socket>()
  let number = 0
  return await tcpServer((socket) => {
    let rest = ''
    const answerTo = (text: string): string => {
      const packet = JSON.parse(text) as {
        packet_type: string
        token?: string
        chat_id?: number
        message?: { content: string }
      }
      if (packet.packet_type === 'Auth') return packet.token === token ? ackOf(0) : errorOf('invalid token')
      if (packet.packet_type === 'Subscribe') {
        if (packet.chat_id !== 1) return errorOf('Чат не найден')
        subscribers.add(socket)
        return '{"packet_type":"Subscribe","chat_id":1,"success":true,"error":null}'
      }
      const content = packet.message?.content ?? ''
      const id = 10 * ++number
      const { answer = ackOf(id), pushes = [pushOf(id, content)] } = react({ number, content })
      for (const push of pushes) for (const subscriber of subscribers) subscriber.write(`${push}\n`)
      return answer
    }
    socket.on('close', () => subscribers.delete(socket))
    socket.setEncoding('utf8').on('data', (text: string) => {
      const { packets, rest: left } = packetsOf(rest + text)
      rest = left
      const answers = packets.map((packet) => `${answerTo(packet)}\n`)
      if (answers.length > 0) socket.write(answers.join(''))
    })
  })
}

function loadChat(server: Server, options: LoadTestOptions = {}): Promise<Outcome> {
  return load(server.url.replace('tcp:', 'chat:'), { ...SHORT, ...options })
}

test('load-test chat: every message is acknowledged, and reaches each subscriber once', async () => {
  await using server = await chatServer(() => ({}), 'right')
  const closed = await loadChat(server, { window: 4, threads: 2, subscribers: 3, size: 4_000, token: 'right' })
  assertClean(closed)
  assert.deepEqual(closed.run.subscribers, { wanted: 3, opened: 3, pushes: 3 * closed.run.messages.sent })
  const open = await loadChat(server, { rate: 1_000, threads: 2, subscribers: 1 })
  assertClean(open)
  assert.equal(open.run.messages.sent, 250)
  assert.equal(open.run.subscribers?.pushes, 250)
})

test('load-test chat: other messages and other pushes do no harm', async () => {
  const typing = '{"packet_type":"Typing","chat_id":1,"user_id":2,"expires_in":5}'
  await using server = await chatServer(({ number, content }) => ({
    pushes: [typing, pushOf(10 * number - 5, 'of somebody else'), pushOf(10 * number, content)],
  }))
  const outcome = await loadChat(server, { subscribers: 2 })
  assertClean(outcome)
  assert.equal(outcome.run.subscribers?.pushes, 2 * outcome.run.messages.sent)
})

test('load-test chat: ids that are zero, not rising or not unique', async () => {
  const wrong = { zero: 0, falling: 0, taken: 0 }
  let falling = false
  await using server = await chatServer(({ number }) => {
    if (number % 10 === 0) wrong.zero++
    if (number % 10 === 0) return { answer: ackOf(0) }
    if (number % 10 !== 5) return {}
    // The connection has had a higher one, or it is the newest id of another connection.
    if (falling) wrong.falling++
    else wrong.taken++
    return { answer: ackOf(falling ? 1 : 10 * (number - 1)) }
  })
  // With two connections in turn, the last id is always the other's.
  const turns = await loadChat(server, { connections: 2, rate: 400 })
  const { details, kinds } = turns.run.errors
  assert.equal(turns.status, 1)
  assert.ok(wrong.zero > 5 && wrong.taken > 5)
  assert.deepEqual(kinds, { 'wrong-id': wrong.zero + wrong.taken })
  assert.equal(details['wrong-id: zero'], wrong.zero)
  assert.equal((details['wrong-id: not unique'] ?? 0) + (details['wrong-id: not rising'] ?? 0), wrong.taken)
  assert.ok((details['wrong-id: not unique'] ?? 0) > 0)
  assert.equal(turns.run.messages.wrong, wrong.zero + wrong.taken)
  falling = true
  const { run } = await loadChat(server, { connections: 1, rate: 400 })
  assert.ok(wrong.falling > 5)
  assert.equal(run.errors.details['wrong-id: not rising'], wrong.falling)
})

test('load-test chat: errors are counted by their text, and a rate limit is explained', async () => {
  let limited = 0
  await using server = await chatServer(({ number }) => {
    if (number % 4 !== 0) return number === 1 ? { answer: '{"message_id": 10,"success":true,"error":null}' } : {}
    limited++
    return { answer: errorOf('rate limit exceeded') }
  })
  const { status, run } = await loadChat(server)
  assert.equal(status, 1)
  assert.deepEqual(run.errors.kinds, { failed: limited, mismatch: 1 })
  assert.deepEqual(run.errors.details, { 'failed: rate limit exceeded': limited })
  assert.match(String(run.warnings), /raise services\.chat\.rateLimit\.rate/)
})

test('load-test chat: pushes that are missing, doubled, swapped or changed', async () => {
  const made = { lost: 0, duplicate: 0, mismatch: 0 }
  await using server = await chatServer(({ number, content }) => {
    const push = pushOf(10 * number, content)
    switch (number % 20) {
      case 5:
        made.lost++
        return { pushes: [] }
      case 10:
        made.duplicate++
        return { pushes: [push, push] }
      case 15:
        made.mismatch++
        return { pushes: [pushOf(10 * number, `${content.slice(0, -1)}!`)] }
      default:
        return {}
    }
  })
  const { status, run } = await loadChat(server, { ...LOSSY, rate: 800, subscribers: 2, threads: 2 })
  assert.equal(status, 1)
  assert.ok(made.lost > 5)
  assert.deepEqual(run.errors.kinds, {
    lost: 2 * made.lost,
    duplicate: 2 * made.duplicate,
    mismatch: 2 * made.mismatch,
  })

  let held: string | undefined
  let swapped = 0
  await using other = await chatServer(({ number, content }) => {
    const push = pushOf(10 * number, content)
    if (number % 10 === 1) held = push
    if (number % 10 === 1) return { pushes: [] }
    const pushes = held === undefined ? [push] : [push, held]
    if (held !== undefined) swapped++
    held = undefined
    return { pushes }
  })
  const { run: late } = await loadChat(other, { ...LOSSY, rate: 800, subscribers: 1 })
  assert.ok(swapped > 5)
  assert.equal(late.errors.kinds.reordered, swapped)
  // One that comes out of order was not heard in its place.
  assert.ok((late.errors.kinds.lost ?? 0) >= swapped)
})

test('load-test chat: a message that nobody sent once, but everybody hears', async () => {
  await using server = await chatServer(({ number, content }) => ({
    pushes:
      number === 30 ? [pushOf(10 * number, content), pushOf(10 * number + 1, content)] : [pushOf(10 * number, content)],
  }))
  const { run } = await loadChat(server, { rate: 800, subscribers: 1 })
  assert.deepEqual(run.errors.kinds, { unexpected: 1 })
})

test('load-test chat: refused before it began, and ended in the middle', async () => {
  {
    await using server = await chatServer(() => ({}), 'right')
    const { status, run } = await loadChat(server, { token: 'wrong' })
    assert.equal(status, 1)
    assert.deepEqual(run.errors.details, { 'rejected: invalid token': 4 })
    const unknown = await loadChat(server, { chat: 2, subscribers: 2 })
    assert.deepEqual(unknown.run.errors.details, { 'rejected: subscriber: Чат не найден': 2 })
    assert.deepEqual(unknown.run.subscribers, { wanted: 2, opened: 0, pushes: 0 })
  }
  await using silent = await tcpServer(() => {})
  const late = await loadChat(silent, { token: 'x', timeout: '100ms', subscribers: 1 })
  assert.deepEqual(late.run.errors.kinds, { 'connect-timeout': 5 })
  await using closing = await tcpServer((socket) => socket.once('data', () => socket.end()))
  const closed = await loadChat(closing)
  assert.deepEqual(closed.run.errors.kinds, { closed: 4, lost: 4 })
  assert.equal(closed.run.endedEarly, 'no connection left')
})
