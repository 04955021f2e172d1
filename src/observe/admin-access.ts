// Who may ask the admin server what: pure checks of one request's head. They exist because a browser on the same
// machine, or one tricked by DNS rebinding, must not reach what is meant for operators.
import type { IncomingHttpHeaders } from 'node:http'
import { isIP, isIPv6 } from 'node:net'
import { isEqualSecret } from '../lib/secret.ts'

export interface AccessRules {
  /** Names that may stand in Host besides `localhost` and addresses. */
  readonly hosts: readonly string[]
  readonly token: string | undefined
}

export interface RequestHead {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

export interface Refusal {
  readonly status: 401 | 403 | 415
  readonly error: string
}

/** Probes must work without credentials: they tell nothing but counts. */
const OPEN_PATHS: readonly string[] = ['/health', '/ready']

/** Why the request is refused, if it is. */
export function refusalOf({ method, path, headers }: RequestHead, rules: AccessRules): Refusal | undefined {
  if (!isHostAllowed(headers.host, rules.hosts))
    return { status: 403, error: 'this Host is not allowed: see admin.hosts' }
  if (headers.origin !== undefined && !isSameOrigin(headers.origin, headers.host)) {
    return { status: 403, error: 'requests of other origins are refused' }
  }
  if (rules.token !== undefined && !OPEN_PATHS.includes(path) && !hasToken(headers.authorization, rules.token)) {
    return { status: 401, error: 'a token is needed' }
  }
  // A form of a foreign page can POST, but not with this type.
  if (method === 'POST' && !isJson(headers['content-type'])) {
    return { status: 415, error: 'the content type must be application/json' }
  }
  return undefined
}

// A rebound DNS name brings its own Host; an address cannot be rebound.
function isHostAllowed(host: string | undefined, names: readonly string[]): boolean {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(host ?? '') ?? []
  if (bracketed !== undefined) return isIPv6(bracketed)
  if (plain === undefined) return false
  const name = plain.toLowerCase().replace(/\.$/, '')
  return name === 'localhost' || isIP(name) !== 0 || names.some((allowed) => allowed.toLowerCase() === name)
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase()
}

function hasToken(authorization: string | undefined, token: string): boolean {
  const [, scheme, credentials] = /^(Bearer|Basic) +(\S+) *$/i.exec(authorization ?? '') ?? []
  if (scheme === undefined || credentials === undefined) return false
  if (scheme.toLowerCase() === 'bearer') return isEqualSecret(credentials, token)
  const decoded = Buffer.from(credentials, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  return colon >= 0 && isEqualSecret(decoded.slice(colon + 1), token)
}

function isJson(contentType: string | undefined): boolean {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
}
