// A session while it has a connection: who it is, what it may do how often, and its reconnection tokens. Knows no
// connection. [PROTOCOLS 4.7]
import type { Clock } from '../../lib/clock.ts'
import type { Identity } from './identity.ts'
import { RateBuckets, type RateTable } from './rate-limit.ts'
import type { Options } from './request.ts'
import { opens } from './restorer.ts'
import { mintToken, type ReconnectionToken } from './session-id.ts'
import {
  type KeptPosition,
  type KeptToken,
  recordOf,
  type SessionRecord,
  TOKENS_MAX,
  validTokens,
} from './session-record.ts'

export interface SessionRules {
  readonly clock: Clock
  readonly rates: RateTable
  readonly tokenTtlMs: number
  /** The shard that has it. */
  readonly shard: string
}

/** A new token, and those there were before it. */
export interface Minted {
  readonly token: ReconnectionToken
  readonly before: readonly KeptToken[]
}

export class Session {
  readonly id: string
  readonly identity: Identity
  options: Options
  readonly buckets: RateBuckets
  readonly #rules: SessionRules
  readonly #restores: number
  #tokens: readonly KeptToken[]

  /** `known`: as it was before. */
  constructor(
    rules: SessionRules,
    { id, identity, options }: Pick<SessionRecord, 'id' | 'identity' | 'options'>,
    known?: Partial<Pick<SessionRecord, 'buckets' | 'tokens' | 'restores'>>,
  ) {
    this.id = id
    this.identity = identity
    this.options = options
    this.buckets = new RateBuckets(rules.rates, known?.buckets)
    this.#tokens = known?.tokens ?? []
    this.#restores = known?.restores ?? 0
    this.#rules = rules
  }

  /** Somebody may come back to it. */
  get hasTokens(): boolean {
    return validTokens(this.#tokens, this.#rules.clock.wallMs()).length > 0
  }

  /** A fifth one voids the oldest. */
  mint(): Minted {
    const token = mintToken(this.id)
    const wallMs = this.#rules.clock.wallMs()
    const before = validTokens(this.#tokens, wallMs)
    const kept = { digest: token.digest, expiresMs: wallMs + this.#rules.tokenTtlMs }
    this.#tokens = [...before, kept].slice(-TOKENS_MAX)
    return { token, before }
  }

  /** It was never given to anybody: the one it voided is valid again. */
  withdraw({ token: { digest }, before }: Minted): void {
    // If all have been voided meanwhile they stay void.
    if (this.#tokens.some((kept) => kept.digest === digest)) this.#tokens = before
  }

  voidTokens(): void {
    this.#tokens = []
  }

  /** `userId` undefined: whoever has the token. */
  isOpenedBy(digest: string, userId: string | null | undefined): boolean {
    const { identity } = this
    return opens({ tokens: this.#tokens, identity }, digest, userId, this.#rules.clock.wallMs())
  }

  /** `isOpen`: its connection is here; else it has ended, and positions are where. */
  record(positions: readonly KeptPosition[], isOpen: boolean): SessionRecord {
    const { id, identity, options, buckets } = this
    const { clock, shard } = this.#rules
    const tokens = validTokens(this.#tokens, clock.wallMs())
    const owner = isOpen ? shard : null
    const known = { id, identity, options, buckets: buckets.freeze(), tokens, restores: this.#restores }
    return recordOf({ ...known, positions, owner, from: shard })
  }
}
