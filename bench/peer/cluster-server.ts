// What a Node team does today about more cores: node:cluster with two workers, each with a bare `ws` server.
import cluster from 'node:cluster'
import { WebSocketServer } from 'ws'

const WORKERS = 2

if (cluster.isPrimary) {
  const pids = [process.pid]
  for (let index = 0; index < WORKERS; index++) pids.push(cluster.fork().process.pid ?? 0)
  let listening = 0
  cluster.on('listening', (_worker, { port }) => {
    if (++listening === WORKERS) console.log(JSON.stringify({ port, pids }))
  })
  // A worker whose primary was killed ends by itself, when its channel closes.
} else {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  server.on('connection', (socket) => {
    socket.on('error', () => {}) // clients reset their connections
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
}
