// Chat over TCP: a dialog for each connection.
import type { TcpHandler } from '../../net/handler.ts'
import type { ChatEdge } from './edge.ts'
import { type FrozenDialog, TcpDialog } from './tcp-dialog.ts'

export function tcpHandler(edge: ChatEdge): TcpHandler<TcpDialog> {
  return {
    open(connection) {
      edge.counters.connectionsTotal.value++
      return new TcpDialog(connection, edge)
    },
    data: (connection, bytes) => connection.state.take(bytes),
    end: (connection) => connection.state.end(),
    writable: (connection) => connection.state.writable(),
    settled: (connection) => connection.state.settled,
    // What a subscription gets on arrival comes before `thaw`; nothing can be open then.
    shared: (connection, bytes, messages) =>
      (connection.state as TcpDialog | undefined)?.hold(bytes, messages) ?? false,
    closing(connection, reason) {
      if (reason === 'too_slow') connection.state.tooSlow()
    },
    freeze: (connection) => connection.state.freeze(),
    thaw: (connection, frozen) => new TcpDialog(connection, edge, frozen as FrozenDialog),
    close: (connection) => connection.state.close(),
  }
}
