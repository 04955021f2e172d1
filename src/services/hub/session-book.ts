// The sessions that a shard knows: those with a connection here, those whose connection has just ended and that are being
// written to the bridge, and how much waits for those that went away from here.
import type { Bridge } from '../../bridge/bridge.ts'
import type { Clock } from '../../lib/clock.ts'
import { errorFields, type LimitedLogger } from '../../observe/logger.ts'
import { encodeRecord, type KeptPosition, lifeMsOf, type SessionRecord, validTokens } from './session-record.ts'

/** Sessions that went away, of which is counted what waits for them. */
const AWAY_MAX = 100_000

export function keyOfSession(id: string): string {
  return `hub:session:${id}`
}

interface Away {
  readonly expiresMs: number
  readonly positions: readonly KeptPosition[]
}

/** A session with a connection here. */
export interface LiveSession {
  /** Takes the session away from its connection, which is closed. Undefined: the token is none of its, or it is another user's. */
  surrender(digest: string, userId: string | null | undefined): SessionRecord | undefined
}

export class SessionBook<Live extends LiveSession> {
  readonly live = new Map<string, Live>()
  /** Its record is on its way to the bridge. */
  readonly #parting = new Map<string, SessionRecord>()
  readonly #away = new Map<string, Away>()
  readonly #bridge: Bridge
  readonly #clock: Clock
  readonly #failed: LimitedLogger
  readonly #writes = new Set<Promise<unknown>>()

  constructor(bridge: Bridge, clock: Clock, failed: LimitedLogger) {
    this.#bridge = bridge
    this.#clock = clock
    this.#failed = failed
  }

  /** False: nobody can come back to it, because it could not be written. Never rejects. */
  save(record: SessionRecord): Promise<boolean> {
    const ttlSeconds = Math.max(0.001, lifeMsOf(record.tokens, this.#clock.wallMs()) / 1_000)
    return this.#write(this.#bridge.set({ key: keyOfSession(record.id), value: encodeRecord(record), ttlSeconds }))
  }

  remove(id: string): Promise<boolean> {
    return this.#write(this.#bridge.remove({ key: keyOfSession(id) }))
  }

  /** The connection has ended. */
  park(record: SessionRecord): void {
    const wallMs = this.#clock.wallMs()
    if (validTokens(record.tokens, wallMs).length === 0) return
    const { id, positions } = record
    this.#parting.set(id, record)
    if (this.#away.size < AWAY_MAX)
      this.#away.set(id, { expiresMs: wallMs + lifeMsOf(record.tokens, wallMs), positions })
    void this.save(record).then(() => {
      if (this.#parting.get(id) === record) this.#parting.delete(id)
    })
  }

  /** A session whose record the bridge may not have yet. */
  takeParting(id: string): SessionRecord | undefined {
    const record = this.#parting.get(id)
    if (record === undefined) return undefined
    this.#parting.delete(id)
    this.#away.delete(id)
    return record
  }

  parting(id: string): SessionRecord | undefined {
    return this.#parting.get(id)
  }

  /** Somebody has gone on with it. */
  back(id: string): void {
    this.#away.delete(id)
  }

  /** What waits for all that went away from here; `countOf` says how much is behind a position. */
  buffered(countOf: (position: KeptPosition) => number, countMax: number): number {
    const wallMs = this.#clock.wallMs()
    let sum = 0
    for (const [id, { expiresMs, positions }] of this.#away) {
      if (expiresMs <= wallMs) {
        this.#away.delete(id)
        continue
      }
      let own = 0
      for (const position of positions) own += countOf(position)
      sum += Math.min(own, countMax)
    }
    return sum
  }

  /** Everything has been written. */
  async settled(): Promise<void> {
    while (this.#writes.size > 0) await Promise.all(this.#writes)
  }

  async #write(answer: Promise<unknown>): Promise<boolean> {
    this.#writes.add(answer)
    try {
      await answer
      return true
    } catch (error) {
      this.#failed.warn(errorFields(error))
      return false
    } finally {
      this.#writes.delete(answer)
    }
  }
}
