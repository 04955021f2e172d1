// Who a request acts as, and whether it may: chat's authentication and rate limit, before anything of the request is
// read. [PROTOCOLS 3.8]
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { ServiceContext } from '../service.ts'
import type { Authenticator } from './authenticator.ts'
import type { ChatConfig } from './config.ts'
import { sendFailure } from './http-answer.ts'
import { TEXT } from './text.ts'

/** A request of which it is known who acts. */
export type ApiRequest = FastifyRequest & { userId: number }

type AccessContext = Pick<ServiceContext<Pick<ChatConfig, 'rateLimit'>>, 'config' | 'takeToken'>

const BEARER = /^Bearer +([^\s]+)$/i

/** The hooks that a request passes before its route, in order. Without an authenticator nobody has to say who they are. */
export function accessHooks(context: AccessContext, authenticator: Authenticator | undefined): onRequestHookHandler[] {
  const hooks: onRequestHookHandler[] = []
  if (authenticator !== undefined) hooks.push(authenticate(authenticator))
  if (context.config.rateLimit.rate > 0) hooks.push(limit(context, authenticator !== undefined))
  return hooks
}

function authenticate(authenticator: Authenticator): onRequestHookHandler {
  return (request, reply, done) => {
    const [, token] = BEARER.exec(request.headers.authorization ?? '') ?? []
    if (token === undefined) {
      refuse(reply)
      return
    }
    const known = authenticator.knownUserOf(token)
    if (known !== undefined) {
      ;(request as ApiRequest).userId = known
      done()
      return
    }
    authenticator.userOf(token).then((userId) => {
      if (userId === undefined) {
        refuse(reply)
        return
      }
      ;(request as ApiRequest).userId = userId
      done()
    }, done)
  }
}

function refuse(reply: FastifyReply): void {
  reply.header('www-authenticate', 'Bearer')
  sendFailure(reply, 401, TEXT.tokenInvalid)
}

function limit({ config, takeToken }: AccessContext, isAuthenticated: boolean): onRequestHookHandler {
  const { rate, burst } = config.rateLimit
  return (request, reply, done) => {
    const key = isAuthenticated
      ? `user:${(request as ApiRequest).userId}`
      : `address:${request.raw.socket.remoteAddress}`
    const waitMs = takeToken(key, rate, burst)
    if (waitMs === 0) {
      done()
      return
    }
    reply.header('retry-after', Math.max(1, Math.ceil(waitMs / 1_000)))
    sendFailure(reply, 429, TEXT.rateLimited)
  }
}
