// Who asks over HTTP, and how often. [PROTOCOLS 4.10]
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { HubEdge } from './edge.ts'
import { bearerOf } from './gate.ts'
import { HTTP_TEXT, sendDetail } from './http-answer.ts'
import { type Identity, identityOf } from './identity.ts'
import { ADMIN } from './permission.ts'

/** Of one address, for each of the routes that are limited. */
const REQUESTS_PER_MINUTE = 100
const MINUTE_SECONDS = 60

/** By the JWT of the request; undefined: there is none that is valid. */
export async function requesterOf(edge: HubEdge, { headers }: FastifyRequest): Promise<Identity | undefined> {
  const jwt = bearerOf(headers.authorization)
  const claims = jwt === undefined ? undefined : await edge.verifier.verify(jwt)
  return claims === undefined ? undefined : identityOf(claims)
}

export async function isAdmin(edge: HubEdge, request: FastifyRequest): Promise<boolean> {
  return (await requesterOf(edge, request))?.role === ADMIN
}

/** A hook before anything of the body is read. */
export function limited(edge: HubEdge, route: string): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    const key = `${route} ${request.raw.socket.remoteAddress}`
    const waitMs = edge.context.takeToken(key, REQUESTS_PER_MINUTE / MINUTE_SECONDS, REQUESTS_PER_MINUTE)
    if (waitMs === 0) return
    reply.header('retry-after', Math.max(1, Math.ceil(waitMs / 1_000)))
    sendDetail(reply, 429, HTTP_TEXT.tooMany)
  }
}
