// Who somebody is, by a token: the user whose id is its `sub`.
import type { Clock } from '../../lib/clock.ts'
import { type Claims, TokenVerifier } from '../token.ts'
import type { ChatConfig } from './config.ts'
import { positiveInteger } from './positive-integer.ts'

export class Authenticator {
  readonly #verifier: TokenVerifier

  constructor(secret: string | undefined, clock: Clock) {
    this.#verifier = new TokenVerifier({ secret, clock })
  }

  /** The user's id; undefined: the token is not valid, or names no user. Never rejects. */
  async userOf(token: string): Promise<number | undefined> {
    return userIn(await this.#verifier.verify(token))
  }

  /** The same for a token that has been verified before, at once; undefined for any other. */
  knownUserOf(token: string): number | undefined {
    return userIn(this.#verifier.recall(token))
  }
}

/** Undefined: nobody is asked who they are. */
export function createAuthenticator(config: ChatConfig, clock: Clock): Authenticator | undefined {
  return config.auth === 'jwt' ? new Authenticator(config.jwt.secret, clock) : undefined
}

function userIn(claims: Claims | undefined): number | undefined {
  return positiveInteger(claims?.sub)
}
