// The sessions that a shard knows: those with a connection here, those that are being written to the bridge, those that
// could not be, because it is away, and how much waits for those that went away from here.
//
//   save    who has the session writes it; what fails is owed, and is tried again
//   claim   who may have lost it meanwhile (it moved here; the bridge was away) takes the record first. Whoever goes on with
//           a session counts its `restores` up: of two records the one with more is right
import type { Bridge } from '../../bridge/bridge.ts'
import type { Clock } from '../../lib/clock.ts'
import { errorFields, type LimitedLogger } from '../../observe/logger.ts'
import type { ServiceContext } from '../service.ts'
import {
  decodeRecord,
  encodeRecord,
  type KeptPosition,
  lifeMsOf,
  type SessionRecord,
  validTokens,
} from './session-record.ts'

/** Sessions that went away, of which is counted what waits for them. */
const AWAY_MAX = 100_000
/** Sessions that are owed to the bridge; beyond it the one owed longest is given up. Some 20 MB. */
export const OWED_MAX = 20_000
const OWED_AGAIN_MS = 1_000

export function keyOfSession(id: string): string {
  return `hub:session:${id}`
}

interface Away {
  readonly expiresMs: number
  readonly positions: readonly KeptPosition[]
}

interface Owed {
  readonly record: SessionRecord
  readonly untilMs: number
}

/** A session with a connection here. */
export interface LiveSession {
  /** Takes the session away from its connection, which is closed. Undefined: the token is none of its, or it is another user's. */
  surrender(digest: string, userId: string | null | undefined): SessionRecord | undefined
  /** What the bridge is to have of it; undefined: nothing, nobody can come back to it. */
  kept(): SessionRecord | undefined
  /** Somebody has gone on with it elsewhere. */
  lost(): void
}

export interface BookOptions {
  readonly bridge: Bridge
  readonly clock: Clock
  readonly after: ServiceContext<unknown>['after']
  readonly failed: LimitedLogger
  /** So long a record says that its session was taken: the longest life of a token. */
  readonly tokenTtlMs: number
}

export class SessionBook<Live extends LiveSession> {
  readonly live = new Map<string, Live>()
  readonly #options: BookOptions
  /** Nobody may have the session until that has settled. */
  readonly #pending = new Map<string, Promise<unknown>>()
  readonly #owed = new Map<string, Owed>()
  readonly #away = new Map<string, Away>()
  readonly #writes = new Set<Promise<unknown>>()
  /** Those that are still to be claimed. */
  #doubts: Iterator<string> | undefined
  #cancelRetry: (() => void) | undefined

  constructor(options: BookOptions) {
    this.#options = options
  }

  /** By who has taken the session. False: it could not be written, and is owed. Never rejects. */
  async save(record: SessionRecord): Promise<boolean> {
    const isWritten = await this.#try(this.#set(record))
    if (isWritten) this.#owed.delete(record.id)
    else this.#owe(record)
    return isWritten
  }

  /** It has changed. False: that could not be written, and is owed. Never rejects. */
  async keep(live: Live): Promise<boolean> {
    const record = live.kept()
    if (record === undefined) return true
    if (!this.#isDoubtful(record.id)) return this.save(record)
    await this.claim(live)
    return !this.#owed.has(record.id)
  }

  /** Its connection may not have it any more: it is told if so. Never rejects. */
  claim(live: Live): Promise<void> {
    const latest = (id: string): SessionRecord | undefined => (this.live.get(id) === live ? live.kept() : undefined)
    const lost = (id: string): void => {
      if (this.live.get(id) === live) live.lost()
    }
    return this.#pend(live.kept()?.id, (id) =>
      this.#claim(
        id,
        () => latest(id),
        () => lost(id),
      ),
    )
  }

  /** Whatever the bridge had may be gone, or taken by others: each session is claimed. */
  doubt(): void {
    this.#doubts = [...this.live.keys()].values()
    this.#payLater()
  }

  /** The connection has ended. */
  park(record: SessionRecord): void {
    const { id, positions, tokens } = record
    const wallMs = this.#options.clock.wallMs()
    if (validTokens(tokens, wallMs).length === 0) return
    if (this.#away.size < AWAY_MAX) this.#away.set(id, { expiresMs: wallMs + lifeMsOf(tokens, wallMs), positions })
    const isDoubtful = this.#isDoubtful(id)
    void this.#pend(id, () => (isDoubtful ? this.#claim(id, () => record) : this.save(record)))
  }

  /** What is being found out about a session, or written of one that has ended. Never rejects; undefined: nothing. */
  pending(id: string): Promise<unknown> | undefined {
    return this.#pending.get(id)
  }

  /** A session without a connection that the bridge does not have. */
  owed(id: string): SessionRecord | undefined {
    return this.live.has(id) ? undefined : this.#owed.get(id)?.record
  }

  /** It is another one's from now on, who says so in the bridge. */
  forget(id: string): void {
    this.#owed.delete(id)
    this.#away.delete(id)
  }

  /** Somebody has gone on with it. */
  back(id: string): void {
    this.#away.delete(id)
  }

  /** What waits for all that went away from here; `countOf` says how much is behind a position. */
  buffered(countOf: (position: KeptPosition) => number, countMax: number): number {
    const wallMs = this.#options.clock.wallMs()
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

  /** Everything has been written that can be. */
  async stop(): Promise<void> {
    this.#cancelRetry?.()
    if (this.#owed.size > 0) await this.#pay()
    while (this.#writes.size > 0) await Promise.all(this.#writes)
  }

  // ---- what is owed -----------------------------------------------------------------------------------------------

  #owe(record: SessionRecord): void {
    const { clock, failed } = this.#options
    this.#owed.delete(record.id)
    if (this.#owed.size >= OWED_MAX) {
      const [oldest] = this.#owed.keys()
      if (oldest !== undefined) this.#owed.delete(oldest)
      failed.warn({ problem: 'too many sessions wait for the bridge, the oldest is given up' })
    }
    this.#owed.set(record.id, { record, untilMs: clock.wallMs() + this.#ttlMs(record) })
    this.#payLater()
  }

  #payLater(): void {
    this.#cancelRetry ??= this.#options.after(OWED_AGAIN_MS, () => this.#pay())
  }

  /** One after the other, until the bridge refuses one: it may have been away for many. */
  async #pay(): Promise<void> {
    const { clock } = this.#options
    let isAway = false
    for (const [id, { record, untilMs }] of this.#owed) {
      if (this.#pending.has(id)) continue
      const live = this.live.get(id)
      if (live?.kept() !== undefined) await this.claim(live)
      else if (untilMs <= clock.wallMs()) this.#owed.delete(id)
      else await this.#pend(id, () => this.#claim(id, () => record))
      isAway = this.#owed.has(id)
      if (isAway) break
    }
    while (!isAway && this.#doubts !== undefined) {
      const { value: id, done } = this.#doubts.next()
      if (done === true) this.#doubts = undefined
      else {
        const live = this.live.get(id)
        if (live !== undefined) await this.claim(live)
        isAway = this.#owed.has(id)
      }
    }
    this.#cancelRetry = undefined
    if (this.#owed.size > 0 || this.#doubts !== undefined) this.#payLater()
  }

  /** Somebody may have gone on with it, as far as is known here. */
  #isDoubtful(id: string): boolean {
    return this.#doubts !== undefined || this.#owed.has(id) || this.#pending.has(id)
  }

  /** `latest` is asked again behind what takes its time. */
  async #claim(id: string, latest: () => SessionRecord | undefined, lost?: () => void): Promise<void> {
    const mine = latest()
    if (mine === undefined) return
    let right: SessionRecord | undefined = mine
    const work = async (): Promise<void> => {
      const found = decodeRecord(await this.#options.bridge.take({ key: keyOfSession(id) }))
      if (found !== undefined && isNewer(found, mine)) {
        right = found
        lost?.()
      } else right = latest()
      if (right !== undefined) await this.#set(right)
    }
    if ((await this.#try(work())) || right === undefined) this.#owed.delete(id)
    else this.#owe(right)
  }

  // ---- writing ----------------------------------------------------------------------------------------------------

  #set(record: SessionRecord): Promise<unknown> {
    const ttlSeconds = this.#ttlMs(record) / 1_000
    return this.#options.bridge.set({ key: keyOfSession(record.id), value: encodeRecord(record), ttlSeconds })
  }

  #ttlMs({ tokens }: SessionRecord): number {
    const { clock, tokenTtlMs } = this.#options
    return tokens.length === 0 ? tokenTtlMs : Math.max(1, lifeMsOf(tokens, clock.wallMs()))
  }

  async #pend(id: string | undefined, work: (id: string) => Promise<unknown>): Promise<void> {
    if (id === undefined) return
    const before = this.#pending.get(id)
    const own = before === undefined ? work(id) : before.then(() => work(id))
    this.#pending.set(id, own)
    await own
    if (this.#pending.get(id) === own) this.#pending.delete(id)
  }

  async #try(answer: Promise<unknown>): Promise<boolean> {
    this.#writes.add(answer)
    try {
      await answer
      return true
    } catch (error) {
      this.#options.failed.warn(errorFields(error))
      return false
    } finally {
      this.#writes.delete(answer)
    }
  }
}

/** Of two records of one session: somebody has gone on with it behind `mine`. One that opens to nobody gives way. */
function isNewer(found: SessionRecord, mine: SessionRecord): boolean {
  return found.restores > mine.restores || (found.restores === mine.restores && mine.tokens.length === 0)
}
