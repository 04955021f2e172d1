// Chat's HTTP API: Fastify with chat's routes, bodies and errors. It never listens: the shard's own HTTP server feeds
// it. [PROTOCOLS 3.6]
import { isUtf8 } from 'node:buffer'
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RouteHandlerMethod,
} from 'fastify'
import { ERRORS, PolyloopError } from '../../lib/errors.ts'
import type { HttpHandler } from '../../net/handler.ts'
import { errorFields, type Logger } from '../../observe/logger.ts'
import type { ServiceContext } from '../service.ts'
import { createAuthenticator } from './authenticator.ts'
import type { ChatConfig } from './config.ts'
import { accessHooks } from './http-access.ts'
import { HTTP_TEXT, send, sendFailure } from './http-answer.ts'
import { HttpCounter } from './http-counter.ts'
import { createHttpDocs, type HttpDocs } from './http-docs.ts'
import {
  chatRoutes,
  type Handler,
  ProblemError,
  presenceRoutes,
  type StatusSource,
  statusRoutes,
} from './http-handler.ts'
import { type Operation, ROUTES } from './http-route.ts'
import { storeText, TEXT } from './text.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a 500 of the route says. */
    failure?: string
  }
}

export type HttpConfig = ChatConfig & { readonly corsOrigins: readonly string[] }

export interface HttpApiSources {
  /** Answers /health and /ready; without it there are none. */
  readonly status?: StatusSource
}

export const BODY_BYTES_MAX = 2 * 1024 * 1024
const CORS_MAX_AGE_SECONDS = 3_600
const CORS_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'
const FAILURES_LOGGED_PER_SECOND = 5

/** The handler of chat's `http` listener; one in each shard. */
export async function createHttpApi(
  context: ServiceContext<HttpConfig>,
  sources: HttpApiSources = {},
): Promise<HttpHandler> {
  const app = await createHttpApp(context, sources)
  return (request, response) => app.routing(request, response)
}

export async function createHttpApp(
  context: ServiceContext<HttpConfig>,
  sources: HttpApiSources = {},
): Promise<FastifyInstance> {
  const { config } = context
  const counter = new HttpCounter(context.metrics)
  const unknown = new UnknownPath(counter)
  const app = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    // A body is right or wrong as it came.
    ajv: {
      customOptions: { coerceTypes: false, useDefaults: false, removeAdditional: false, allowUnionTypes: true },
    },
    // Paths that cannot be decoded.
    frameworkErrors: (_error, request, reply) => unknown.answer(request as FastifyRequest, reply as FastifyReply),
  })
  readBodies(app)
  answerErrors(app, context.log)
  app.decorateRequest('userId', config.httpUserId)
  await allowOrigins(app, config.corsOrigins)
  // Before the body is read: it is nobody's.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) unknown.answer(request, reply)
    else done()
  })
  app.setNotFoundHandler((request, reply) => unknown.answer(request, reply))
  app.addHook('onRoute', (route) => {
    unknown.addRoute(route.url, [route.method].flat())
    const count = counter.ofRoute(route.url)
    route.onSend = [
      ...[route.onSend ?? []].flat(),
      (
        request: FastifyRequest,
        reply: FastifyReply,
        payload: unknown,
        done: (error: null, payload: unknown) => void,
      ) => {
        count(request.method, reply.statusCode)
        done(null, payload)
      },
    ]
  })
  addRoutes(app, context, sources)
  addDocs(app, counter, config.auth === 'jwt')
  await app.ready()
  return app
}

function addRoutes(app: FastifyInstance, context: ServiceContext<HttpConfig>, { status }: HttpApiSources): void {
  const handlers: Partial<Record<Operation, Handler>> = {
    ...chatRoutes(context),
    ...presenceRoutes(context),
    ...(status === undefined ? {} : statusRoutes(status)),
  }
  const guards = accessHooks(context, createAuthenticator(context.config, context.clock))
  for (const { operation, method, url, body, isOpen, failure } of ROUTES) {
    const handler = handlers[operation]
    if (handler === undefined) continue
    app.route({
      method,
      url,
      // Paths and queries are read by the handlers; answers are written by hand.
      ...(body === undefined ? {} : { schema: { body } }),
      ...(isOpen === true ? {} : { onRequest: guards }),
      config: failure === undefined ? {} : { failure },
      handler: handler as RouteHandlerMethod,
    })
  }
}

function addDocs(app: FastifyInstance, counter: HttpCounter, withTokens: boolean): void {
  let made: Promise<HttpDocs> | undefined
  const docs = (): Promise<HttpDocs> => {
    made ??= createHttpDocs(withTokens)
    return made
  }
  app.get('/openapi.json', async (_request, reply) => send(reply, 200, (await docs()).document))
  const count = counter.ofRoute('/docs')
  const serve = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { serve: answer } = await docs()
    reply.hijack()
    reply.raw.once('finish', () => count(request.method, reply.raw.statusCode))
    answer(request.raw, reply.raw)
  }
  app.get('/docs', serve)
  app.get('/docs/*', serve)
}

/** JSON as it came: ill-formed UTF-8 is an error and never repaired. */
function readBodies(app: FastifyInstance): void {
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

class InvalidJson extends Error {
  override name = 'InvalidJson'
}

async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return
  const { fastifyCors } = await import('@fastify/cors')
  const allowed = new Set(origins)
  await app.register(fastifyCors, {
    // By function: a list would give others the headers of a preflight, only without the one that counts.
    origin: allowed.has('*')
      ? '*'
      : (origin, done) => done(null, origin !== undefined && allowed.has(origin) ? origin : false),
    methods: CORS_METHODS,
    maxAge: CORS_MAX_AGE_SECONDS,
    strictPreflight: false,
  })
}

/** Answers requests for what is not there: 404, or 405 where another method is. */
class UnknownPath {
  readonly #routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = []
  readonly #count: (method: string, status: number) => void

  constructor(counter: HttpCounter) {
    this.#count = counter.ofRoute('other')
  }

  addRoute(url: string, methods: readonly string[]): void {
    if (url === '*') return // preflights
    const pattern = new RegExp(`^${url.replace(/:\w+/g, '[^/]+').replace('*', '.*')}$`)
    this.#routes.push({ pattern, methods })
  }

  answer(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const path = request.url.split('?', 1)[0] ?? ''
    const methods = this.#routes.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods)
    const status = methods.length === 0 ? 404 : 405
    this.#count(request.method, status)
    if (status === 404) return sendFailure(reply, 404, HTTP_TEXT.notFound)
    reply.header('allow', [...new Set(methods)].sort().join(', '))
    return sendFailure(reply, 405, HTTP_TEXT.methodWrong)
  }
}

function answerErrors(app: FastifyInstance, log: Logger): void {
  const failed = log.limited('chat.http_failed', FAILURES_LOGGED_PER_SECOND)
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    if (error instanceof InvalidJson) return sendFailure(reply, 400, TEXT.invalidJson)
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
