// Whatever bytes come: the answers are those of the protocol's page, the server stays alive, nothing is left behind, and
// no file lies outside of the spool. A hundred thousand streams are the soak's.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fuzzRooms } from '../harness/rooms-fuzz.ts'
import { CONTENT_BYTES_MAX, OBSERVER } from '../harness/rooms-oracle.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { waitUntil } from '../harness/wait.ts'

const STREAMS = Number(process.env.POLYLOOP_FUZZ_INPUTS ?? 2_000)
const SEED = Number(process.env.POLYLOOP_FUZZ_SEED ?? Date.now() % 1_000_000_000)
const DESCRIPTOR_SLACK = 4
/** Heaps of threads that have not collected yet. */
const GROWTH_BYTES_MAX = 128 * 1024 ** 2

let rooms: RoomsServer
before(async () => {
  rooms = await RoomsServer.start({ settings: { 'services.rooms.maxContentBytes': CONTENT_BYTES_MAX } })
})
after(async () => {
  await rooms[Symbol.asyncDispose]()
  assert.deepEqual(rooms.server.stray, [])
})

test(`rooms: ${STREAMS} streams get the documented answers and leave nothing behind (seed ${SEED})`, async (context) => {
  const { server } = rooms
  using observer = await rooms.join(OBSERVER)
  await fuzzRooms(rooms, SEED + STREAMS, 50)
  const before = { descriptors: server.descriptors(), bytes: server.rss() }
  context.diagnostic(`answers: ${await fuzzRooms(rooms, SEED, STREAMS)}`)
  const members = async (): Promise<number> => (await server.metrics()).sum('polyloop_rooms_members')
  await waitUntil('only the observer is left', async () => (await members()) === 1)
  await waitUntil('nothing is left on disk', () => rooms.files().length === 0)
  await waitUntil('descriptors are back', () => server.descriptors() <= before.descriptors + DESCRIPTOR_SLACK)
  const grown = server.rss() - before.bytes
  assert.ok(grown <= GROWTH_BYTES_MAX, `${grown} bytes more`)
  assert.ok(!observer.hasEnded)
  assert.equal((await server.metrics()).sum('polyloop_shard_restarts_total'), 0)
  assert.equal((await server.metrics()).sum('polyloop_rooms_spool_bytes'), 0)
  assert.deepEqual(
    server.log.filter(({ level, event }) => level === 'error' || (level === 'warn' && event.startsWith('rooms.'))),
    [],
  )
})
