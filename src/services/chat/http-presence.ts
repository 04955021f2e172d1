// Who is online, over HTTP: read from the presence actor page by page.
import { Readable } from 'node:stream'
import type { ServiceContext } from '../service.ts'
import type { ChatConfig } from './config.ts'
import { JSON_TYPE, presentJson, sendData } from './http-answer.ts'
import type { Handlers } from './http-route.ts'
import { PRESENCE_ID, PRESENCE_LISTED_MAX, type Present, presenceActor } from './presence-actor.ts'

export function presenceRoutes(context: ServiceContext<ChatConfig>): Handlers {
  const presence = context.actor(presenceActor(context.config), PRESENCE_ID)

  // One page in memory at a time, however slowly the client reads. A failure in the middle ends the connection.
  async function* jsonFrom(first: readonly Present[]): AsyncGenerator<string> {
    yield '{"success":true,"message":null,"data":['
    let page = first
    for (;;) {
      yield page.map(presentJson).join(',')
      const last = page.at(-1)
      if (last === undefined || page.length < PRESENCE_LISTED_MAX) break
      page = await presence.ask('list', { after: last.userId })
      if (page.length > 0) yield ','
    }
    yield ']}'
  }

  return {
    async listPresence(_request, reply) {
      const first = await presence.ask('list', { after: 0 })
      if (first.length < PRESENCE_LISTED_MAX) return sendData(reply, `[${first.map(presentJson).join(',')}]`)
      return reply.header('content-type', JSON_TYPE).send(Readable.from(jsonFrom(first)))
    },
  }
}
