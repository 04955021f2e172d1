// Members of a room that all talk: numbered texts and now and then a file, each held against what everybody must get, in
// one order, once.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { MESSAGE_TYPE } from '../../src/services/rooms/descriptor.ts'
import type { RoomsMember } from './rooms-member.ts'
import type { RoomsServer } from './rooms-server.ts'
import { waitUntil } from './wait.ts'

const EVERY_MS = 20
/** Each of so many messages of a member is a file, larger than what is kept in memory. */
const FILE_EVERY = 16
const FILE_BYTES = 700 * 1024

export class RoomsCrowd implements Disposable {
  readonly members: readonly RoomsMember[]
  /** Messages sent so far. */
  sent = 0
  readonly #fileDigest: string
  readonly #file = Buffer.alloc(FILE_BYTES, 'polyloop')
  #timer: ReturnType<typeof setInterval> | undefined
  readonly #counts: number[]

  constructor(members: readonly RoomsMember[]) {
    this.members = members
    this.#counts = members.map(() => 0)
    this.#fileDigest = createHash('sha256').update(this.#file).digest('hex')
  }

  /** All are in the room before anybody talks. */
  static async open(rooms: RoomsServer, count: number): Promise<RoomsCrowd> {
    const members: RoomsMember[] = []
    for (let index = 0; index < count; index++) members.push(await rooms.join(`m${index}`))
    const joins = (member: RoomsMember): number =>
      member.frames.filter(({ type }) => type === MESSAGE_TYPE.login).length
    await waitUntil('all joins are seen', () => members.every((one, index) => joins(one) === count - 1 - index))
    for (const member of members) member.frames.length = 0
    return new RoomsCrowd(members)
  }

  start(): void {
    let at = 0
    this.#timer = setInterval(() => {
      const index = at++ % this.members.length
      const number = (this.#counts[index] ?? 0) + 1
      this.#counts[index] = number
      if (number % FILE_EVERY === 0) this.members[index]?.send(MESSAGE_TYPE.file, `${number}`, this.#file)
      else this.members[index]?.say(`${number}`)
      this.sent++
    }, EVERY_MS)
  }

  /** Stops talking, and waits until everybody has everything. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await waitUntil(
      'everybody has everything',
      () => this.members.every(({ frames, hasEnded }) => frames.length >= this.sent || hasEnded),
      30_000,
    )
  }

  /** Everybody got the same, and of each member everything, once and in order. */
  assertWhole(): void {
    const [first] = this.members
    const seen = first?.frames.map(({ raw, text, sha256 }) => `${raw} ${text || sha256}`)
    for (const member of this.members) {
      assert.ok(!member.hasEnded, 'nobody was disconnected')
      assert.equal(member.frames.length, this.sent)
      assert.deepEqual(
        member.frames.map(({ raw, text, sha256 }) => `${raw} ${text || sha256}`),
        seen,
      )
    }
    for (const [index, count] of this.#counts.entries()) {
      const own = first?.frames.filter(({ from }) => from === `m${index}`) ?? []
      assert.deepEqual(
        own.map(({ type, text, filename }) => (type === MESSAGE_TYPE.file ? filename : text)),
        Array.from({ length: count }, (_, number) => `${number + 1}`),
      )
      for (const { type, sha256 } of own) if (type === MESSAGE_TYPE.file) assert.equal(sha256, this.#fileDigest)
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const member of this.members) member.close()
  }
}
