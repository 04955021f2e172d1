// The handshake of a session: who may come in, and not before the session's channel is listened to. Each refusal has the
// status and the text of the protocol. [PROTOCOLS 5.1]
import { PolyloopError } from '../../lib/errors.ts'
import type { UpgradeAnswer, UpgradeRequest } from '../../net/handler.ts'
import type { LimitedLogger } from '../../observe/logger.ts'
import { TokenVerifier } from '../token.ts'
import type { HandshakeStatus } from './counter.ts'
import { credentialOf, isEqualToken } from './credential.ts'
import { inTime, LATE } from './deadline.ts'
import type { ProxyEdge } from './edge.ts'
import { Member } from './member.ts'
import { proxyTargetOf } from './target.ts'

const LOGGED_PER_SECOND = 5

const NOT_FOUND: UpgradeAnswer = { accept: false, status: 404, body: 'Not found' }
const ID_INVALID: UpgradeAnswer = { accept: false, status: 400, body: 'Invalid session id' }

/** Why nobody comes in. */
const REFUSALS = {
  missing: { label: 'unauthorized', status: 401, body: 'Missing authorization token' },
  forbidden: { label: 'forbidden', status: 403, body: 'Invalid authorization token' },
  badToken: { label: 'forbidden', status: 403, body: 'Invalid JWT token' },
  late: { label: 'timeout', status: 504, body: 'Authentication timeout' },
  failed: { label: 'error', status: 500, body: 'Internal server error' },
  deaf: { label: 'unavailable', status: 503, body: 'Unable to prepare session' },
} as const satisfies Record<string, { readonly label: HandshakeStatus; readonly status: number; readonly body: string }>
type Refusal = (typeof REFUSALS)[keyof typeof REFUSALS]

export class Gate {
  readonly #edge: ProxyEdge
  readonly #verifier: TokenVerifier | undefined
  readonly #failed: LimitedLogger

  constructor(edge: ProxyEdge) {
    const { config, clock, log } = edge.context
    this.#edge = edge
    this.#failed = log.limited('proxy.bridge_failed', LOGGED_PER_SECOND)
    if (config.authMode === 'jwt') this.#verifier = new TokenVerifier({ secret: config.jwt.secret, clock })
  }

  /** Accepts with a Member that listens. */
  async admit({ target, headers, signal }: UpgradeRequest): Promise<UpgradeAnswer> {
    const found = proxyTargetOf(target)
    if (found.kind !== 'session') return found.kind === 'unknown' ? NOT_FOUND : ID_INVALID
    const credential = credentialOf(headers, this.#edge.context.config.browserAuth)
    if (credential === undefined) return this.#refuse(REFUSALS.missing)
    const { token, protocol } = credential
    const refusal = await (this.#verifier === undefined
      ? this.#compare(found.session, token)
      : this.#verify(this.#verifier, found.session, token))
    if (refusal !== undefined) return this.#refuse(refusal)

    // Not at once with the subscription, which has a connection of its own and would overtake it: the protocol has an order.
    const isReachable = await (this.#verifier === undefined ? this.#extend(found.session) : this.#ping())
    if (!isReachable || signal.aborted) return this.#refuse(REFUSALS.deaf)
    const member = new Member(this.#edge, found.agent, found.session)
    if (!(await this.#listens(member)) || signal.aborted) {
      member.leave()
      return this.#refuse(REFUSALS.deaf)
    }
    return protocol === undefined ? { accept: true, value: member } : { accept: true, value: member, protocol }
  }

  #refuse({ label, status, body }: Refusal): UpgradeAnswer {
    this.#edge.counters.handshake(label)
    return { accept: false, status, body }
  }

  async #compare(session: string, token: string): Promise<Refusal | undefined> {
    try {
      const stored = await this.#inTime(this.#edge.context.bridge.get({ key: keyOf(session) }))
      if (stored !== LATE) return isEqualToken(token, stored) ? undefined : REFUSALS.forbidden
      this.#note('get', 'late')
      return REFUSALS.late
    } catch (error) {
      this.#note('get', error)
      return error instanceof PolyloopError && error.code === 'BRIDGE_TIMEOUT' ? REFUSALS.late : REFUSALS.failed
    }
  }

  async #verify(verifier: TokenVerifier, session: string, token: string): Promise<Refusal | undefined> {
    const claims = await verifier.verify(token)
    if (claims === undefined || typeof claims.iat !== 'number' || typeof claims.session_id !== 'string')
      return REFUSALS.badToken
    return claims.session_id === session ? undefined : REFUSALS.forbidden
  }

  /** The token serves reconnects for the grace time. True whatever comes of it: that is no reason to send anybody away. */
  async #extend(session: string): Promise<true> {
    const { bridge, config } = this.#edge.context
    const ttlSeconds = config.authGrace / 1_000
    await this.#did('expire', bridge.expire({ key: keyOf(session), ttlSeconds }))
    return true
  }

  /** Without a look-up nothing else tells that the server is away, where somebody listens to the session already. */
  #ping(): Promise<boolean> {
    return this.#did('ping', this.#edge.context.bridge.ping())
  }

  #listens(member: Member): Promise<boolean> {
    return this.#did('subscribe', member.listens)
  }

  async #did(operation: string, answer: Promise<unknown>): Promise<boolean> {
    try {
      if ((await this.#inTime(answer)) !== LATE) return true
      this.#note(operation, 'late')
    } catch (error) {
      this.#note(operation, error)
    }
    return false
  }

  #inTime<T>(answer: Promise<T>): Promise<T | typeof LATE> {
    const { after, config } = this.#edge.context
    return inTime(after, config.authTimeout, answer)
  }

  #note(operation: string, problem: unknown): void {
    this.#edge.counters.error('redis')
    const code = problem instanceof PolyloopError ? problem.code : String(problem)
    this.#failed.warn({ operation, problem: code })
  }
}

/** How Redis names the token of a session. */
export function keyOf(session: string): string {
  return `session:${session}:auth`
}
