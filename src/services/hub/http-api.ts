// The hub's HTTP API, on the port of its WebSockets: Fastify, which never listens; the shard's own HTTP server feeds it.
// [PROTOCOLS 4.10]
import { isUtf8 } from 'node:buffer'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { HttpHandler } from '../../net/handler.ts'
import { errorFields } from '../../observe/logger.ts'
import { allowOrigins } from '../http-origin.ts'
import { KnownPaths } from '../known-path.ts'
import type { HubEdge } from './edge.ts'
import { HTTP_TEXT, sendDetail } from './http-answer.ts'
import { addChannels } from './http-channel.ts'
import { addDocuments } from './http-document.ts'
import { addHealth } from './http-health.ts'
import { addLogin } from './http-login.ts'
import { membersOf } from './request.ts'
import { HUB_PATH } from './session-id.ts'

const BODY_BYTES_MAX = 1024 * 1024
const FAILURES_LOGGED_PER_SECOND = 5

/** One in each shard. */
export async function createHttpApi(edge: HubEdge): Promise<HttpHandler> {
  const app = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    // Paths that cannot be decoded.
    frameworkErrors: (_error, _request, reply) => sendDetail(reply as FastifyReply, 404, HTTP_TEXT.notFound),
  })
  const known = new KnownPaths()
  app.addHook('onRoute', ({ url, method }) => known.add(url, [method].flat()))
  readBodies(app)
  answerErrors(app, edge)
  await allowOrigins(app, edge.context.config.corsOrigins)
  // Before the body is read: it is nobody's.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) answerUnknown(known, request, reply)
    else done()
  })
  app.setNotFoundHandler((request, reply) => answerUnknown(known, request, reply))
  app.get(HUB_PATH, (_request, reply) => {
    reply.header('upgrade', 'websocket').header('connection', 'Upgrade')
    return sendDetail(reply, 426, 'WebSocket only')
  })
  addHealth(app, edge)
  addChannels(app, edge)
  addLogin(app, edge)
  addDocuments(app, edge)
  await app.ready()
  return (request, response) => app.routing(request, response)
}

/** What is no JSON is no object: the routes say so, after they have looked at who asks. */
function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
    // Ill-formed UTF-8 is never repaired.
    done(null, isUtf8(body) ? membersOf(body.toString()) : undefined)
  })
}

function answerErrors(app: FastifyInstance, edge: HubEdge): void {
  const failed = edge.context.log.limited('hub.http_failed', FAILURES_LOGGED_PER_SECOND)
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    const status = ('statusCode' in error ? error.statusCode : undefined) ?? 500
    if (status === 413) return sendDetail(reply, 413, HTTP_TEXT.bodyTooLarge)
    if (status === 415) return sendDetail(reply, 415, HTTP_TEXT.bodyNotJson)
    if (status < 500) return sendDetail(reply, status, error.message)
    failed.error({ method: request.method, route: request.routeOptions.url, ...errorFields(error) })
    return sendDetail(reply, 500, HTTP_TEXT.failed)
  })
}

function answerUnknown(known: KnownPaths, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const methods = known.methodsOf(request.url)
  if (methods.length === 0 || methods.includes(request.method)) return sendDetail(reply, 404, HTTP_TEXT.notFound)
  return sendDetail(reply.header('allow', methods.join(', ')), 405, HTTP_TEXT.methodWrong)
}
