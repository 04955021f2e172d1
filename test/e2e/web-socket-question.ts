// One message to a WebSocket, and the first that comes back, through Node's own client.
import { once } from 'node:events'
import { within } from '../harness/wait.ts'

export async function askWebSocket(url: string, message: string | Uint8Array): Promise<string | Uint8Array> {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  await within('a WebSocket opens', once(socket, 'open'))
  socket.send(message)
  const [event] = (await within('an answer', once(socket, 'message'))) as [{ readonly data: string | ArrayBuffer }]
  socket.close()
  await within('the WebSocket closes', once(socket, 'close'))
  return typeof event.data === 'string' ? event.data : new Uint8Array(event.data)
}
