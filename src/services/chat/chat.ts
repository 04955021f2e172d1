// chat: JSON messages over TCP, UDP and HTTP, durable before they are acknowledged.
import type { ActorDefinition } from '../../actor/definition.ts'
import type { Connection } from '../../net/connection.ts'
import type { TcpHandler } from '../../net/handler.ts'
import { defineService } from '../service.ts'
import { chatActor } from './chat-actor.ts'
import { CHAT_OPTIONS } from './config.ts'
import { ChatEdge } from './edge.ts'
import { FEED } from './feed.ts'
import { gaugedPresence } from './presence-gauge.ts'
import { sessionOfDatagram, sessionOfRequest, sessionOfStream } from './session-key.ts'
import { tcpHandler } from './tcp.ts'
import type { TcpDialog } from './tcp-dialog.ts'
import { udpHandler } from './udp.ts'

export const chat = defineService({
  name: 'chat',
  options: CHAT_OPTIONS,
  listeners: {
    http: { port: 8080, sessionOf: sessionOfRequest },
    tcp: { port: 8081, sessionOf: sessionOfStream },
    udp: { port: 8082, sessionOf: sessionOfDatagram },
  },
  usesStore: true,
  // Of whatever state and handlers.
  actors: (config) => [chatActor(config), gaugedPresence(config)] as unknown as readonly ActorDefinition[],
  topics: [FEED],
  async start(context) {
    // Here, not above: the acceptor and main import this module too, and Fastify takes long to load.
    const { createHttpApi } = await import('./http-api.ts')
    const edge = new ChatEdge(context)
    return {
      tcp: tcpHandler(edge) as TcpHandler,
      udp: udpHandler(edge),
      http: await createHttpApi(context),
      topicEvent(connection, event) {
        const { state } = connection as Connection<TcpDialog | undefined>
        // What a subscription says while its connection arrives here, it says before that has a state.
        if (state !== undefined) state.hear(event)
        else queueMicrotask(() => (connection as Connection<TcpDialog | undefined>).state?.hear(event))
      },
    }
  },
})
