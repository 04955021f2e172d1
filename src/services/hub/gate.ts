// The handshake: who comes in, as whom, and with which session. [PROTOCOLS 4.1, 4.7, 4.8]
import { randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import type { UpgradeAnswer, UpgradeRequest } from '../../net/handler.ts'
import { queryValueOf } from '../../net/head.ts'
import type { HubEdge } from './edge.ts'
import { type Identity, identityOf, NOBODY } from './identity.ts'
import type { Restored } from './member.ts'
import { NO_OPTIONS, type Options, queriedOptions } from './request.ts'
import { freshIdOf, HUB_PATH, parseToken, pathOf } from './session-id.ts'

/** Whatever follows is meant as a JWT: what is none is refused, and does not count as nobody. */
const BEARER = /^Bearer +(\S.*)$/i
const MINUTE_SECONDS = 60

const REFUSED = {
  notFound: { accept: false, status: 404, body: 'Not found' },
  origin: { accept: false, status: 403, body: 'Origin not allowed' },
  token: { accept: false, status: 403, body: 'Invalid token' },
} as const satisfies Record<string, UpgradeAnswer>

/** What `open` gets. */
export type Admitted =
  | { readonly kind: 'fresh'; readonly id: string; readonly identity: Identity; readonly options: Options }
  | ({ readonly kind: 'restored' } & Restored)

export class Gate {
  readonly #edge: HubEdge

  constructor(edge: HubEdge) {
    this.#edge = edge
  }

  admit(request: UpgradeRequest): UpgradeAnswer | Promise<UpgradeAnswer> {
    const { target, headers } = request
    if (pathOf(target) !== HUB_PATH) return REFUSED.notFound
    const { allowedOrigins } = this.#edge.context.config
    const { origin } = headers
    if (allowedOrigins.length > 0 && origin !== undefined && !allowedOrigins.includes(origin)) return REFUSED.origin
    const jwt = queriedToken(target) ?? bearerOf(headers.authorization)
    const reconnection = queryValueOf(target, 'reconnection_token') ?? ''
    if (jwt === undefined && reconnection === '') return this.#fresh(request, NOBODY)
    return this.#known(request, jwt, reconnection)
  }

  /** Accepted, but the client is gone. */
  abandoned(admitted: Admitted): void {
    if (admitted.kind === 'restored') this.#edge.restorer.giveBack(admitted.record)
  }

  async #known(request: UpgradeRequest, jwt: string | undefined, reconnection: string): Promise<UpgradeAnswer> {
    const { verifier, restorer, counters } = this.#edge
    const claims = jwt === undefined ? undefined : await verifier.verify(jwt)
    const identity = claims === undefined ? undefined : identityOf(claims)
    if (reconnection !== '') {
      const token = parseToken(reconnection)
      const record = token === undefined ? undefined : await restorer.restore(token, identity)
      if (record !== undefined) {
        counters.restored.value++
        const options = queriedOptions((name) => queryValueOf(request.target, name), record.options)
        const restored: Admitted = { kind: 'restored', record, identity: identity ?? record.identity, options }
        return { accept: true, value: restored }
      }
      counters.rejected.value++
    }
    if (jwt !== undefined && identity === undefined) return REFUSED.token
    return this.#fresh(request, identity ?? NOBODY)
  }

  #fresh({ target, remote, session }: UpgradeRequest, identity: Identity): UpgradeAnswer {
    const refusal = this.#crowded(remote.address)
    if (refusal !== undefined) return refusal
    const token = parseToken(queryValueOf(target, 'reconnection_token'))
    const id = freshIdOf(session, token) ?? randomUUID()
    const options = queriedOptions((name) => queryValueOf(target, name), NO_OPTIONS)
    return { accept: true, value: { kind: 'fresh', id, identity, options } satisfies Admitted }
  }

  /** Too many new sessions of this address. */
  #crowded(address: string): UpgradeAnswer | undefined {
    const { config, takeToken } = this.#edge.context
    const { newSessionsPerMinute } = config
    if (newSessionsPerMinute === 0 || isLoopback(address)) return undefined
    const waitMs = takeToken(`address ${address}`, newSessionsPerMinute / MINUTE_SECONDS, newSessionsPerMinute)
    if (waitMs === 0) return undefined
    const headers = { 'Retry-After': String(Math.max(1, Math.ceil(waitMs / 1_000))) }
    return { accept: false, status: 429, body: 'Too many new sessions', headers }
  }
}

export function bearerOf(authorization: string | undefined): string | undefined {
  return BEARER.exec(authorization ?? '')?.[1]
}

function queriedToken(target: string): string | undefined {
  const token = queryValueOf(target, 'token')
  return token === '' ? undefined : token
}

export function isLoopback(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
  return isIP(plain) === 4 ? plain.startsWith('127.') : plain === '::1'
}
