// What can go wrong between a request and its answer: bodies that cannot be taken, and what the store or an actor did not
// do.
import type { FastifyError, FastifyInstance } from 'fastify'
import { PolyloopError } from '../../lib/errors.ts'
import { errorFields, type Logger } from '../../observe/logger.ts'
import { HTTP_TEXT, sendFailure } from './http-answer.ts'
import { BodyError } from './http-body.ts'
import { failureText } from './problem.ts'

const FAILURES_LOGGED_PER_SECOND = 5

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a 500 of the route says. */
    failure?: string
  }
}

/** An actor's no: answered as a 500. `message` is the client's, unless the route has a text of its own. */
export class ProblemError extends Error {
  override name = 'ProblemError'
}

/** Errors of Fastify, of bodies and of handlers, as answers. */
export function answerErrors(app: FastifyInstance, log: Logger): void {
  const failed = log.limited('chat.http_failed', FAILURES_LOGGED_PER_SECOND)
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    if (error instanceof BodyError) {
      // Fastify gives up the connection because there may be more to read; here the whole body was.
      return sendFailure(reply.removeHeader('connection'), 400, error.message)
    }
    const status = ('statusCode' in error ? error.statusCode : undefined) ?? 500
    if (status === 413) return sendFailure(reply, 413, HTTP_TEXT.bodyTooLarge)
    if (status === 415) return sendFailure(reply, 415, HTTP_TEXT.bodyNotJson)
    if (status < 500) return sendFailure(reply, status, error.message)
    failed.error({ method: request.method, route: request.routeOptions.url, ...errorFields(error) })
    return sendFailure(reply, 500, request.routeOptions.config.failure ?? textOf(error))
  })
}

function textOf(error: Error): string {
  if (error instanceof ProblemError) return error.message
  return error instanceof PolyloopError ? failureText(error) : HTTP_TEXT.failed
}
