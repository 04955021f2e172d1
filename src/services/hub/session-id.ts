// Session ids (version 4 UUIDs), reconnection tokens, and by what a connection is placed: the session it names, or the
// one it will begin. [PROTOCOLS 4.7, 1.8]
//
//   token   43 characters of base64url: 16 bytes session id | 16 random bytes
import { hash, randomBytes } from 'node:crypto'
import { queryValueOf, requestTargetOf } from '../../net/head.ts'
import type { SessionKey } from '../../net/session-key.ts'

const TOKEN = /^[A-Za-z0-9_-]{43}$/
const ID_BYTES = 16
const TOKEN_BYTES = 32
const KEY_PREFIX = 'hub:'
export const HUB_PATH = '/ws'

/** So that nobody can know the ids of others, and hosts do not share any. */
const SALT = randomBytes(ID_BYTES).toString('hex')

export interface ReconnectionToken {
  readonly text: string
  readonly sessionId: string
  /** What is kept of it: SHA-256, base64. */
  readonly digest: string
}

export function mintToken(sessionId: string): ReconnectionToken {
  const bytes = Buffer.concat([Buffer.from(sessionId.replaceAll('-', ''), 'hex'), randomBytes(ID_BYTES)])
  return tokenOf(bytes)
}

/** Undefined: it is none. */
export function parseToken(text: string | undefined): ReconnectionToken | undefined {
  if (text === undefined || !TOKEN.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64url')
  const token = bytes.length === TOKEN_BYTES ? tokenOf(bytes) : undefined
  // Of the 43 characters' 258 bits the last two mean nothing: two texts must not be one token.
  return token?.text === text ? token : undefined
}

/** The id of the session that a connection begins, which its key names; undefined: it was placed by something else. */
export function freshIdOf(session: string, token: ReconnectionToken | undefined): string | undefined {
  const id = session.startsWith(KEY_PREFIX) ? session.slice(KEY_PREFIX.length) : undefined
  return id === token?.sessionId ? undefined : id
}

/** Runs on the acceptor; pure but for the salt. */
export function sessionOfHub(head: Uint8Array, start: number, end: number, fresh: string): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const { target } = found
  if (pathOf(target) !== HUB_PATH) return { state: 'none' }
  const token = parseToken(queryValueOf(target, 'reconnection_token'))
  return { state: 'key', key: `${KEY_PREFIX}${token?.sessionId ?? mintId(fresh)}` }
}

export function pathOf(target: string): string {
  const end = target.search(/[?#]/)
  return end === -1 ? target : target.slice(0, end)
}

function tokenOf(bytes: Buffer): ReconnectionToken {
  return {
    text: bytes.toString('base64url'),
    sessionId: uuidOf(bytes.subarray(0, ID_BYTES)),
    digest: hash('sha256', bytes, 'base64'),
  }
}

function mintId(fresh: string): string {
  const bytes = hash('sha256', `${SALT} ${fresh}`, 'buffer').subarray(0, ID_BYTES)
  // Version 4, variant 1 [RFC 9562 5.4].
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  return uuidOf(bytes)
}

function uuidOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
