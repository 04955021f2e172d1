// The peer of fan-out: a bare `ws` server that sends what its publisher says to each of its clients, as the
// documentation of `ws` shows a broadcast. With the argument `deflate` it offers compression.
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: process.argv[2] === 'deflate' })
const subscribers = new Set<WebSocket>()
server.on('connection', (socket, request) => {
  socket.on('error', () => {}) // clients reset their connections
  if (request.url?.endsWith('session=publisher') === true) {
    socket.on('message', (data, isBinary) => {
      for (const client of subscribers) {
        if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary })
      }
    })
  } else {
    subscribers.add(socket)
    socket.on('close', () => subscribers.delete(socket))
  }
  socket.send('ready')
})
server.on('listening', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, pids: [process.pid] }))
})
