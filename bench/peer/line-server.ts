// The peer of plain TCP: a net server that returns what it gets.
import { type AddressInfo, createServer } from 'node:net'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {}) // clients reset their connections
  socket.on('data', (bytes) => socket.write(bytes))
})
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, pids: [process.pid] }))
})
