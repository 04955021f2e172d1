// A handshake as a proxy passes it on: with the client's address in front.
import { once } from 'node:events'
import { connect } from 'node:net'
import { within } from './wait.ts'

export interface Answered {
  readonly status: number
  readonly headers: string
}

/** Asks for a WebSocket as the client `address`; the connection is dropped afterwards. */
export async function connectAs(port: number, address: string, path = '/ws'): Promise<Answered> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(
    `PROXY TCP4 ${address} 127.0.0.1 50000 ${port}\r\nGET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  )
  let text = ''
  socket.setEncoding('latin1').on('data', (part: string) => {
    text += part
  })
  socket.on('error', () => {}) // of the end below
  while (!text.includes('\r\n\r\n')) await within('the answer to a handshake', once(socket, 'data'))
  socket.destroy()
  return { status: Number(text.split(' ')[1]), headers: text }
}
