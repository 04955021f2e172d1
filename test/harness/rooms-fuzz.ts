// Throws seeded streams at a running room, and holds what each sender gets against the oracle.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Random } from '../simulation/random.ts'
import type { Received } from './rooms-member.ts'
import { answersTo, said } from './rooms-oracle.ts'
import type { RoomsServer } from './rooms-server.ts'
import { segmentsOf, streamFrom } from './rooms-stream.ts'

/** At once. */
const STREAMS_MAX = 12
const BYTES_SHOWN = 600
const END_MS = 30_000
const NOTHING = createHash('sha256').digest('hex')

/** `count` streams from `seed` on; answers how many frames came back. The observer must be in the room. */
export async function fuzzRooms(rooms: RoomsServer, seed: number, count: number): Promise<number> {
  let next = 0
  let answers = 0
  const work = async (): Promise<void> => {
    for (let input = next++; input < count; input = next++) {
      const got = await throwOne(rooms, seed + input)
      answers += got
    }
  }
  await Promise.all(Array.from({ length: STREAMS_MAX }, work))
  return answers
}

async function throwOne(rooms: RoomsServer, seed: number): Promise<number> {
  const random = new Random(seed)
  const name = `f${seed}_${random.below(1_000_000)}`
  const stream = streamFrom(random, name)
  const expected = answersTo(stream)
  using client = await rooms.open()
  for (const segment of segmentsOf(random, stream)) {
    client.write(segment)
    if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve))
  }
  client.socket.end()
  await client.end(END_MS)
  const own = nameIn(expected)
  const got = client.frames.filter(({ raw, from }) => raw === '' || from === 'server' || from === own).map(toldOf)
  const shown = stream.length <= BYTES_SHOWN ? stream.toString('hex') : `${stream.length} bytes`
  assert.deepEqual(got, expected, `seed ${seed}: ${shown}`)
  assert.ok(!client.inFrame, `seed ${seed}: whole frames only`)
  return got.length
}

function nameIn(answers: readonly string[]): string | undefined {
  return answers.find((answer) => answer.startsWith('1 from '))?.slice('1 from '.length)
}

function toldOf({ type, raw, from, filename, to, text, bytes, sha256 }: Received): string {
  if (raw === '') return `bare ${type}`
  if (from === 'server') return `server: ${text}`
  if (type === 1) return `1 from ${from}`
  assert.ok(!raw.includes('\\') && (bytes > 0 || sha256 === NOTHING))
  return said(type, from ?? '', filename, to, '') + (bytes === 0 ? '' : sha256)
}
