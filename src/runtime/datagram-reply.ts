// The way back of datagrams, from a shard through the ring to the acceptor, which owns the sockets.
import type { DatagramPeer } from '../net/handler.ts'
import { DATAGRAM_HEAD_BYTES_MAX, encodeRoute, RECORD, type Route } from '../net/record.ts'
import type { Mesh } from '../ring/mesh.ts'

export class DatagramReply {
  readonly #mesh: Mesh
  readonly #head = Buffer.alloc(DATAGRAM_HEAD_BYTES_MAX)

  constructor(mesh: Mesh) {
    this.#mesh = mesh
  }

  /** Where the datagram came from. `acceptor` is the thread whose socket it arrived on; `answered` counts an answer. */
  peerOf(acceptor: number, route: Route, answered: () => void): DatagramPeer {
    const { address, port, session } = route
    const back: Route = { ...route, session: '' }
    return {
      address,
      port,
      session,
      send: (payload) => {
        const headBytes = encodeRoute(this.#head, back)
        const bytes = payload.byteLength
        if (!this.#mesh.send(acceptor, 'data', RECORD.reply, this.#head, headBytes, payload, 0, bytes)) return false
        answered()
        return true
      },
    }
  }
}
