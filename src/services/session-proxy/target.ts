// The request target of a session: `/{agent}/ws/{session}`. Pure and never throwing; runs on the acceptor too.
import { requestTargetOf } from '../../net/head.ts'
import type { SessionKey } from '../../net/session-key.ts'

/** Of either segment, decoded. */
export const ID_BYTES_MAX = 256

/** `unknown`: another path. `invalid`: the path of a session, with an id that is none. */
export type ProxyTarget =
  | { readonly kind: 'session'; readonly agent: string; readonly session: string }
  | { readonly kind: 'invalid' | 'unknown' }

const UNKNOWN: ProxyTarget = { kind: 'unknown' }
const INVALID: ProxyTarget = { kind: 'invalid' }
const NONE: SessionKey = { state: 'none' }

export function proxyTargetOf(target: string): ProxyTarget {
  const end = target.search(/[?#]/)
  const path = end === -1 ? target : target.slice(0, end)
  const [root, rawAgent, ws, rawSession, ...rest] = path.split('/')
  if (root !== '' || rawAgent === undefined || ws !== 'ws' || rawSession === undefined || rest.length > 0)
    return UNKNOWN
  const agent = idOf(rawAgent)
  const session = idOf(rawSession)
  return agent === undefined || session === undefined ? INVALID : { kind: 'session', agent, session }
}

/** All connections of a session meet on one shard. */
export function sessionOfTarget(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const target = proxyTargetOf(found.target)
  return target.kind === 'session' ? { state: 'key', key: `proxy:${target.session}` } : NONE
}

/** A decoded id, if it may be one: 1 to ID_BYTES_MAX bytes without control characters. */
export function isSessionId(id: string): boolean {
  return id !== '' && id.isWellFormed() && Buffer.byteLength(id) <= ID_BYTES_MAX && !/\p{Cc}/u.test(id)
}

function idOf(segment: string): string | undefined {
  try {
    const id = decodeURIComponent(segment)
    return isSessionId(id) ? id : undefined
  } catch {
    // The only way to ask decodeURIComponent is to let it throw. Ill-formed is an answer here.
    return undefined
  }
}
