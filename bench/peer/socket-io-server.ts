// The peer of fan-out and of the hub with what most teams use: a Socket.IO room, in one process. With the argument
// `deflate` it compresses, by its own defaults: messages of 1 KiB and more.
import type { AddressInfo } from 'node:net'
import { listenWithRoom } from './socket-io-room.ts'

listenWithRoom({ perMessageDeflate: process.argv[2] === 'deflate' }, (http) => {
  console.log(JSON.stringify({ port: (http.address() as AddressInfo).port, pids: [process.pid] }))
})
