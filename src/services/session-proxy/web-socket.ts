// The WebSockets of sessions, as the shard calls them.
import type { WebSocketHandler } from '../../net/handler.ts'
import type { ProxyEdge } from './edge.ts'
import { Gate } from './gate.ts'
import { type FrozenMember, Member } from './member.ts'

const LOGGED_PER_SECOND = 10

export function webSocketHandler(edge: ProxyEdge): WebSocketHandler<Member> {
  const { counters, context } = edge
  const gate = new Gate(edge)
  const opened = context.log.limited('proxy.opened', LOGGED_PER_SECOND)
  const tooLarge = `{"error":"Message too large","max_size":${context.config.maxMessageBytes}}`
  return {
    upgrade: (request) => gate.admit(request),
    abandoned: (member) => (member as Member).leave(),
    open(connection, accepted) {
      const member = accepted as Member
      counters.handshake('accepted')
      opened.debug({ connection: connection.id, agent: member.agent, session: member.session })
      member.open(connection)
      return member
    },
    message: (connection, payload, isBinary) => connection.state.received(connection, payload, isBinary),
    writable: (connection) => connection.state.caughtUp(),
    closing(connection, reason) {
      if (reason === 'too_large') {
        counters.error('too_large')
        connection.send(tooLarge)
      } else if (reason === 'too_slow') counters.tooSlow.value++
    },
    close: (connection) => connection.state.leave(),
    settled: (connection) => connection.state.settled,
    freeze: (connection) => connection.state.freeze(),
    thaw: (connection, frozen) => Member.thaw(edge, connection, frozen as FrozenMember),
  }
}
