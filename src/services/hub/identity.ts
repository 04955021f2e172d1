// Who a client is, by its JWT. [PROTOCOLS 4.1]
import type { Claims } from '../token.ts'
import { ANONYMOUS } from './permission.ts'

export interface Identity {
  /** Null: anonymous. */
  readonly userId: string | null
  readonly role: string
  /** When its JWT expires, in milliseconds since 1970; undefined: never, or there is none. */
  readonly expiresMs: number | undefined
}

export const NOBODY: Identity = { userId: null, role: ANONYMOUS, expiresMs: undefined }

/** User ids that have the role of that name, unless their token says otherwise. */
const NAMED_ROLES: readonly string[] = ['admin', 'developer', 'viewer', 'bot']
const DEFAULT_ROLE = 'viewer'
const USER_ID_LENGTH_MAX = 256
const ROLE_LENGTH_MAX = 64

/** Undefined: the claims name no user. */
export function identityOf({ sub, user_id: userId, role, exp }: Claims): Identity | undefined {
  const user = textOf(sub) ?? textOf(userId)
  if (user === undefined || user.length > USER_ID_LENGTH_MAX) return undefined
  const expiresMs = typeof exp === 'number' ? exp * 1_000 : undefined
  return { userId: user, role: roleOf(role, user), expiresMs }
}

function roleOf(claim: unknown, user: string): string {
  // Whatever else a token says its role is, it is none that has rights.
  if (claim !== undefined && claim !== null) return String(claim).slice(0, ROLE_LENGTH_MAX)
  return NAMED_ROLES.includes(user) ? user : DEFAULT_ROLE
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}
