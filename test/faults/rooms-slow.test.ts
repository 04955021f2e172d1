// A file to members of different speed: the server holds little of it, the slow keep nobody waiting, and who reads
// nothing is dropped. 256 MiB to twenty are the soak's.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { encodeFrame, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import { ROOM_ID, ROOM_KIND } from '../../src/services/rooms/room-actor.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { transfer } from '../harness/rooms-transfer.ts'
import { nameOn, shardOf } from '../harness/shard-key.ts'
import { waitUntil } from '../harness/wait.ts'

const MIB = 1024 * 1024
const BYTES = 16 * MIB
/** Heaps and pools of threads that have not collected yet; what a file held whole for each would take is more. */
const GROWN_BYTES_MAX = 64 * MIB
const RECIPIENT_MS = 2_000
/** Below `shutdown.grace`, which is 30 s. */
const CLOSE_MS = 500
const ENDED_MS_MAX = 10_000
const SHARDS = 2
const JOINS = 3
/** Large enough that a few fill a ring. */
const FLOOD_BYTES = 64 * 1024

let rooms: RoomsServer
before(async () => {
  rooms = await RoomsServer.start({
    shards: SHARDS,
    settings: {
      'services.rooms.recipientTimeout': `${RECIPIENT_MS}ms`,
      'services.rooms.maxContentBytes': '16MiB',
    },
  })
})
after(() => rooms[Symbol.asyncDispose]())

test('slow members: 16 MiB to five take little memory, and who is fast does not wait for who is slow', async (context) => {
  await transfer(rooms, { bytes: BYTES, fast: 2, slow: [8 * MIB, 16 * MIB], deadlineMs: 20_000 })
  const { grownBytes, fastMs, allMs, droppedMs } = await transfer(rooms, {
    bytes: BYTES,
    fast: 2,
    slow: [8 * MIB, 16 * MIB],
    deadlineMs: 20_000,
  })
  context.diagnostic(
    `${(grownBytes / MIB).toFixed(1)} MiB more, fast ${fastMs.toFixed(0)} ms, all ${allMs.toFixed(0)} ms`,
  )
  assert.ok(grownBytes <= GROWN_BYTES_MAX, `${grownBytes} bytes`)
  assert.ok(fastMs < allMs, `${fastMs} of ${allMs} ms`)
  assert.ok(allMs >= 1_000, 'the slow ones were slow')
  assert.ok(droppedMs >= RECIPIENT_MS, `${droppedMs} ms`)
  const metrics = await rooms.server.metrics()
  assert.equal(metrics.sum('polyloop_rooms_dropped_recipients_total', { reason: 'stall' }), 2)
})

test('flood: who joins a shard first, in the middle of it, gets in and gets what is said from then on', async () => {
  const dropped = async (): Promise<number> =>
    (await rooms.server.metrics()).sum('polyloop_rooms_dropped_recipients_total', { reason: 'queue' })
  const before = await dropped()
  const home = shardOf(`${ROOM_KIND}/${ROOM_ID}`, SHARDS)
  using sender = await rooms.join(nameOn(home, SHARDS, JOINS))
  // It reads, and looks at nothing.
  sender.socket.removeAllListeners('data').resume()
  const frame = encodeFrame(MESSAGE_TYPE.utf8, '', 'x'.repeat(FLOOD_BYTES))
  const flood = Buffer.concat(Array.from({ length: 4 }, () => frame))
  let isOver = false
  const press = (): void => {
    while (!isOver && sender.socket.write(flood));
    if (!isOver) sender.socket.once('drain', press)
  }
  press()
  for (let index = 0; index < JOINS; index++) {
    const name = nameOn(1 - home, SHARDS, index)
    const member = await rooms.join(name)
    const { from, bytes } = await member.text()
    assert.deepEqual([from, bytes], [nameOn(home, SHARDS, JOINS), FLOOD_BYTES])
    // Between two of them its shard has nobody whom the room waits for.
    member.socket.destroy()
    await waitUntil(`${name} has left`, async () => (await rooms.server.metrics()).sum('polyloop_rooms_members') === 1)
  }
  isOver = true
  assert.equal(await dropped(), before)
})

test('shutdown: who takes nothing of what is on disk for it is cut off long before the grace is over', async () => {
  await using own = await RoomsServer.start({ shards: SHARDS, settings: { 'net.closeTimeout': `${CLOSE_MS}ms` } })
  const { server } = own
  using sender = await own.join('sender')
  using deaf = await own.join('deaf')
  deaf.socket.pause()
  sender.send(MESSAGE_TYPE.file, 'file.bin', Buffer.alloc(BYTES))
  await sender.nextOf(MESSAGE_TYPE.file)
  const startMs = performance.now()
  const end = await server.stop()
  const tookMs = performance.now() - startMs
  assert.ok(tookMs >= CLOSE_MS && tookMs < ENDED_MS_MAX, `${tookMs} ms`)
  assert.deepEqual(end, { status: 1, signal: null }, 'what it did not take was dropped')
})
