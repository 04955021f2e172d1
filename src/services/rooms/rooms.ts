// rooms: one room per host, in which users exchange text, images, voice and files of any size over a binary protocol.
import type { ActorDefinition } from '../../actor/definition.ts'
import type { Connection } from '../../net/connection.ts'
import type { TcpHandler } from '../../net/handler.ts'
import { defineService } from '../service.ts'
import { ROOMS_OPTIONS } from './config.ts'
import { RoomsEdge } from './edge.ts'
import type { Member } from './member.ts'
import { feed, roomActor } from './room-actor.ts'
import { sessionOfStream } from './session-key.ts'
import { tcpHandler } from './tcp.ts'

export const rooms = defineService({
  name: 'rooms',
  options: ROOMS_OPTIONS,
  listeners: { tcp: { port: 8083, sessionOf: sessionOfStream } },
  // Of whatever state and handlers.
  actors: (config) => [roomActor(config)] as unknown as readonly ActorDefinition[],
  topics: [feed as never],
  start(context) {
    const edge = new RoomsEdge(context)
    return {
      tcp: tcpHandler(edge) as TcpHandler,
      topicEvent(connection, event) {
        const { state } = connection as Connection<Member | undefined>
        // What a subscription says while its connection arrives here, it says before that has a state.
        if (state !== undefined) state.hear(event)
        else queueMicrotask(() => (connection as Connection<Member | undefined>).state?.hear(event))
      },
      stop: () => edge.stop(),
    }
  },
})
