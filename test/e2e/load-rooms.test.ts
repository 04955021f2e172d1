// The load test against a room that is small enough to be wrong in a known way; the real one is in rooms-client.test.ts.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { LoadTestOptions } from '../../src/cli/load/plan.ts'
import { encodeFrame, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { FrameParser } from '../../src/services/rooms/frame-parser.ts'
import { assertClean, LOSSY, load, type Outcome, type Server, SHORT, tcpServer } from './load-server.ts'

interface Message {
  /** Counts the messages of all members from 1. */
  readonly number: number
  readonly type: number
  readonly header: string
  readonly content: Buffer
}

/** What a member gets of a message, in the order of the members' logins. By default, the message. */
type Reaction = (message: Message, member: number) => readonly Buffer[]

const HEADER_BYTES_MAX = 4_096
const frame = ({ type, content }: Pick<Message, 'type' | 'content'>): Buffer =>
  encodeFrame(type, '{"timestamp":"2026-01-02T03:04:05.678Z","from":"x"}', content)
const ofServer = (text: string): Buffer =>
  encodeFrame(MESSAGE_TYPE.utf8, '{"timestamp":"2026-01-02T03:04:05.678Z","from":"server"}', text)
const same: Reaction = (message) => [frame(message)]

async function room(
  react: Reaction,
  login: number = MESSAGE_TYPE.login,
): Promise<Server & { readonly headers: Set<string> }> {
  const members: Socket[] = []
  const headers = new Set<string>()
  let number = 0
  const server = await tcpServer((socket) => {
    let type = 0
    let header = ''
    let parts: Buffer[] = []
    const end = (): void => {
      if (type === MESSAGE_TYPE.login) {
        members.push(socket)
        socket.write(encodeFrame(login))
        for (const member of members) member.write(encodeFrame(type, `{"from":"${header}"}`))
        return
      }
      headers.add(header)
      const message = { number: ++number, type, header, content: Buffer.concat(parts) }
      for (const [index, member] of members.entries()) for (const bytes of react(message, index)) member.write(bytes)
    }
    const parser = new FrameParser(
      {
        begin: (given) => {
          type = given
          parts = []
          return 'take'
        },
        header: (bytes) => {
          header = bytes.toString()
        },
        content: (chunk) => void parts.push(Buffer.from(chunk)),
        end,
      },
      { headerBytesMax: HEADER_BYTES_MAX },
    )
    socket.on('data', (bytes: Buffer) => parser.push(bytes))
    socket.on('close', () => members.splice(members.indexOf(socket), 1))
  })
  return { ...server, headers }
}

function loadRoom(server: Server, options: LoadTestOptions = {}): Promise<Outcome> {
  return load(server.url.replace('tcp:', 'rooms:'), { ...SHORT, ...options })
}

test('load-test rooms: every message reaches every member once, in one order', async () => {
  await using server = await room(same)
  const outcome = await loadRoom(server, { window: 4, threads: 2, subscribers: 3 })
  assertClean(outcome)
  const { fanOut, messages, throughput } = outcome.run
  assert.deepEqual(fanOut?.members, { wanted: 7, opened: 7 })
  assert.ok(fanOut.deliveries > 5 * throughput.answers && fanOut.deliveries <= 7 * messages.sent)
  assert.equal(fanOut.latency.count, fanOut.deliveries)
  assert.deepEqual([...server.headers], [''])
  const open = await loadRoom(server, { rate: 400, connections: 2 })
  assertClean(open)
  assert.equal(open.run.messages.sent, 100)
})

test('load-test rooms: files, larger than one read', async () => {
  await using server = await room(same)
  const outcome = await loadRoom(server, { files: true, size: 300_000, connections: 2, subscribers: 1 })
  assert.deepEqual(outcome.run.errors, { total: 0, kinds: {}, details: {} })
  assert.ok(outcome.run.messages.answered >= 2)
  assert.deepEqual([...server.headers], ['{"filename":"load.bin"}'])
  const { deliveriesPerSecond = 0, bytesPerSecond } = outcome.run.fanOut ?? {}
  assert.equal(bytesPerSecond, deliveriesPerSecond * 300_000)
})

test('load-test rooms: what others and the server say', async () => {
  let refused = 0
  await using server = await room((message, member) => {
    if (message.number % 5 !== 0) return [ofServer('of the server, to a listener').subarray(0, 0), frame(message)]
    if (member === 0) refused++
    return member === 0 ? [ofServer('Server storage is full')] : []
  })
  // One sender: its refusal goes to it alone.
  const { status, run } = await loadRoom(server, { rate: 200, connections: 1, subscribers: 1 })
  assert.equal(status, 1)
  assert.ok(refused > 5)
  assert.deepEqual(run.errors.kinds, { failed: refused })
  assert.equal(run.errors.details['failed: Server storage is full'], refused)
  const text = { type: MESSAGE_TYPE.utf8, content: Buffer.from('hello all') }
  const large = { type: MESSAGE_TYPE.file, content: Buffer.alloc(10_000) }
  await using busy = await room((message) => [frame(text), frame(large), frame(message)])
  assertClean(await loadRoom(busy, { subscribers: 1 }))
})

test('load-test rooms: messages that a member misses, gets twice, late or changed', async () => {
  const made = { lost: 0, duplicate: 0, mismatch: 0, reordered: 0 }
  let held: Buffer | undefined
  await using server = await room((message, member) => {
    if (member !== 1) return [frame(message)]
    const late = held
    held = undefined
    if (late !== undefined) return [frame(message), late]
    switch (message.number % 20) {
      case 2:
        made.lost++
        return []
      case 7:
        made.duplicate++
        return [frame(message), frame(message)]
      case 12:
        made.mismatch++
        return [frame({ ...message, content: Buffer.concat([message.content.subarray(0, -1), Buffer.from('!')]) })]
      case 17:
        made.reordered++
        held = frame(message)
        return []
      default:
        return [frame(message)]
    }
  })
  const { status, run } = await loadRoom(server, { ...LOSSY, rate: 800, connections: 1, subscribers: 2 })
  assert.equal(status, 1)
  assert.ok(made.lost > 5)
  assert.deepEqual(run.errors.kinds, made)
  assert.equal(run.errors.details['lost: for a member'], made.lost)
  assert.equal(run.messages.missing, 0)
})

test('load-test rooms: members who hear the room in different orders', async () => {
  const held: Message[] = []
  // The bytes of the generator's messages that say who sent them.
  const senderOf = ({ content }: Message): string => content.toString('latin1', 3, 6)
  await using server = await room((message, member) => {
    if (member !== 2) return [frame(message)]
    // The listener gets messages two by two, the newer one first when they are of two senders: each stays in order.
    held.push(message)
    if (held.length < 2) return []
    const pair = held.splice(0)
    return new Set(pair.map(senderOf)).size === 2 ? pair.reverse().map(frame) : pair.map(frame)
  })
  const { status, run } = await loadRoom(server, { rate: 400, connections: 2, subscribers: 1 })
  assert.equal(status, 1)
  assert.deepEqual(run.errors.details, { 'reordered: for a member': 1 })
})

test('load-test rooms: a room that does not let anybody in', async () => {
  await using server = await room(same, MESSAGE_TYPE.usernameExists)
  const { status, run } = await loadRoom(server, { subscribers: 1 })
  assert.equal(status, 1)
  assert.equal(run.connections.opened, 0)
  assert.equal(run.errors.details['rejected: the name is in use'], 4)
  assert.equal(run.errors.details['rejected: listener: the name is in use'], 1)
})
