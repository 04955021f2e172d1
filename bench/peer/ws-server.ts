// The peer of the WebSocket benches: a bare `ws` server in one thread, as its documentation shows it.
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
server.on('connection', (socket) => {
  socket.on('error', () => {}) // clients reset their connections
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
server.on('listening', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, pids: [process.pid] }))
})
