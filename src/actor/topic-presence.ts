// Who is present in a topic: the home's answer in parts, and the questions a relay waits for.
import { PolyloopError } from '../lib/errors.ts'
import type { TimerHandle, TimerWheel } from '../timer/wheel.ts'
import type { Member } from './topic-frozen.ts'
import { PRESENT } from './topic-record.ts'

export interface Presence {
  /** All who are present. */
  readonly count: number
  /** What each of them gave when it subscribed. */
  readonly members: readonly unknown[]
}

/** Questions of one thread that wait for their answer. */
export const PRESENCE_ASKS_MAX = 1_024

/** A part of an answer is small beside a ring. */
const PART_BYTES_MAX = 32 * 1024

/** The records that answer a question. */
export function presentParts(request: number, members: readonly Member[]): Buffer[] {
  const parts: Buffer[] = []
  for (let index = 0; index < members.length || parts.length === 0; ) {
    const start = index
    let bytes: number = PRESENT.members
    for (; index < members.length; index++) {
      const more = 2 + (members[index] as Member).info.length
      if (bytes + more > PART_BYTES_MAX) break
      bytes += more
    }
    const part = Buffer.alloc(bytes)
    part.writeUInt32LE(request, PRESENT.request)
    part.writeUInt32LE(members.length, PRESENT.count)
    part[PRESENT.last] = index === members.length ? 1 : 0
    let at: number = PRESENT.members
    for (const { info } of members.slice(start, index)) {
      at = part.writeUInt16LE(info.length, at)
      part.set(info, at)
      at += info.length
    }
    parts.push(part)
  }
  return parts
}

interface Waiting {
  readonly members: unknown[]
  readonly timer: TimerHandle
  readonly resolve: (presence: Presence) => void
}

export class PresenceAsks {
  readonly #wheel: TimerWheel
  readonly #waiting = new Map<number, Waiting>()
  #lastRequest: number

  /** `firstRequest` is a u32, another one in each life of a thread: late answers to an earlier life fit nothing. */
  constructor(wheel: TimerWheel, firstRequest: number) {
    this.#wheel = wheel
    this.#lastRequest = firstRequest
  }

  get size(): number {
    return this.#waiting.size
  }

  /** `send` is given the number of the question. Rejects with ASK_TIMEOUT, ASKS_TOO_MANY and RING_FULL. */
  async ask(waitMs: number, send: (request: number) => boolean): Promise<Presence> {
    if (this.#waiting.size >= PRESENCE_ASKS_MAX) throw new PolyloopError('ASKS_TOO_MANY', { max: PRESENCE_ASKS_MAX })
    const request = (this.#lastRequest + 1) >>> 0
    this.#lastRequest = request
    const { promise, resolve, reject } = Promise.withResolvers<Presence>()
    const timer = this.#wheel.schedule(waitMs, () => {
      this.#waiting.delete(request)
      reject(new PolyloopError('ASK_TIMEOUT', { waitMs }))
    })
    this.#waiting.set(request, { members: [], timer, resolve })
    if (!send(request)) {
      this.#wheel.cancel(timer)
      this.#waiting.delete(request)
      throw new PolyloopError('RING_FULL')
    }
    return promise
  }

  /** A part of an answer. */
  answered(record: Buffer): void {
    const request = record.readUInt32LE(PRESENT.request)
    const waiting = this.#waiting.get(request)
    if (waiting === undefined) return
    for (let at: number = PRESENT.members; at < record.length; ) {
      const end = at + 2 + record.readUInt16LE(at)
      waiting.members.push(JSON.parse(record.toString('utf8', at + 2, end)))
      at = end
    }
    if (record[PRESENT.last] !== 1) return
    this.#waiting.delete(request)
    this.#wheel.cancel(waiting.timer)
    waiting.resolve({ count: record.readUInt32LE(PRESENT.count), members: waiting.members })
  }

  /** Nobody waits any more: the thread ends. */
  close(): void {
    for (const { timer } of this.#waiting.values()) this.#wheel.cancel(timer)
    this.#waiting.clear()
  }
}
