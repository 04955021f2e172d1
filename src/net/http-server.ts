// The http.Server of one listener. It never listens: connections are given to it as streams, and what it makes of their
// bytes goes to their framings.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { FramingFactory } from './event-loop.ts'
import type { FrozenHttp } from './frozen-connection.ts'
import { HEAD_BYTES_MAX } from './http.ts'
import { HTTP_SILENT_MS_MAX, HttpFraming, type HttpSide } from './http-framing.ts'
import { wireOf } from './http-stream.ts'
import { asksForWebSocket } from './websocket/handshake.ts'

/** What service and listener say; all but what only the server itself can do. */
export type HttpServerOptions = Omit<HttpSide, 'connect'>

export interface HttpServer {
  /** The framing of a connection whose first head has to be complete in `headMs`, or that comes from another loop. */
  framing(headMs: number, frozen?: FrozenHttp): FramingFactory
}

export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { refused, upgrades } = options
  // The server does not listen, so Node's own timeouts (a sweep that starts with listening) never run.
  const server = createServer({
    maxHeaderSize: HEAD_BYTES_MAX,
    keepAliveTimeout: HTTP_SILENT_MS_MAX,
    shouldUpgradeCallback: ({ headers }) => upgrades !== undefined && asksForWebSocket(headers),
  })
  // Otherwise a client that half-closes would not get its answer.
  Object.assign(server, { httpAllowHalfOpen: true })
  server.on('request', (request, response) => wireOf(request.socket)?.requested(request, response))
  server.on('upgrade', (request) => wireOf(request.socket)?.upgrade(request))
  server.on('clientError', (error, socket) => wireOf(socket)?.garbage(error))
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    refused(417)
    response.writeHead(417, { Connection: 'close' }).end()
  })
  const side: HttpSide = { ...options, connect: (stream) => server.emit('connection', stream) }
  return { framing: (headMs, frozen) => (connection) => new HttpFraming(connection, side, headMs, frozen) }
}
