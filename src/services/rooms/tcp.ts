// Rooms over TCP: a member for each connection.
import type { Connection } from '../../net/connection.ts'
import type { TcpHandler } from '../../net/handler.ts'
import type { RoomsEdge } from './edge.ts'
import { type FrozenMember, Member } from './member.ts'

export function tcpHandler(edge: RoomsEdge): TcpHandler<Member> {
  return {
    open(connection) {
      edge.counters.connections.value++
      return new Member(connection, edge)
    },
    data: (connection, bytes) => connection.state.take(bytes),
    end: (connection) => connection.state.peerEnds(),
    writable: (connection) => connection.state.writable(),
    shared(connection, bytes) {
      const { state } = connection as Connection<Member | undefined>
      // What a subscription gets on arrival comes before `thaw`.
      if (state === undefined) edge.keepEarly(connection.id, bytes)
      else state.receive(bytes)
      return true
    },
    closing: (connection, reason) => connection.state.closing(reason),
    settled: (connection) => connection.state.settled,
    freeze: (connection) => connection.state.freeze(),
    thaw: (connection, frozen) => Member.thaw(connection, edge, frozen as FrozenMember),
    close: (connection) => connection.state.closed(),
  }
}
