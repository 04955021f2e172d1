// The WebSockets of the hub, as the shard calls them.
import type { WebSocketHandler } from '../../net/handler.ts'
import { Dialog } from './dialog.ts'
import type { HubEdge } from './edge.ts'
import { type Admitted, Gate } from './gate.ts'
import { type FrozenMember, Member } from './member.ts'

export function webSocketHandler(edge: HubEdge): WebSocketHandler<Member> {
  const gate = new Gate(edge)
  const dialog = new Dialog(edge)
  return {
    upgrade: (request) => gate.admit(request),
    abandoned: (value) => gate.abandoned(value as Admitted),
    open(connection, value) {
      const admitted = value as Admitted
      return admitted.kind === 'restored'
        ? Member.restored(edge, connection, admitted)
        : Member.fresh(edge, connection, admitted.id, admitted.identity, admitted.options)
    },
    message: (connection, payload, isBinary) => dialog.received(connection.state, payload, isBinary),
    pong: (connection) => connection.state.ponged(),
    writable: (connection) => connection.state.caughtUp(),
    closing: (connection, reason) => connection.state.closing(reason),
    close: (connection, reason) => connection.state.closed(reason),
    settled: (connection) => connection.state.settled,
    freeze: (connection) => connection.state.freeze(),
    thaw: (connection, frozen) => Member.thaw(edge, connection, frozen as FrozenMember),
  }
}
