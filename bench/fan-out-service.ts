// Our side of fan-out.bench.ts: every connection subscribes to one topic, but the publisher, whose messages go to all.
import { defineService, queryValueOf, requestTargetOf, type SessionKey, type WebSocketHandler } from '../src/index.ts'

const TOPIC = 'news.all'
const PREFIX = 'fan-out:'
const READY = 'ready'

/** `?session=NAME` */
function sessionOf(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const session = queryValueOf(found.target, 'session')
  return session === undefined ? { state: 'none' } : { state: 'key', key: `${PREFIX}${session}` }
}

export const fanOut = defineService({
  name: 'fan-out',
  listeners: { ws: { port: 0, sessionOf } },
  start(context) {
    const ws: WebSocketHandler<undefined> = {
      open(connection) {
        if (connection.session === `${PREFIX}publisher`) connection.send(READY)
        else context.subscribe(connection, TOPIC)
        return undefined
      },
      message(_connection, payload) {
        if (!context.publish(TOPIC, payload.toString())) throw new Error('overloaded')
      },
    }
    return {
      ws: ws as WebSocketHandler,
      topicEvent(connection, event) {
        connection.send(event.type === 'subscribed' ? READY : event.type)
      },
    }
  },
})
