// hub: publish and subscribe over WebSockets, with channels, roles, sessions that are resumed, and rate limits.
import type { ActorDefinition } from '../../actor/definition.ts'
import { defineTopic } from '../../actor/topic-definition.ts'
import type { WebSocketHandler } from '../../net/handler.ts'
import { defineService } from '../service.ts'
import { hubCensus } from './census.ts'
import { HUB_OPTIONS } from './config.ts'
import { BINARY_BYTES_MAX } from './dialog.ts'
import { HubEdge } from './edge.ts'
import { hubHost } from './host.ts'
import { TOPIC_KIND } from './publisher.ts'
import { sessionOfHub } from './session-id.ts'
import { webSocketHandler } from './web-socket.ts'

export const hub = defineService({
  name: 'hub',
  options: HUB_OPTIONS,
  listeners: { ws: { port: 8000, sessionOf: sessionOfHub } },
  usesBridge: true,
  // Of whatever state and handlers.
  actors: () => [hubCensus] as unknown as readonly ActorDefinition[],
  topics: ({ history: { size, bytes, ttl } }) => [
    defineTopic<never>({ kind: TOPIC_KIND, history: { count: size, bytes, age: ttl } }),
  ],
  host: hubHost,
  async start(context) {
    // Here, not above: the acceptor and main import this module too, and Fastify takes long to load.
    const { createHttpApi } = await import('./http-api.ts')
    const edge = new HubEdge(context)
    if (context.config.metrics.byUser) {
      const { gaugeUsers } = await import('./user-gauge.ts')
      gaugeUsers(context.metrics.registry, context.shard.count, () => edge.users())
    }
    return {
      http: await createHttpApi(edge),
      ws: webSocketHandler(edge) as WebSocketHandler,
      messageBytesMax: BINARY_BYTES_MAX,
      stop: () => edge.stop(),
    }
  },
})
