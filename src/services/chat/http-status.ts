// Health and readiness of the process at the address of chat, as on the admin endpoint. [PROTOCOLS 7]
import { ERRORS, PolyloopError } from '../../lib/errors.ts'
import type { StatusSource } from '../service.ts'
import { send, sendFailure } from './http-answer.ts'
import type { Handler, Handlers } from './http-route.ts'

export function statusRoutes(status: StatusSource): Handlers {
  return {
    health: orUnavailable(async (_request, reply) => {
      const health = await status.health()
      return send(reply, health.status === 'unhealthy' ? 503 : 200, JSON.stringify(health))
    }),
    ready: orUnavailable(async (_request, reply) => {
      const readiness = await status.readiness()
      return send(reply, readiness === 'ready' ? 200 : 503, JSON.stringify({ status: readiness }))
    }),
  }
}

/** A process that does not say how it is should not be sent anything. */
function orUnavailable(handler: Handler): Handler {
  return async (request, reply) => {
    try {
      return await handler(request, reply)
    } catch (error) {
      if (!(error instanceof PolyloopError)) throw error
      return sendFailure(reply, 503, ERRORS[error.code].text)
    }
  }
}
