// The same room over two processes, as Socket.IO's documentation shows it: node:cluster and its cluster adapter. With
// WebSockets alone there is nothing that would have to stick.
import cluster from 'node:cluster'
import { createAdapter, setupPrimary } from '@socket.io/cluster-adapter'
import { listenWithRoom } from './socket-io-room.ts'

const WORKERS = 2

if (cluster.isPrimary) {
  setupPrimary()
  const pids = [process.pid]
  for (let index = 0; index < WORKERS; index++) pids.push(cluster.fork().process.pid ?? 0)
  let listening = 0
  cluster.on('listening', (_worker, { port }) => {
    if (++listening === WORKERS) console.log(JSON.stringify({ port, pids }))
  })
} else {
  listenWithRoom({ adapter: createAdapter() }, () => {})
}
