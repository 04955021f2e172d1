// A session apart from its connections: what it is, and what the bridge keeps of it so that any host can go on with it.
// [PROTOCOLS 4.7]
import { timingSafeEqual } from 'node:crypto'
import type { Identity } from './identity.ts'
import type { FrozenBuckets } from './rate-limit.ts'
import type { Options } from './request.ts'

/** Of one session; a fifth voids the oldest. */
export const TOKENS_MAX = 4
const VERSION = 1

export interface KeptToken {
  /** SHA-256, base64. */
  readonly digest: string
  readonly expiresMs: number
}

/** Where a subscription stands: channel, epoch, offset. */
export type KeptPosition = readonly [channel: string, epoch: number, offset: number]

export interface SessionRecord {
  readonly version: typeof VERSION
  readonly id: string
  readonly identity: Identity
  readonly options: Options
  readonly buckets: FrozenBuckets | undefined
  readonly tokens: readonly KeptToken[]
  /** In the order of subscription. */
  readonly positions: readonly KeptPosition[]
  /** The shard, in one of its lives, that has its connection; null: it has none, and positions are where that ended. */
  readonly owner: string | null
  /** Whoever had the connection last: it counts what waits for the session. */
  readonly from: string
  /** How often somebody has gone on with it by a token: of two records the one with more is right. */
  readonly restores: number
}

export function recordOf(parts: Omit<SessionRecord, 'version'>): SessionRecord {
  return { version: VERSION, ...parts }
}

export function encodeRecord(record: SessionRecord): Buffer {
  return Buffer.from(JSON.stringify(record))
}

/** Undefined: it is none, or a newer host wrote it. */
export function decodeRecord(bytes: Uint8Array | undefined): SessionRecord | undefined {
  if (bytes === undefined) return undefined
  try {
    const value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) as unknown
    const isRecord = typeof value === 'object' && value !== null && 'version' in value && value.version === VERSION
    return isRecord ? ({ restores: 0, ...value } as SessionRecord) : undefined
  } catch {
    // Somebody else uses our keys: that is no session.
    return undefined
  }
}

/** The tokens that are still valid. */
export function validTokens(tokens: readonly KeptToken[], wallMs: number): readonly KeptToken[] {
  return tokens.filter(({ expiresMs }) => expiresMs > wallMs)
}

/** Compares with each, in constant time. */
export function holdsToken(tokens: readonly KeptToken[], digest: string, wallMs: number): boolean {
  const given = Buffer.from(digest)
  let holds = false
  for (const { digest: kept } of validTokens(tokens, wallMs)) {
    const wanted = Buffer.from(kept)
    if (wanted.length === given.length && timingSafeEqual(wanted, given)) holds = true
  }
  return holds
}

/** How long the last of them is valid. */
export function lifeMsOf(tokens: readonly KeptToken[], wallMs: number): number {
  return Math.max(0, ...tokens.map(({ expiresMs }) => expiresMs - wallMs))
}
