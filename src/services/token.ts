// JSON Web Tokens as all services take them: HS256 and nothing else. Verified tokens are remembered, so that a token
// that comes with every packet costs one signature check; their times are looked at each time. A claim that is null counts
// as absent, because there are libraries that write those. [PROTOCOLS 1.3]
import { createSecretKey, type KeyObject } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'

/** [RFC 7518 3.2]: a key at least as long as the hash. */
const SECRET_BYTES_MIN = 32
/** A longer token is refused unread. */
export const TOKEN_LENGTH_MAX = 4_096
/** Verified tokens that are remembered; the one verified longest ago goes first. */
const REMEMBERED_MAX = 4_096
/** `exp` and `nbf` hold a little longer, because clocks differ. */
const LEEWAY_SECONDS = 5

/** What a token says, as it says it. */
export type Claims = Readonly<Record<string, unknown>>

export interface TokenRules {
  /** Undefined, or shorter than 32 bytes: every token is refused. */
  readonly secret: string | undefined
  /** Refuse a token without `exp`. Default false. */
  readonly requireExp?: boolean
  readonly clock: Clock
}

export class TokenVerifier {
  readonly #rules: TokenRules
  readonly #key: KeyObject | undefined
  readonly #remembered = new Map<string, Claims>()

  constructor(rules: TokenRules) {
    const secret = Buffer.from(rules.secret ?? '')
    this.#rules = rules
    this.#key = secret.length < SECRET_BYTES_MIN ? undefined : createSecretKey(secret)
  }

  /** The claims of a token that is valid now; undefined: it is not. Never rejects. */
  async verify(token: string): Promise<Claims | undefined> {
    return this.#remembered.has(token) ? this.recall(token) : this.#check(token)
  }

  /** The claims of a valid token that has been verified before; undefined: it has not, or is not valid any more. */
  recall(token: string): Claims | undefined {
    const claims = this.#remembered.get(token)
    return claims !== undefined && this.#holds(claims) ? claims : undefined
  }

  async #check(token: string): Promise<Claims | undefined> {
    const key = this.#key
    if (key === undefined || token.length > TOKEN_LENGTH_MAX) return undefined
    // Loaded when the first token comes: the threads that import a service for its definition need none of it.
    const { compactVerify } = await import('jose')
    // Not `jwtVerify`, which refuses times that are null.
    const claims = await compactVerify(token, key, { algorithms: ['HS256'] })
      .then(({ payload, protectedHeader }) => (protectedHeader.b64 === false ? undefined : claimsIn(payload)))
      // A token that is not valid is an answer here, whatever is wrong with it.
      .catch(() => undefined)
    if (claims === undefined || !this.#holds(claims)) return undefined
    this.#remember(token, claims)
    return claims
  }

  #remember(token: string, claims: Claims): void {
    if (this.#remembered.size >= REMEMBERED_MAX) {
      const [oldest] = this.#remembered.keys()
      if (oldest !== undefined) this.#remembered.delete(oldest)
    }
    this.#remembered.set(token, claims)
  }

  #holds(claims: Claims): boolean {
    const { exp, nbf, token_type: type } = claims
    const seconds = this.#rules.clock.wallMs() / 1_000
    if (type !== undefined && type !== 'access') return false
    if (exp === undefined && this.#rules.requireExp === true) return false
    if (exp !== undefined && !(typeof exp === 'number' && exp > seconds - LEEWAY_SECONDS)) return false
    return nbf === undefined || (typeof nbf === 'number' && nbf <= seconds + LEEWAY_SECONDS)
  }
}

/** Undefined: it is no object. Throws on what is no JSON. */
function claimsIn(payload: Uint8Array): Claims | undefined {
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.fromEntries(Object.entries(value).filter(([, claim]) => claim !== null))
}
