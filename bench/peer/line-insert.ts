// The peer of chat over TCP: a bare net server that stores the same rows and answers with the same bytes, all in one
// thread. It stores what one turn of its event loop brings, at most as many rows to a commit as it is told: what is left
// of SQLite's speed when Node's sockets and nothing of ours are in front of it. `line-insert.ts PATH ROWS_MAX`.
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createChatTable } from '../chat-table.ts'

interface Waiting {
  readonly socket: Socket
  readonly content: string
}

const [path = '', rowsMax] = process.argv.slice(2)
const table = createChatTable(path)
const waiting: Waiting[] = []

function commit(): void {
  const batch = waiting.splice(0, Number(rowsMax))
  table.begin()
  const ids = batch.map(({ content }) => table.add(content))
  table.commit()
  for (const [index, { socket }] of batch.entries())
    socket.write(`{"message_id":${ids[index]},"success":true,"error":null}\n`)
  if (waiting.length > 0) setImmediate(commit)
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {}) // clients reset their connections
  // One packet at a time, which a loopback does not cut.
  socket.on('data', (bytes) => {
    const { message } = JSON.parse(bytes.toString()) as { readonly message: { readonly content: string } }
    if (waiting.push({ socket, content: message.content }) === 1) setImmediate(commit)
  })
})
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, pids: [process.pid] }))
})
