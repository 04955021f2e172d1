// One file to receivers of different speed, one of which stops reading: what it costs the server in memory, and whom it
// keeps waiting.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { encodeDescriptor, MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import type { RoomsMember } from './rooms-member.ts'
import type { RoomsServer } from './rooms-server.ts'
import { waitUntil, within } from './wait.ts'

const PIECE_BYTES = 1024 * 1024
const SAMPLE_MS = 25
const NAME = 'file.bin'
/** A slow receiver reads so often. */
const SIP_MS = 10

export interface TransferOptions {
  readonly bytes: number
  /** Receivers that read as fast as they can. */
  readonly fast: number
  /** Receivers that read so many bytes a second, each. */
  readonly slow: readonly number[]
  readonly deadlineMs: number
}

export interface Transfer {
  /** Most resident bytes above those before the file. */
  readonly grownBytes: number
  /** From the first byte sent, until the fast ones, and all but the deaf one, had the file. */
  readonly fastMs: number
  readonly allMs: number
  /** Until the deaf one had left the room. */
  readonly droppedMs: number
}

export async function transfer(rooms: RoomsServer, options: TransferOptions): Promise<Transfer> {
  const { bytes, deadlineMs } = options
  using sender = await rooms.join('sender')
  using deaf = await rooms.join('deaf')
  const fast = await joined(rooms, 'fast', options.fast)
  const slow = await joined(rooms, 'slow', options.slow.length)
  deaf.socket.pause()
  for (const [index, member] of slow.entries()) sip(member, options.slow[index] ?? 0)
  const before = rooms.server.rss()
  let peak = before
  const sampler = setInterval(() => {
    peak = Math.max(peak, rooms.server.rss())
  }, SAMPLE_MS)
  const beganMs = performance.now()
  const since = (): number => performance.now() - beganMs
  try {
    const sha256 = await send(sender, bytes)
    const arrived = async (member: RoomsMember): Promise<number> => {
      const got = await member.nextOf(MESSAGE_TYPE.file, deadlineMs)
      const atMs = since()
      assert.deepEqual([got.bytes, got.sha256], [bytes, sha256])
      return atMs
    }
    const left = leftMs(sender, since, deadlineMs)
    const [fastMs, slowMs] = await Promise.all([Promise.all(fast.map(arrived)), Promise.all(slow.map(arrived))])
    const droppedMs = await left
    await waitUntil('nobody needs the file any more', () => rooms.files().length === 0)
    return { grownBytes: peak - before, fastMs: Math.max(...fastMs), allMs: Math.max(...fastMs, ...slowMs), droppedMs }
  } finally {
    clearInterval(sampler)
    for (const member of [...fast, ...slow]) member.close()
  }
}

async function joined(rooms: RoomsServer, name: string, count: number): Promise<RoomsMember[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => rooms.join(`${name}${index}`)))
}

/** Answers the digest of what it sends. */
async function send({ socket }: RoomsMember, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  socket.write(encodeDescriptor(MESSAGE_TYPE.file, NAME.length, bytes))
  socket.write(NAME)
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, bytes - at), `${at} `)
    hash.update(piece)
    if (!socket.write(piece)) await within('the server takes the file', once(socket, 'drain'), 60_000)
  }
  return hash.digest('hex')
}

function sip({ socket }: RoomsMember, bytesPerSecond: number): void {
  let allowed = 0
  socket.on('data', (chunk: Buffer) => {
    allowed -= chunk.length
    if (allowed < 0) socket.pause()
  })
  const timer = setInterval(() => {
    allowed = Math.min(allowed + (bytesPerSecond * SIP_MS) / 1_000, bytesPerSecond / 10)
    if (allowed > 0) socket.resume()
  }, SIP_MS)
  socket.once('close', () => clearInterval(timer))
}

async function leftMs(observer: RoomsMember, since: () => number, deadlineMs: number): Promise<number> {
  const isIt = ({ type, from }: { type: number; from?: string }): boolean =>
    type === MESSAGE_TYPE.logout && from === 'deaf'
  return waitUntil('the deaf one is dropped', () => (observer.frames.some(isIt) ? since() : undefined), deadlineMs)
}
