// Reloads and other numbers of shards while a room talks: no message is lost, doubled or out of order, nobody is
// disconnected, also in the middle of a file; and a shutdown lets everybody have what was said.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { encodeFrame, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { RoomsCrowd } from '../harness/rooms-crowd.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { waitUntil } from '../harness/wait.ts'

const MEMBERS = 12
const MOVED_MS_MAX = 60_000
const MIB = 1024 * 1024

let rooms: RoomsServer
before(async () => {
  rooms = await RoomsServer.start({ shards: 2 })
})
after(async () => {
  await rooms[Symbol.asyncDispose]()
  assert.deepEqual(rooms.server.stray, [])
})

async function move(path: string, body: object, index: number): Promise<void> {
  const { server } = rooms
  const headers = { 'content-type': 'application/json' }
  assert.equal((await server.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).status, 202)
  await waitUntil(`move ${index} is done`, () => server.logged('runtime.move_done').length > index, MOVED_MS_MAX)
  assert.deepEqual(server.logged('runtime.rollout_failed'), [])
}

test('reload: a room that talks loses nothing, and nobody is disconnected', async () => {
  using crowd = await RoomsCrowd.open(rooms, MEMBERS)
  crowd.start()
  for (const [index, [path, body]] of (
    [
      ['/api/v1/reload', {}],
      ['/api/v1/shards', { count: 1 }],
    ] as const
  ).entries()) {
    const { sent } = crowd
    await waitUntil('they talk', () => crowd.sent > sent + 2 * MEMBERS)
    await move(path, body, index)
  }
  await crowd.stop()
  crowd.assertWhole()
  const metrics = await rooms.server.metrics()
  assert.equal(metrics.sum('polyloop_migrations_total', { result: 'failed' }), 0)
  assert.ok(metrics.sum('polyloop_migrations_total', { result: 'ok' }) >= MEMBERS)
  assert.equal(metrics.sum('polyloop_rooms_members'), MEMBERS)
})

test('reload: connections in the middle of a login, a text and two files go on elsewhere', async () => {
  using reader = await rooms.join('reader')
  using guest = await rooms.open()
  const login = encodeFrame(MESSAGE_TYPE.login, 'latecomer')
  guest.send(MESSAGE_TYPE.utf8)
  await guest.next()
  guest.write(login.subarray(0, 20))
  const file = randomBytes(6 * MIB)
  const senders = await Promise.all(['text', 'file', 'private'].map((name) => rooms.join(name)))
  const frames = [
    encodeFrame(MESSAGE_TYPE.utf8, '', 'ж'.repeat(100_000)),
    encodeFrame(MESSAGE_TYPE.file, 'a.bin', file),
    encodeFrame(MESSAGE_TYPE.utf8, '{"to":"reader"}', 'ж'.repeat(MIB)),
  ]
  const cuts = [50_001, 3 * MIB + 7, MIB + 1]
  for (const [index, sender] of senders.entries())
    sender.write(frames[index]?.subarray(0, cuts[index]) ?? Buffer.alloc(0))
  await waitUntil('two contents are on disk', () => rooms.files().length === 2)
  await move('/api/v1/reload', {}, 2)
  const metrics = await rooms.server.metrics()
  assert.equal(metrics.sum('polyloop_migrations_total', { result: 'lingered' }), 0)
  for (const [index, sender] of senders.entries())
    sender.write(frames[index]?.subarray(cuts[index] ?? 0) ?? Buffer.alloc(0))
  guest.write(login.subarray(20))
  assert.equal((await guest.next()).type, MESSAGE_TYPE.login)
  const got = [await reader.nextOf(MESSAGE_TYPE.file)]
  assert.equal(got[0]?.sha256, createHash('sha256').update(file).digest('hex'))
  // In whatever order they came.
  await waitUntil('the texts', async () => (await senders[2]?.text())?.bytes === 2 * MIB)
  await waitUntil('nothing is left on disk', () => rooms.files().length === 0)
})

test('shutdown: what was said arrives, then FIN, and no directory is left', async () => {
  using alice = await rooms.join('alice')
  using bob = await rooms.join('bob')
  alice.say('last')
  await alice.text()
  assert.equal((await rooms.server.stop()).status, 0)
  assert.equal((await bob.text()).text, 'last')
  await bob.end()
  assert.deepEqual(rooms.directories(), [])
})
