// How a session is found again by a reconnection token: with a connection on this shard, owed to the bridge, in the bridge,
// or with a connection of another shard or host, which gives it up. Whoever takes the session wins, says so in the bridge,
// and with it all its tokens are void. [PROTOCOLS 4.7]
import type { Bridge } from '../../bridge/bridge.ts'
import type { Clock } from '../../lib/clock.ts'
import { errorFields, type LimitedLogger } from '../../observe/logger.ts'
import type { ServiceContext } from '../service.ts'
import type { Identity } from './identity.ts'
import { keyOfSession, type LiveSession, type SessionBook } from './session-book.ts'
import type { ReconnectionToken } from './session-id.ts'
import { decodeRecord, holdsToken, type SessionRecord } from './session-record.ts'
import type { ShardLine } from './shard-line.ts'

/** How long a shard may take to give a session up; then it hangs, and has lost it. */
const SURRENDER_MS = 2_000
/** A session may move from shard to shard just now. */
const ATTEMPTS_MAX = 5
const MOVED_ATTEMPTS = 2
const AGAIN_MS = 50
/** A session is not restored so long after its JWT expired. */
const EXPIRED_MS_MAX = 300_000

/** What a shard is asked for. */
export interface Surrender {
  readonly ask: 'surrender'
  readonly session: string
  readonly digest: string
  /** Undefined: whoever has the token. */
  readonly user?: string | null
}

export type Surrendered =
  | { readonly state: 'record'; readonly record: SessionRecord }
  /** `unknown`: it is not here. `refused`: the token is void, or it is another user's session. */
  | { readonly state: 'unknown' | 'refused' }

export interface RestorerOptions<Live extends LiveSession> {
  readonly book: SessionBook<Live>
  readonly bridge: Bridge
  readonly line: ShardLine
  readonly clock: Clock
  readonly after: ServiceContext<unknown>['after']
  readonly shard: string
  readonly failed: LimitedLogger
}

export class Restorer<Live extends LiveSession> {
  readonly #options: RestorerOptions<Live>

  constructor(options: RestorerOptions<Live>) {
    this.#options = options
  }

  /** The session, which is the caller's from now on; undefined: the token opens none. Never rejects. */
  async restore(token: ReconnectionToken, identity: Identity | undefined): Promise<SessionRecord | undefined> {
    const { failed, shard, line, book } = this.#options
    try {
      const found = await this.#find(token, identity)
      if (found === undefined) return undefined
      book.back(found.id)
      if (found.from !== shard) line.tell(found.from, { back: found.id })
      // A host of an older version counts none.
      const record = { ...found, restores: (found.restores ?? 0) + 1 }
      // Whoever else believes to have it finds this, which opens to nobody.
      void book.save({ ...record, owner: shard, tokens: [] })
      return record
    } catch (error) {
      failed.warn(errorFields(error))
      return undefined
    }
  }

  /** Nobody came for it after all. It keeps its owner, if that could not say where it stood. */
  giveBack(record: SessionRecord): void {
    this.#options.book.park({ ...record, from: this.#options.shard })
  }

  /** Another shard, or this one, wants a session that may be here. */
  surrender({ session, digest, user }: Surrender): Surrendered {
    const { book } = this.#options
    // It is being written, or may be lost: who wants it has to look again.
    if (book.pending(session) !== undefined) return { state: 'unknown' }
    const live = book.live.get(session)
    const record = live === undefined ? this.#owed(session) : live.surrender(digest, user)
    if (live === undefined && record === undefined) return { state: 'unknown' }
    if (record === undefined || (live === undefined && !this.#isFor(record, digest, user))) return { state: 'refused' }
    book.forget(session)
    return { state: 'record', record }
  }

  async #find(
    { sessionId, digest }: ReconnectionToken,
    identity: Identity | undefined,
  ): Promise<SessionRecord | undefined> {
    const { bridge, line, shard, book } = this.#options
    const user = identity === undefined ? {} : { user: identity.userId }
    const wanted: Surrender = { ask: 'surrender', session: sessionId, digest, ...user }
    const key = keyOfSession(sessionId)
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await book.pending(sessionId)
      const here = this.surrender(wanted)
      if (here.state !== 'unknown') return recordIn(here)
      const found = decodeRecord(await bridge.get({ key }))
      if (found === undefined && attempt === 0) {
        // Somebody may just look whether he still has it, and has it in hand.
        await this.#pause()
        continue
      }
      if (found === undefined || !this.#isFor(found, digest, wanted.user)) return undefined
      if (found.owner === shard && attempt < MOVED_ATTEMPTS) {
        // It was here, and has moved: its new shard is about to say so.
        await this.#pause()
        continue
      }
      // At the last attempt it is taken all the same: its shard has it no more, and could not say so.
      if (found.owner !== null && found.owner !== shard && attempt < ATTEMPTS_MAX - 1) {
        const answer = await line.ask<Surrendered>(found.owner, wanted, SURRENDER_MS)
        if (answer.state === 'answered') {
          const [surrendered] = answer.parts
          if (surrendered !== undefined && surrendered.state !== 'unknown') return recordIn(surrendered)
          // It has moved, or has ended and is being written.
          await this.#pause()
          continue
        }
      }
      const taken = decodeRecord(await bridge.take({ key }))
      if (taken === undefined) return undefined
      const isFound = taken.owner === null || taken.owner === found.owner
      if (isFound && this.#isFor(taken, digest, wanted.user)) return taken
      // It was written anew in between: somebody else has it, or this token is not among its any more.
      await book.save(taken)
    }
    return undefined
  }

  /** What a shard keeps for others that it could not give back is not its to give. */
  #owed(session: string): SessionRecord | undefined {
    const { book, shard } = this.#options
    const record = book.owed(session)
    return record?.owner === null || record?.owner === shard ? record : undefined
  }

  #isFor(record: SessionRecord, digest: string, user: string | null | undefined): boolean {
    return opens(record, digest, user, this.#options.clock.wallMs())
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#options.after(AGAIN_MS, resolve))
  }
}

function recordIn(answer: Surrendered): SessionRecord | undefined {
  return answer.state === 'record' ? answer.record : undefined
}

/**
 * The token is one of its, it is not another user's, and its JWT has not expired for too long. A JWT in the request, by
 * which its user is known, counts instead.
 */
export function opens(
  { tokens, identity }: Pick<SessionRecord, 'tokens' | 'identity'>,
  digest: string,
  user: string | null | undefined,
  wallMs: number,
): boolean {
  const holds = holdsToken(tokens, digest, wallMs)
  if (user !== undefined) return holds && user === identity.userId
  return holds && (identity.expiresMs === undefined || wallMs - identity.expiresMs <= EXPIRED_MS_MAX)
}
