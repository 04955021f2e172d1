// The token that a handshake brings, and whether it is the one that is wanted.
import type { IncomingHttpHeaders } from 'node:http'
import { isEqualSecret } from '../../lib/secret.ts'

/** The subprotocol whose next neighbour in the list is the token. */
export const BEARER_PROTOCOL = 'polyloop.bearer'
const SCHEME = 'Bearer '
const BASE64URL = /^[A-Za-z0-9_-]+$/

export interface Credential {
  /** One character per byte. */
  readonly token: string
  /** The subprotocol to select, where the token came in one. */
  readonly protocol?: typeof BEARER_PROTOCOL
}

/** Undefined: there is no token. */
export function credentialOf(headers: IncomingHttpHeaders, browserAuth: boolean): Credential | undefined {
  const { authorization = '' } = headers
  if (authorization.startsWith(SCHEME) && authorization.length > SCHEME.length) {
    return { token: authorization.slice(SCHEME.length) }
  }
  const token = browserAuth ? tokenOfProtocols(headers['sec-websocket-protocol'] ?? '') : ''
  return token === '' ? undefined : { token, protocol: BEARER_PROTOCOL }
}

/** In constant time; `stored` undefined: there is none to be equal to. */
export function isEqualToken(token: string, stored: Uint8Array | undefined): boolean {
  // Compared even with nothing, so that the time does not tell whether there is one.
  const isEqual = isEqualSecret(Buffer.from(token, 'latin1'), stored ?? Buffer.alloc(0))
  return isEqual && stored !== undefined
}

function tokenOfProtocols(list: string): string {
  const offered = list.split(',').map((one) => one.trim())
  const at = offered.indexOf(BEARER_PROTOCOL)
  const encoded = at === -1 ? undefined : offered[at + 1]
  return encoded !== undefined && BASE64URL.test(encoded) ? Buffer.from(encoded, 'base64url').toString('latin1') : ''
}
