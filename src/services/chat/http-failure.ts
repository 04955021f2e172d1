// What can go wrong between a request and its answer: bodies that are no JSON or not what their schema says, and what the
// store or an actor did not do.
import { isUtf8 } from 'node:buffer'
import type { FastifyError, FastifyInstance } from 'fastify'
import { ERRORS, PolyloopError } from '../../lib/errors.ts'
import { errorFields, type Logger } from '../../observe/logger.ts'
import { HTTP_TEXT, sendFailure } from './http-answer.ts'
import { storeText, TEXT } from './text.ts'

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

/** JSON as it came: ill-formed UTF-8 is an error and never repaired. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
    if (!isUtf8(body)) {
      done(new InvalidJson())
      return
    }
    let value: unknown
    try {
      value = JSON.parse(body.toString())
    } catch {
      done(new InvalidJson())
      return
    }
    done(null, value)
  })
}

// Fastify wants errors here.
class InvalidJson extends Error {
  override name = 'InvalidJson'
}

/** Errors of Fastify, of the schemas and of the handlers, as answers. */
export function answerErrors(app: FastifyInstance, log: Logger): void {
  const failed = log.limited('chat.http_failed', FAILURES_LOGGED_PER_SECOND)
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    if (error instanceof InvalidJson) {
      // Fastify gives up the connection because there may be more to read; here the whole body was.
      return sendFailure(reply.removeHeader('connection'), 400, TEXT.invalidJson)
    }
    if ('validation' in error) return sendFailure(reply, 400, bodyProblem(error))
    const status = ('statusCode' in error ? error.statusCode : undefined) ?? 500
    if (status === 413) return sendFailure(reply, 413, HTTP_TEXT.bodyTooLarge)
    if (status === 415) return sendFailure(reply, 415, HTTP_TEXT.bodyNotJson)
    if (status < 500) return sendFailure(reply, status, error.message)
    failed.error({ method: request.method, route: request.routeOptions.url, ...errorFields(error) })
    return sendFailure(reply, 500, request.routeOptions.config.failure ?? failureText(error))
  })
}

function failureText(error: Error): string {
  if (error instanceof ProblemError) return error.message
  if (!(error instanceof PolyloopError)) return HTTP_TEXT.failed
  const { problem } = error.details
  return storeText(typeof problem === 'string' ? problem : ERRORS[error.code].text)
}

/** What is wrong with a body, by the first thing that its schema does not allow. */
function bodyProblem({ validation }: Pick<FastifyError, 'validation'>): string {
  const [first] = validation ?? []
  if (first === undefined || first.instancePath === '') {
    const missing = first?.params.missingProperty
    return missing === undefined ? TEXT.invalidJson : `invalid body: ${missing} is missing`
  }
  const member = first.instancePath.slice(1).replaceAll('/', '.')
  if (member === 'content' && first.keyword === 'minLength') return TEXT.contentEmpty
  if (member === 'content' && first.keyword === 'maxLength') return TEXT.contentTooLong
  return `invalid body: ${member} ${first.message}`
}
