// The routes that services add to the admin server: bodies as bytes, answers as JSON or server-sent events.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AdminEvents, AdminRoute } from './admin-route.ts'
import { EventStream } from './event-stream.ts'

/** At a time, so that they leave connections for everybody else. */
export const EVENT_STREAMS_MAX = 64
export const BODY_BYTES_MAX = 16 * 1024

type RouteRequest = FastifyRequest<{ Params: Record<string, string>; Body: Buffer | undefined }>

export async function addServiceRoutes(app: FastifyInstance, routes: readonly AdminRoute[]): Promise<void> {
  let streams = 0
  await app.register(async (own) => {
    own.removeAllContentTypeParsers()
    own.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    for (const route of routes) {
      own.route({
        method: route.method,
        url: route.path,
        bodyLimit: route.bodyBytesMax ?? BODY_BYTES_MAX,
        exposeHeadRoute: false,
        handler: (request, reply) => serve(route, request as RouteRequest, reply),
      })
    }
  })

  async function serve(route: AdminRoute, request: RouteRequest, reply: FastifyReply): Promise<FastifyReply> {
    const body = request.body ?? Buffer.alloc(0)
    const answer = await route.handle({ parameters: request.params, body })
    if ('events' in answer) return stream(answer.events, reply)
    return json(reply, answer.status, answer.body)
  }

  function stream(events: (sink: AdminEvents) => () => void, reply: FastifyReply): FastifyReply {
    if (streams >= EVENT_STREAMS_MAX) return json(reply, 503, { error: 'too many streams are open' })
    streams++
    reply.hijack()
    const stop = events(new EventStream(reply.raw))
    reply.raw.once('close', () => {
      streams--
      stop()
    })
    return reply
  }
}

function json(reply: FastifyReply, status: number, body: Readonly<Record<string, unknown>>): FastifyReply {
  return reply.code(status).type('application/json; charset=utf-8').send(JSON.stringify(body))
}
