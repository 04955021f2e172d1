// The OpenAPI document and its page, made on first request: most shards never need them. A Fastify instance of its own,
// which knows the routes but serves none of them.
import type { IncomingMessage, ServerResponse } from 'node:http'
import Fastify, { type FastifyInstance } from 'fastify'
import { ROUTES } from './http-route.ts'
import { SHARED_SCHEMAS } from './http-schema.ts'

/** Of the API, not of Polyloop. */
const API_VERSION = '1.0.0'
const DOCS_PREFIX = '/docs'
const TOKEN = { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } as const
/** The page gets nothing from other hosts; its scripts write styles. */
const PAGE_POLICY =
  "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"

export interface HttpDocs {
  /** JSON. */
  readonly document: string
  /** Answers a request for the page or one of its parts. */
  serve(request: IncomingMessage, response: ServerResponse): void
}

export async function createHttpDocs(withTokens: boolean): Promise<HttpDocs> {
  const [{ fastifySwagger }, { fastifySwaggerUi }] = await Promise.all([
    import('@fastify/swagger'),
    import('@fastify/swagger-ui'),
  ])
  const app = Fastify()
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Polyloop chat', version: API_VERSION, description: 'The REST view of chat.' },
      ...(withTokens ? { components: { securitySchemes: { token: TOKEN } } } : {}),
    },
    refResolver: { buildLocalReference: (schema) => String(schema.$id) },
  })
  await app.register(fastifySwaggerUi, {
    routePrefix: DOCS_PREFIX,
    theme: { title: 'Polyloop chat' },
    // Without the bar that asks for documents of other hosts.
    uiConfig: { layout: 'BaseLayout' },
    staticCSP: PAGE_POLICY,
  })
  for (const schema of SHARED_SCHEMAS) app.addSchema(schema)
  addDescriptions(app, withTokens)
  await app.ready()
  return {
    document: JSON.stringify(app.swagger()),
    serve: (request, response) => app.routing(request, response),
  }
}

function addDescriptions(app: FastifyInstance, withTokens: boolean): void {
  for (const { operation, method, url, summary, isOpen, params, querystring, body, response } of ROUTES) {
    const schema = {
      operationId: operation,
      summary,
      tags: [tagOf(url)],
      ...(params === undefined ? {} : { params }),
      ...(querystring === undefined ? {} : { querystring }),
      ...(body === undefined ? {} : { body }),
      ...(withTokens && isOpen !== true ? { security: [{ token: [] }] } : {}),
      response,
    }
    app.route({
      method,
      url,
      schema,
      exposeHeadRoute: false,
      // Nothing comes here: there is nothing to compile.
      validatorCompiler: () => () => true,
      serializerCompiler: () => () => '',
      handler: (_request, reply) => reply.callNotFound(),
    })
  }
}

/** What the page groups routes by. */
function tagOf(url: string): string {
  if (!url.startsWith('/api/')) return 'process'
  return url.startsWith('/api/chats') ? 'chats' : 'users'
}
