// Chat's HTTP API: Fastify with chat's routes, bodies and errors. It never listens: the shard's own HTTP server feeds
// it. [PROTOCOLS 3.6]
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteHandlerMethod } from 'fastify'
import type { HttpHandler } from '../../net/handler.ts'
import { allowOrigins } from '../http-origin.ts'
import type { ServiceContext } from '../service.ts'
import { createAuthenticator } from './authenticator.ts'
import type { ChatConfig } from './config.ts'
import { accessHooks } from './http-access.ts'
import { send } from './http-answer.ts'
import { compileBody, readBodies } from './http-body.ts'
import { HttpCounter } from './http-counter.ts'
import { createHttpDocs, type HttpDocs } from './http-docs.ts'
import { answerErrors } from './http-failure.ts'
import { chatRoutes } from './http-handler.ts'
import { presenceRoutes } from './http-presence.ts'
import { type Handlers, ROUTES } from './http-route.ts'
import { statusRoutes } from './http-status.ts'
import { UnknownPath } from './http-unknown-path.ts'

export type HttpConfig = ChatConfig & { readonly corsOrigins: readonly string[] }

export const BODY_BYTES_MAX = 2 * 1024 * 1024

/** The handler of chat's `http` listener; one in each shard. */
export async function createHttpApi(context: ServiceContext<HttpConfig>): Promise<HttpHandler> {
  const app = await createHttpApp(context)
  return (request, response) => app.routing(request, response)
}

export async function createHttpApp(context: ServiceContext<HttpConfig>): Promise<FastifyInstance> {
  const { config } = context
  const counter = new HttpCounter(context.metrics)
  const unknown = new UnknownPath(counter.ofRoute('other'))
  const app = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    // Paths that cannot be decoded.
    frameworkErrors: (_error, request, reply) => unknown.answer(request as FastifyRequest, reply as FastifyReply),
  })
  readBodies(app)
  answerErrors(app, context.log)
  app.decorateRequest('userId', config.httpUserId)
  watchRoutes(app, unknown, counter)
  await allowOrigins(app, config.corsOrigins)
  // Before the body is read: it is nobody's.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) unknown.answer(request, reply)
    else done()
  })
  app.setNotFoundHandler((request, reply) => unknown.answer(request, reply))
  addRoutes(app, context)
  addDocs(app, counter, config.auth === 'jwt')
  await app.ready()
  return app
}

/** Every route is known for what it is, and counts its answers. */
function watchRoutes(app: FastifyInstance, unknown: UnknownPath, counter: HttpCounter): void {
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
}

function addRoutes(app: FastifyInstance, context: ServiceContext<HttpConfig>): void {
  const handlers: Handlers = {
    ...chatRoutes(context),
    ...presenceRoutes(context),
    ...statusRoutes(context.status),
  }
  const guards = accessHooks(context, createAuthenticator(context.config, context.clock))
  for (const { operation, method, url, body, isOpen, failure } of ROUTES) {
    const handler = handlers[operation]
    if (handler === undefined) continue
    app.route({
      method,
      url,
      // Paths and queries are read by the handlers; answers are written by hand.
      ...(body === undefined ? {} : { schema: { body }, validatorCompiler: compileBody }),
      ...(isOpen === true ? {} : { onRequest: guards }),
      config: failure === undefined ? {} : { failure },
      handler: handler as RouteHandlerMethod,
    })
  }
}

function addDocs(app: FastifyInstance, counter: HttpCounter, withTokens: boolean): void {
  let made: Promise<HttpDocs> | undefined
  const docs = (): Promise<HttpDocs> => {
    made ??= createHttpDocs(withTokens).catch((error: unknown) => {
      made = undefined // the next request tries again
      throw error
    })
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
