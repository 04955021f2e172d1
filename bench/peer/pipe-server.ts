// The peer of rooms: a bare `net` server that writes what its sender sends to each of its receivers, and does not read on
// before all of them have taken it. A connection's first byte says what it is: r or s. A sender that ends, ends all.
import { type AddressInfo, createServer, type Socket } from 'node:net'

const RECEIVER = 'r'.charCodeAt(0)
const receivers = new Set<Socket>()

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {}) // clients reset their connections
  socket.once('data', (first: Buffer) => {
    if (first[0] === RECEIVER) {
      receivers.add(socket)
      socket.on('close', () => receivers.delete(socket))
      socket.resume()
    } else {
      spread(socket, first.subarray(1))
      socket.on('data', (chunk: Buffer) => spread(socket, chunk))
    }
    socket.write('k')
  })
})

function spread(sender: Socket, chunk: Buffer): void {
  let full = 0
  for (const receiver of receivers) {
    if (receiver.write(chunk)) continue
    full++
    receiver.once('drain', () => {
      if (--full === 0) sender.resume()
    })
  }
  if (full > 0) sender.pause()
}

server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, pids: [process.pid] }))
})
