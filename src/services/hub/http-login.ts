// A login for demonstrations: names and passwords of the configuration against a token. Not there unless it is configured.
// [PROTOCOLS 4.10]
import { createSecretKey } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isEqualSecret } from '../../lib/secret.ts'
import type { HubEdge } from './edge.ts'
import { limited } from './http-access.ts'
import { HTTP_TEXT, sendDetail, sendJson } from './http-answer.ts'

const EXPIRES_SECONDS = 900

type LoginRequest = FastifyRequest<{ Body: unknown }>

export function addLogin(app: FastifyInstance, edge: HubEdge): void {
  const { demoUsers, jwt } = edge.context.config
  const { secret } = jwt
  if (Object.keys(demoUsers).length === 0 || secret === undefined) return
  const key = createSecretKey(Buffer.from(secret))
  app.post('/api/v1/auth/login', { onRequest: limited(edge, 'login') }, async (request: LoginRequest, reply) => {
    const { username, password } = (request.body ?? {}) as { readonly username?: unknown; readonly password?: unknown }
    if (typeof username !== 'string' || typeof password !== 'string') return sendDetail(reply, 422, HTTP_TEXT.loginBad)
    const user = Object.hasOwn(demoUsers, username) ? demoUsers[username] : undefined
    // Compared in any case: the time must not tell which names there are.
    const isRight = isEqualSecret(password, user?.password ?? '')
    if (user === undefined || !isRight) return sendDetail(reply, 401, HTTP_TEXT.loginWrong)
    const { SignJWT } = await import('jose')
    const nowSeconds = Math.floor(edge.context.clock.wallMs() / 1_000)
    const token = await new SignJWT({ role: user.role, token_type: 'access' })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setSubject(username)
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + EXPIRES_SECONDS)
      .sign(key)
    return sendJson(reply, 200, {
      access_token: token,
      token_type: 'bearer',
      expires_in: EXPIRES_SECONDS,
      user: { user_id: username, username, role: user.role },
    })
  })
}
