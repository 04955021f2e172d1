// A file to members of different speed: the server holds little of it, the slow keep nobody waiting, and who reads
// nothing is dropped. 256 MiB to twenty are the soak's.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { RoomsServer } from '../harness/rooms-server.ts'
import { transfer } from '../harness/rooms-transfer.ts'

const MIB = 1024 * 1024
const BYTES = 16 * MIB
/** Heaps and pools of threads that have not collected yet; what a file held whole for each would take is more. */
const GROWN_BYTES_MAX = 64 * MIB
const RECIPIENT_MS = 2_000

let rooms: RoomsServer
before(async () => {
  rooms = await RoomsServer.start({
    shards: 2,
    settings: { 'services.rooms.recipientTimeout': `${RECIPIENT_MS}ms`, 'services.rooms.maxContentBytes': '16MiB' },
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
