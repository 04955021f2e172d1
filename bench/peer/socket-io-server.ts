// The peer of fan-out with what most teams use: a Socket.IO room, in one process.
import type { AddressInfo } from 'node:net'
import { listenWithRoom } from './socket-io-room.ts'

listenWithRoom({}, (http) => {
  console.log(JSON.stringify({ port: (http.address() as AddressInfo).port, pids: [process.pid] }))
})
