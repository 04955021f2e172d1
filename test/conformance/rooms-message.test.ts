// Messages in rooms: R6 to R13 of the conformance checklist, and the answers to bad input.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { encodeDescriptor, encodeFrame, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import type { Received, RoomsMember } from '../harness/rooms-member.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { waitUntil } from '../harness/wait.ts'

const MIB = 1024 * 1024

let rooms: RoomsServer
let alice: RoomsMember
let bob: RoomsMember
let carol: RoomsMember
before(async () => {
  rooms = await RoomsServer.start({ shards: 2 })
  alice = await rooms.join('alice')
  bob = await rooms.join('bob')
  carol = await rooms.join('carol')
  await alice.nextOf(MESSAGE_TYPE.login)
  await alice.nextOf(MESSAGE_TYPE.login)
  await bob.nextOf(MESSAGE_TYPE.login)
})
after(() => rooms[Symbol.asyncDispose]())

/** The next frame of each, which must be the same. */
async function allGet(deadlineMs?: number): Promise<Received> {
  const [first, ...others] = await Promise.all(
    [alice, bob, carol].map((member) => member.next('a message', deadlineMs)),
  )
  assert.ok(first)
  for (const other of others) assert.deepEqual(other, first)
  return first
}

/** `alice` gets this answer, and the others nothing. */
async function answered(text: string): Promise<void> {
  const { type, from, text: said, raw } = await alice.next(`the answer ${text}`)
  assert.deepEqual([type, from, said], [MESSAGE_TYPE.utf8, 'server', text])
  assert.match(raw, /^\{"timestamp":"[^"]+","from":"server"\}$/)
  alice.say('after it')
  assert.equal((await allGet()).text, 'after it')
}

test('text: everybody gets it, the sender too', async () => {
  alice.say('привет')
  const { raw, type, text } = await allGet()
  assert.deepEqual([type, text], [MESSAGE_TYPE.utf8, 'привет'])
  assert.match(raw, /^\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","from":"alice"\}$/)
})

test('types: image, file and voice arrive as they are; an empty content too', async () => {
  const content = randomBytes(1_000)
  const sha256 = createHash('sha256').update(content).digest('hex')
  for (const type of [MESSAGE_TYPE.image, MESSAGE_TYPE.voice, MESSAGE_TYPE.file]) {
    bob.send(type, 'a.bin', content)
    const got = await allGet()
    const filename = type === MESSAGE_TYPE.file ? 'a.bin' : undefined
    assert.deepEqual([got.type, got.sha256, got.filename], [type, sha256, filename])
  }
  bob.send(MESSAGE_TYPE.image, '{"filename":"x.png"}')
  const empty = await allGet()
  assert.deepEqual([empty.bytes, empty.filename], [0, 'x.png'])
})

test('file names: what follows the last separator, without anything to escape', async () => {
  const names: [string, string][] = [
    ['a.txt', 'a.txt'],
    ['../../x/b.txt', 'b.txt'],
    ['C:\\temp\\c.txt', 'c.txt'],
    ['say "hi"\n.txt', 'say _hi__.txt'],
    ['{"filename":"d:\\u0000\\u009f.txt"}', 'd___.txt'],
    ['{"filename":7}', '{_filename__7}'],
    ['[1]', '[1]'],
    ['ж'.repeat(127), 'ж'.repeat(127)],
    ['NUL', 'NUL'],
    ['..hidden', '..hidden'],
  ]
  for (const [given, expected] of names) {
    carol.send(MESSAGE_TYPE.file, given, 'x')
    const { filename, raw } = await allGet()
    assert.equal(filename, expected)
    assert.ok(!raw.includes('\\'), raw)
  }
})

test('file names: those that are not acceptable are answered; on other types they are left out', async () => {
  const names = [
    '',
    '..',
    '.',
    'a/',
    'a/..',
    '\\',
    'x'.repeat(256),
    Buffer.from([0x61, 0xff]),
    '{"filename":".."}',
    '{"to":"bob"}',
  ]
  for (const name of names) {
    alice.send(MESSAGE_TYPE.file, name, 'content')
    await answered('File name is not acceptable')
  }
  alice.send(MESSAGE_TYPE.image, '{"filename":".."}', 'content')
  assert.equal((await allGet()).filename, undefined)
  alice.send(MESSAGE_TYPE.utf8, Buffer.from([0xff, 0x7b]), 'a header that is nothing')
  assert.equal((await allGet()).text, 'a header that is nothing')
})

test('private: only the recipient and the sender get it', async () => {
  alice.say('psst', 'bob')
  alice.say('to all')
  for (const one of [await alice.next(), await bob.next()]) {
    assert.deepEqual([one.text, one.from, one.to], ['psst', 'alice', 'bob'])
    assert.match(one.raw, /^\{"timestamp":"[^"]+","from":"alice","to":"bob"\}$/)
  }
  assert.equal((await allGet()).text, 'to all')
  alice.say('to myself', 'alice')
  alice.send(MESSAGE_TYPE.file, '{"to":"bob","filename":"a.txt"}', 'x')
  assert.equal((await alice.next()).text, 'to myself')
  const file = await alice.next()
  assert.match(file.raw, /"from":"alice","filename":"a.txt","to":"bob"\}$/)
  assert.deepEqual(await bob.next(), file)
  for (const nobody of ['""', 'null']) {
    alice.send(MESSAGE_TYPE.utf8, `{"to":${nobody}}`, 'absent')
    assert.equal((await allGet()).to, undefined)
  }
})

test('private: an unknown recipient is answered, with its name cleaned and cut', async () => {
  alice.say('psst', 'dave')
  await answered('User dave is not in the room')
  alice.say('psst', 'Bob')
  await answered('User Bob is not in the room')
  alice.say('psst', `a b"\n${'ж'.repeat(40)}`)
  await answered(`User a_b__${'_'.repeat(27)} is not in the room`)
  alice.send(MESSAGE_TYPE.image, '{"to":"dave"}', randomBytes(300 * 1024))
  await answered('User dave is not in the room')
})

test('bad input: answered by the server, and the next message works', async () => {
  alice.send(77, 'header', 'x'.repeat(300 * 1024))
  await answered('Message type 77 is not accepted')
  for (const type of [MESSAGE_TYPE.login, MESSAGE_TYPE.badLogin, 0, 10, 0xffff]) {
    alice.send(type, 'x')
    await answered(`Message type ${type} is not accepted`)
  }
  alice.send(MESSAGE_TYPE.utf8, 'x'.repeat(4_097), 'text')
  await answered('Header is longer than 4096 bytes')
  alice.send(MESSAGE_TYPE.utf8, 'x'.repeat(4_096), 'at the limit')
  assert.equal((await allGet()).text, 'at the limit')
  alice.send(MESSAGE_TYPE.utf8, '', Buffer.from([0xc3, 0x28]))
  await answered('Text is not valid UTF-8')
  alice.send(MESSAGE_TYPE.utf8, '', Buffer.concat([Buffer.alloc(300 * 1024, 'ж'), Buffer.from([0xd0])]))
  await answered('Text is not valid UTF-8')
})

test('reserved bytes: ignored from clients, zero from the server', async () => {
  const bytes: Buffer[] = []
  bob.socket.on('data', (chunk: Buffer) => bytes.push(chunk))
  const frame = encodeFrame(MESSAGE_TYPE.utf8, '', 'reserved')
  frame.fill(0xff, 4, 8)
  alice.write(frame)
  assert.equal((await allGet()).text, 'reserved')
  assert.equal(Buffer.concat(bytes).readUInt32LE(4), 0)
})

test('files: 10 MiB arrive intact at three members, and so do sizes around the limit of memory', async () => {
  const sizes = [10 * MIB, 256 * 1024, 256 * 1024 + 1, 128 * 1024 * 3]
  for (const size of sizes) {
    const content = randomBytes(size)
    bob.send(MESSAGE_TYPE.file, 'big.bin', content)
    bob.say('behind it')
    const got = await allGet()
    assert.deepEqual([got.bytes, got.sha256], [size, createHash('sha256').update(content).digest('hex')])
    assert.equal((await allGet()).text, 'behind it')
  }
  await waitUntil('the spool is empty', () => rooms.files().length === 0)
  const metrics = await rooms.server.metrics()
  assert.equal(metrics.sum('polyloop_rooms_spool_bytes'), 0)
})

test('files: a long text is checked in parts', async () => {
  const text = 'жы€\u{1F600}'.repeat(40_000)
  bob.send(MESSAGE_TYPE.utf8, '', text)
  const got = await allGet()
  assert.equal(got.sha256, createHash('sha256').update(text).digest('hex'))
})

test('files: a sender that stops halfway delivers nothing and blocks nobody', async () => {
  using dave = await rooms.join('dave')
  assert.equal((await allGet()).from, 'dave')
  dave.announce(MESSAGE_TYPE.file, 5, 10 * MIB)
  dave.write(Buffer.concat([Buffer.from('x.bin'), randomBytes(MIB)]))
  await waitUntil('its file is on disk', () => rooms.files().length === 1)
  alice.say('meanwhile')
  assert.equal((await allGet()).text, 'meanwhile')
  dave.close()
  const left = await allGet()
  assert.deepEqual([left.type, left.from], [MESSAGE_TYPE.logout, 'dave'])
  await waitUntil('its file is gone', () => rooms.files().length === 0)
})

test('content over the limit: announced only, answered and closed', async () => {
  for (const bytes of [64 * MIB + 1, 2n ** 63n, 2n ** 64n - 1n]) {
    using dave = await rooms.join('dave')
    await allGet()
    const before = rooms.server.rss()
    dave.write(encodeDescriptor(MESSAGE_TYPE.file, 5, bytes))
    dave.write(Buffer.from('x.bin and some content that nobody reads'))
    const { from, text } = await dave.next()
    assert.deepEqual([from, text], ['server', `Content is larger than ${64 * MIB} bytes`])
    await dave.end()
    assert.equal((await allGet()).type, MESSAGE_TYPE.logout)
    assert.ok(rooms.server.rss() - before < 32 * MIB)
  }
})

test('order: everybody sees the same, and what one says stays in order', async () => {
  const each = 300
  for (let index = 0; index < each; index++) {
    for (const member of [alice, bob, carol])
      member.say(`${member === alice ? 'a' : member === bob ? 'b' : 'c'}${index}`)
  }
  const seen: string[][] = [[], [], []]
  for (const [at, member] of [alice, bob, carol].entries())
    for (let count = 0; count < 3 * each; count++) seen[at]?.push((await member.next()).text)
  assert.deepEqual(seen[1], seen[0])
  assert.deepEqual(seen[2], seen[0])
  for (const letter of ['a', 'b', 'c']) {
    const own = (seen[0] ?? []).filter((text) => text.startsWith(letter))
    assert.deepEqual(
      own,
      Array.from({ length: each }, (_, index) => `${letter}${index}`),
    )
  }
})

test('metrics: messages, contents and rejections', async () => {
  const metrics = await rooms.server.metrics()
  assert.ok(metrics.sum('polyloop_rooms_messages_total', { type: 'utf8', scope: 'room' }) > 900)
  assert.ok(metrics.sum('polyloop_rooms_messages_total', { type: 'utf8', scope: 'private' }) >= 2)
  for (const reason of ['recipient', 'file_name', 'not_utf8', 'type', 'header', 'content'])
    assert.ok(metrics.sum('polyloop_rooms_rejected_total', { reason }) > 0, reason)
  const [taken, given] = ['in', 'out'].map((direction) =>
    metrics.sum('polyloop_rooms_content_bytes_total', { direction }),
  )
  assert.ok(taken !== undefined && given !== undefined && taken > 10 * MIB && given > 3 * 10 * MIB)
  assert.deepEqual(rooms.server.logged('services.handler_failed'), [])
  assert.deepEqual(rooms.server.stray, [])
})
