// A room of Socket.IO on a server of its own: every client joins it, and what the publisher says goes to the room.
import { createServer, type Server as HttpServer } from 'node:http'
import { Server, type ServerOptions } from 'socket.io'

const ROOM = 'all'
/** Longer than any bench: no heartbeat is in the figures. */
const PING_MS = 3_600_000

/** Listens on a free port. */
export function listenWithRoom(options: Partial<ServerOptions>, listening: (server: HttpServer) => void): void {
  const http = createServer()
  const server = new Server(http, {
    transports: ['websocket'],
    serveClient: false,
    perMessageDeflate: false,
    pingInterval: PING_MS,
    ...options,
  })
  server.on('connection', (socket) => {
    if (socket.handshake.query.session === 'publisher') {
      socket.on('publish', (payload: unknown) => server.to(ROOM).emit('m', payload))
    } else void socket.join(ROOM)
    socket.emit('m', 'ready')
  })
  http.listen(0, '127.0.0.1', () => listening(http))
}
