// Rooms for minutes: a hundred thousand streams against the oracle, and a large file to twenty members of different speed,
// one of whom does not read.
import assert from 'node:assert/strict'
import { fuzzRooms } from '../harness/rooms-fuzz.ts'
import { CONTENT_BYTES_MAX, OBSERVER } from '../harness/rooms-oracle.ts'
import { RoomsServer } from '../harness/rooms-server.ts'
import { transfer } from '../harness/rooms-transfer.ts'
import { waitUntil } from '../harness/wait.ts'
import { defineScenario, mebibytes, type SoakFigure } from './scenario.ts'

const MIB = 1024 * 1024
const STREAMS = 100_000
const QUICK_STREAMS = 4_000
/** Streams between two looks at memory. */
const STEPS = 10
/** Heaps have grown by then; what grows after it is a leak. */
const FIRST_STEPS = 3
const DESCRIPTOR_SLACK = 4
const LEAK_BYTES_MAX = 64 * MIB
const FILE_BYTES = 256 * MIB
const QUICK_FILE_BYTES = 64 * MIB
const FAST = 10
const SLOW = [10, 15, 20, 25, 30, 40, 50, 60, 80].map((speed) => speed * MIB)
/** Of the file held for each receiver: below a tenth. */
const GROWN_BYTES_MAX = 160 * MIB
const TRANSFER_MS = 300_000

export const rooms = defineScenario({
  claim:
    'Whatever bytes a room is sent, its answers are the documented ones and nothing leaks; a file of 256 MiB to twenty members of different speed takes little memory, and one that does not read is dropped without keeping others.',
  limitMs: 30 * 60_000,
  async run({ quick, log }) {
    const seed = Date.now() % 1_000_000_000
    log(`seed ${seed}`)
    const figures: SoakFigure[] = [{ name: 'seed', value: `${seed}` }]
    figures.push(...(await transferred(quick ? QUICK_FILE_BYTES : FILE_BYTES, log)))
    figures.push(...(await fuzzed(seed, quick ? QUICK_STREAMS : STREAMS, log)))
    return figures
  },
})

async function transferred(bytes: number, log: (line: string) => void): Promise<SoakFigure[]> {
  const settings = { 'services.rooms.maxContentBytes': bytes, 'services.rooms.recipientTimeout': '10s' }
  await using server = await RoomsServer.start({ settings })
  const options = { fast: FAST, slow: SLOW, deadlineMs: TRANSFER_MS }
  // Heaps grow to their working size with the first file.
  await transfer(server, { ...options, bytes: bytes / 8 })
  const { grownBytes, fastMs, allMs, droppedMs } = await transfer(server, { ...options, bytes })
  log(`${mebibytes(grownBytes)} more, fast ${fastMs.toFixed(0)} ms, all ${allMs.toFixed(0)} ms`)
  assert.ok(grownBytes <= GROWN_BYTES_MAX, mebibytes(grownBytes))
  assert.ok(fastMs < allMs)
  assert.deepEqual(server.server.stray, [])
  return [
    {
      name: `${mebibytes(bytes)} to ${FAST + SLOW.length} members: most resident memory above before`,
      value: mebibytes(grownBytes),
    },
    { name: 'the last of the fast ones, of all', value: `${fastMs.toFixed(0)} ms, ${allMs.toFixed(0)} ms` },
    { name: 'the one that did not read was dropped (after 10 s without a byte)', value: `${droppedMs.toFixed(0)} ms` },
  ]
}

async function fuzzed(seed: number, streams: number, log: (line: string) => void): Promise<SoakFigure[]> {
  await using server = await RoomsServer.start({ settings: { 'services.rooms.maxContentBytes': CONTENT_BYTES_MAX } })
  const { server: process } = server
  let observer = await server.join(OBSERVER)
  const step = streams / STEPS
  const rests: { readonly descriptors: number; readonly bytes: number }[] = []
  let answers = 0
  for (let index = 0; index < STEPS; index++) {
    answers += await fuzzRooms(server, seed + index * step, step)
    // It keeps what it gets.
    observer.close()
    const members = async (): Promise<number> => (await process.metrics()).sum('polyloop_rooms_members')
    await waitUntil('all have left', async () => (await members()) === 0)
    await waitUntil('nothing is left on disk', () => server.files().length === 0)
    observer = await server.join(OBSERVER)
    const rest = { descriptors: process.descriptors(), bytes: process.rss() }
    rests.push(rest)
    log(`${(index + 1) * step} streams, ${rest.descriptors} descriptors, ${mebibytes(rest.bytes)}`)
  }
  observer.close()
  const first = rests[FIRST_STEPS - 1]
  const last = rests.at(-1)
  assert.ok(first !== undefined && last !== undefined)
  assert.ok(last.descriptors <= first.descriptors + DESCRIPTOR_SLACK, `${first.descriptors}, then ${last.descriptors}`)
  assert.ok(last.bytes <= first.bytes + LEAK_BYTES_MAX, `${mebibytes(first.bytes)}, then ${mebibytes(last.bytes)}`)
  assert.equal((await process.metrics()).sum('polyloop_shard_restarts_total'), 0)
  assert.ok(await process.isHealthy())
  assert.deepEqual(process.stray, [])
  return [
    { name: 'streams', value: `${streams}` },
    { name: 'frames answered, each as documented', value: `${answers}` },
    {
      name: `after ${FIRST_STEPS} and ${STEPS} of ${STEPS} parts`,
      value: `${first.descriptors} and ${last.descriptors} descriptors, ${mebibytes(first.bytes)} and ${mebibytes(last.bytes)} resident`,
    },
  ]
}
