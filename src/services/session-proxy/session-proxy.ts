// session-proxy: a WebSocket client belongs to a session, and a backend reaches it through the channels of the bridge.
import { randomUUID } from 'node:crypto'
import type { ActorDefinition } from '../../actor/definition.ts'
import type { WebSocketHandler } from '../../net/handler.ts'
import { defineService } from '../service.ts'
import { adminRoutes } from './admin.ts'
import { Census, censusActor } from './census.ts'
import { SESSION_PROXY_OPTIONS } from './config.ts'
import { ProxyEdge } from './edge.ts'
import { ProxyHttp } from './http.ts'
import { rehearse } from './rehearsal.ts'
import { sessionOfTarget } from './target.ts'
import { webSocketHandler } from './web-socket.ts'

export const sessionProxy = defineService({
  name: 'session-proxy',
  options: SESSION_PROXY_OPTIONS,
  listeners: { ws: { port: 4040, sessionOf: sessionOfTarget } },
  usesBridge: true,
  // Of whatever state and handlers.
  actors: () => [censusActor] as unknown as readonly ActorDefinition[],
  adminRoutes,
  start(context) {
    const edge = new ProxyEdge(context)
    const census = new Census(context, randomUUID(), () => edge.size)
    edge.onSize = () => census.changed()
    const { bridge, status, after } = context
    const http = new ProxyHttp({ bridge, status, after, connections: () => census.total() })
    return {
      ws: webSocketHandler(edge) as WebSocketHandler,
      http: http.handle,
      messageBytesMax: context.config.maxMessageBytes,
      rehearse: (stage) => rehearse(context, stage),
      stop: () => census.stop(),
    }
  },
})
