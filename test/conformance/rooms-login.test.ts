// Logging in to rooms, joins and leaves: R1 to R5 of the conformance checklist, and the limits of a login.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { encodeDescriptor, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { waitUntil } from '../harness/wait.ts'

const LOGIN_MS = 1_500

let rooms: RoomsServer
before(async () => {
  rooms = await RoomsServer.start({ shards: 2, settings: { 'services.rooms.loginTimeout': `${LOGIN_MS}ms` } })
})
after(() => rooms[Symbol.asyncDispose]())

test('login: the answer is 16 bytes, then comes the own join', async () => {
  using bob = await rooms.open()
  const bytes: Buffer[] = []
  bob.socket.on('data', (chunk: Buffer) => bytes.push(chunk))
  bob.send(MESSAGE_TYPE.login, 'bob_r1')
  await bob.nextOf(MESSAGE_TYPE.login)
  const joined = await bob.next()
  assert.deepEqual(Buffer.concat(bytes).subarray(0, 16), encodeDescriptor(MESSAGE_TYPE.login, 0, 0))
  assert.match(joined.raw, /^\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","from":"bob_r1"\}$/)
  assert.equal(joined.bytes, 0)
})

test('login: a name in use is refused, its holder stays, and another name is accepted', async () => {
  using first = await rooms.join('carol')
  using second = await rooms.open()
  assert.equal(await second.tryLogin('carol'), MESSAGE_TYPE.usernameExists)
  await second.login('carol2')
  second.say('for carol')
  assert.equal((await first.text()).text, 'for carol')
  using third = await rooms.join('Carol') // case-sensitive
  assert.ok(!third.hasEnded)
})

test('login: names that nobody may have are refused', async () => {
  const names = [
    '',
    'x'.repeat(33),
    'a b',
    Buffer.from([0xff, 0xfe]),
    'server',
    'SERVER',
    'ü',
    '{"to":""}',
    '{"to":7}',
    '{"a":1}',
  ]
  using guest = await rooms.open()
  for (const name of names) assert.equal(await guest.tryLogin(name), MESSAGE_TYPE.badUsername, String(name))
  assert.equal(await guest.tryLogin('x'.repeat(4_097)), MESSAGE_TYPE.badUsername, 'a header over 4 KiB')
  await guest.login('x'.repeat(32))
})

test('login: what is no login is consumed and refused, and one right behind it is accepted', async () => {
  using guest = await rooms.open()
  guest.send(MESSAGE_TYPE.utf8, 'header', 'x'.repeat(64 * 1024))
  guest.send(77)
  guest.send(MESSAGE_TYPE.login, '{"to":"bob_r4"}', 'content that is ignored')
  assert.equal((await guest.next()).type, MESSAGE_TYPE.badLogin)
  assert.equal((await guest.next()).type, MESSAGE_TYPE.badLogin)
  assert.equal((await guest.next()).type, MESSAGE_TYPE.login)
  assert.equal((await guest.next()).from, 'bob_r4')
})

test('login: what comes behind it in the same segment is of a member', async () => {
  using guest = await rooms.open()
  guest.send(MESSAGE_TYPE.login, 'hasty')
  guest.say('one')
  guest.say('two')
  assert.equal((await guest.text()).text, 'one')
  assert.equal((await guest.text()).text, 'two')
})

test('login: more than 64 KiB of content before it ends the connection', async () => {
  for (const type of [MESSAGE_TYPE.utf8, MESSAGE_TYPE.login]) {
    using guest = await rooms.open()
    guest.announce(type, 3, 64 * 1024 + 1)
    assert.equal((await guest.next()).type, MESSAGE_TYPE.badLogin)
    await guest.end()
  }
})

test('login: the sixteenth refusal is the last', async () => {
  using guest = await rooms.open()
  for (let count = 0; count < 16; count++) assert.equal(await guest.tryLogin('a b'), MESSAGE_TYPE.badUsername)
  await guest.end()
  using other = await rooms.open()
  for (let count = 0; count < 15; count++) await other.tryLogin('a b')
  await other.login('patient')
})

test('login: a guest that does not log in is closed in time, not before; members stay', async () => {
  using member = await rooms.join('stays')
  using guest = await rooms.open()
  const openedMs = performance.now()
  await guest.tryLogin('a b')
  await guest.end()
  const tookMs = performance.now() - openedMs
  assert.ok(tookMs >= LOGIN_MS - 20 && tookMs < LOGIN_MS + 1_000, `${tookMs} ms`)
  assert.ok(!member.hasEnded)
  const metrics = await rooms.server.metrics()
  assert.equal(metrics.sum('polyloop_rooms_logins_total', { result: 'timeout' }), 1)
})

test('join and leave: everybody is told, the leaver is not, and the name is free', async () => {
  using alice = await rooms.join('alice')
  using bob = await rooms.join('bob')
  const joined = await alice.next()
  assert.deepEqual([joined.type, joined.from, joined.bytes], [MESSAGE_TYPE.login, 'bob', 0])
  const before = bob.frames.length
  bob.send(MESSAGE_TYPE.logout, 'ignored', 'ignored too')
  const left = await alice.nextOf(MESSAGE_TYPE.logout)
  assert.deepEqual([left.from, left.bytes], ['bob', 0])
  await bob.end()
  assert.equal(bob.frames.length, before)
  using again = await rooms.join('bob')
  again.close()
  assert.equal((await alice.nextOf(MESSAGE_TYPE.logout)).from, 'bob')
  using half = await rooms.join('bob')
  half.say('last words')
  half.socket.end()
  assert.equal((await alice.text()).text, 'last words')
  assert.equal((await alice.nextOf(MESSAGE_TYPE.logout)).from, 'bob')
  await half.end()
  assert.ok(
    half.frames.some(({ text }) => text === 'last words'),
    'what was said before its leave',
  )
})

test('metrics: members and logins', async () => {
  using one = await rooms.join('counted')
  const count = async (): Promise<number> => (await rooms.server.metrics()).sum('polyloop_rooms_members')
  const members = await waitUntil('somebody is in the room', async () => (await count()) || undefined)
  one.close()
  await waitUntil('one less', async () => (await count()) === members - 1)
  const metrics = await rooms.server.metrics()
  for (const [result, least] of [
    ['accepted', 10],
    ['exists', 1],
    ['bad_username', 30],
    ['bad_login', 4],
  ] as const)
    assert.ok(metrics.sum('polyloop_rooms_logins_total', { result }) >= least, result)
  assert.equal(metrics.sum('polyloop_rooms_rejected_total', { reason: 'refusals' }), 1)
})
