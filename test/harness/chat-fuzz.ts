// Throws seeded inputs at a running chat over TCP, UDP and HTTP, and holds every answer against the oracle. What it opens
// and what memory it takes is looked at by whoever runs it.
import assert from 'node:assert/strict'
import { Random } from '../simulation/random.ts'
import { ChatDatagram } from './chat-datagram.ts'
import {
  type Answer,
  type Conversation,
  conversationOf,
  fateOf,
  isHalf,
  type Known,
  parseStrictly,
} from './chat-oracle.ts'
import type { ChatServer } from './chat-server.ts'
import { damaged, datagramFrom, packetFrom, segmentsOf, streamFrom } from './chat-stream.ts'
import { openSocket, readAll } from './line-client.ts'
import { waitUntil } from './wait.ts'

/** At once. */
const STREAMS_MAX = 16
/** Fewer than a socket's buffer holds. */
const DATAGRAMS_MAX = 20
const BYTES_SHOWN = 2_000
const PUSH = /^\{"packet_type":"(Message|Typing|Status)",/
const METHODS = ['POST', 'POST', 'POST', 'GET', 'GET', 'PUT', 'DELETE', 'HEAD']
const PATHS = [
  '/api/chats/1/messages',
  '/api/chats/1/messages',
  '/api/chats/999/messages',
  '/api/chats/x/messages',
  '/api/chats/1/messages?page=0',
  '/api/chats/1/messages?page=2&per_page=1',
  '/api/chats/1',
  '/api/chats/1/typing',
  '/api/presence',
  '/api/users',
  '/api/nothing',
  '/%ff%00',
  '//',
]
const TYPES = ['application/json', 'application/json', 'application/json', 'text/plain']
const CONTENTS = ['x', 'привет', '', 'z'.repeat(4000), 'z'.repeat(4001), 7, null, '\ud800', {}]
const STATUSES: readonly number[] = [200, 201, 400, 404, 405, 409, 415]

export interface FuzzFigures {
  readonly streams: number
  readonly answers: number
  readonly datagrams: number
  readonly requests: number
}

/** `count` inputs from `seed` on: of ten seven are streams, two are requests, one is a datagram. */
export async function fuzzChat(chat: ChatServer, seed: number, count: number): Promise<FuzzFigures> {
  const known: Known = { chats: new Set([1]), users: new Set([1]) }
  const figures = { streams: 0, answers: 0, datagrams: 0, requests: 0 }
  let next = 0
  const work = async (): Promise<void> => {
    for (let input = next++; input < count; input = next++) {
      const random = new Random(seed + input)
      const named = (error: unknown): never => {
        throw new Error(`seed ${seed + input}: ${error instanceof Error ? error.message : String(error)}`)
      }
      if (input % 10 === 9) continue
      if (input % 10 >= 7) {
        await oneRequest(chat, random).catch(named)
        figures.requests++
      } else {
        const answers = await oneStream(chat, random, known).catch(named)
        figures.answers += answers
        figures.streams++
      }
    }
  }
  await Promise.all(Array.from({ length: STREAMS_MAX }, work))
  figures.datagrams = Math.floor(count / 10)
  await datagrams(chat, seed, figures.datagrams)
  return figures
}

async function oneStream(chat: ChatServer, random: Random, known: Known): Promise<number> {
  const stream = streamFrom(random)
  const socket = await openSocket({ port: chat.server.port('chat.tcp') })
  const received = readAll(socket)
  for (const segment of segmentsOf(random, stream)) {
    socket.write(segment)
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.end()
  const text = (await received).toString()
  socket.destroy()
  const expected = conversationOf(stream, known)
  const isSubscriber = stream.includes('Subscribe')
  assert.ok(text === '' || text.endsWith('\n'), `whole lines: ${text.slice(-100)}`)
  const lines = text.split('\n').slice(0, -1)
  const replies = lines.filter((line) => !(isSubscriber && PUSH.test(line)))
  if (!isAnswered(replies, expected)) throw new Error(report(stream, replies, expected.answers))
  return replies.length
}

function isAnswered(replies: readonly string[], { answers, isLastOptional }: Conversation): boolean {
  const isComplete = replies.length === answers.length || (isLastOptional && replies.length === answers.length - 1)
  return isComplete && replies.every((line, index) => matches(line, answers[index]))
}

function matches(line: string, answer: Answer | undefined): boolean {
  return answer?.some((one) => (typeof one === 'string' ? one === line : one.test(line))) === true
}

function report(stream: Buffer, replies: readonly string[], answers: readonly Answer[]): string {
  const at = answers.findIndex((answer, index) => !matches(replies[index] ?? '', answer))
  const index = at === -1 ? answers.length : at
  return [
    `answer ${index} of ${replies.length} is ${replies[index]}`,
    `where there should be ${answers[index]?.map(String).join(' or ') ?? 'the end'} of ${answers.length}`,
    `for ${stream.length} bytes ${JSON.stringify(stream.toString('latin1').slice(0, BYTES_SHOWN))}`,
  ].join('\n')
}

async function oneRequest(chat: ChatServer, random: Random): Promise<void> {
  const method = random.pick(METHODS)
  const path = random.pick(PATHS)
  const type = random.pick(TYPES)
  const good = JSON.stringify({ content: random.pick(CONTENTS), message_type: random.pick(['text', 'x', 7, null]) })
  const text = Buffer.from(random.chance(0.2) ? packetFrom(random) : good)
  const body = random.chance(0.5) ? damaged(random, text) : text
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const init = hasBody ? { method, headers: { 'content-type': type }, body } : { method }
  const { status, text: answer } = await chat.request(path, init)
  const described = `${method} ${path} ${type} ${JSON.stringify(body.toString('latin1'))}: ${status} ${answer}`
  assert.ok(STATUSES.includes(status), described)
  if (method !== 'HEAD') assert.match(answer, /^\{"success":(true|false),.*\}$/s, described)
  if (method !== 'POST' || path !== '/api/chats/1/messages') return
  const expected = type === 'application/json' ? statusOf(body) : 415
  if (expected !== undefined) assert.equal(status, expected, described)
}

/** Of a message that is posted; undefined: the page does not say. */
function statusOf(body: Buffer): 201 | 400 | undefined {
  const value = parseStrictly(body)?.value as { readonly content?: unknown; readonly message_type?: unknown } | null
  const content = value?.content
  const type = value?.message_type ?? ''
  if (isHalf(content) || typeof type !== 'string') return undefined
  const isGood = typeof content === 'string' && content !== '' && Buffer.byteLength(content) <= 4000
  return isGood ? 201 : 400
}

async function datagrams(chat: ChatServer, seed: number, count: number): Promise<void> {
  using client = new ChatDatagram(chat.server.port('chat.udp'))
  const before = await droppedOf(chat)
  const due = { pong: 0, taken: 0, oversize: 0, dropped: 0 }
  for (let input = 0; input < count; input++) {
    const datagram = datagramFrom(new Random(seed - 1 - input))
    const fate = fateOf(datagram)
    if (fate !== undefined) {
      due[fate]++
      await client.say(datagram)
    }
    if ((input + 1) % DATAGRAMS_MAX !== 0 && input + 1 < count) continue
    const isSettled = async (): Promise<boolean> => {
      const { oversize, dropped } = await droppedOf(chat)
      const isCounted = oversize - before.oversize >= due.oversize && dropped - before.dropped >= due.dropped
      return isCounted && client.answers.length >= due.pong
    }
    await waitUntil(`datagrams up to ${input} from seed ${seed}: ${JSON.stringify(due)}`, isSettled)
  }
  const { oversize, dropped } = await droppedOf(chat)
  assert.deepEqual(
    { oversize: oversize - before.oversize, dropped: dropped - before.dropped, pong: client.answers.length },
    { oversize: due.oversize, dropped: due.dropped, pong: due.pong },
    `datagrams from seed ${seed}`,
  )
  assert.ok(client.answers.every((answer) => answer.toString() === 'pong'))
}

async function droppedOf(chat: ChatServer): Promise<{ readonly oversize: number; readonly dropped: number }> {
  const metrics = await chat.server.metrics()
  const of = (reason: string): number => metrics.sum('polyloop_chat_udp_dropped_total', { reason })
  assert.equal(of('overload'), 0)
  return { oversize: of('oversize'), dropped: of('invalid') + of('unsupported') }
}
