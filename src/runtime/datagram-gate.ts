// The UDP side of the acceptor: owns the sockets in both directions, carries datagrams to the shards of their peers
// through rings, and sends what comes back. Full ways drop and count: that is what UDP is for.
import type { RemoteInfo, Socket } from 'node:dgram'
import { threadOfSeat } from '../lib/thread.ts'
import { FreshIds } from '../net/fresh-id.ts'
import { type Opened, openDatagramSockets } from '../net/listen.ts'
import type { ListenerSpec } from '../net/listener-spec.ts'
import {
  DATAGRAM_HEAD_BYTES_MAX,
  DATAGRAM_SESSION_BYTES_MAX,
  decodeRoute,
  encodeRoute,
  RECORD,
  routeBytes,
} from '../net/record.ts'
import { peerKey, type SessionOf } from '../net/session-key.ts'
import { FAMILIES } from '../observe/family.ts'
import { add, FIGURE } from '../observe/figure.ts'
import { errorFields, type Logger } from '../observe/logger.ts'
import type { Cell, ThreadMetrics } from '../observe/metrics.ts'
import type { Mesh } from '../ring/mesh.ts'
import type { HandoverDesk } from './handover-desk.ts'

/** Unsent bytes in the kernel's and libuv's queue of one socket. */
const SEND_QUEUE_BYTES_MAX = 8 * 1024 * 1024

export interface DatagramGateOptions {
  readonly desk: HandoverDesk
  readonly mesh: Mesh
  readonly figures: Float64Array
  readonly log: Logger
  readonly metrics: ThreadMetrics
}

export class DatagramGate {
  readonly #options: DatagramGateOptions
  readonly #sockets: Socket[][] = []
  readonly #head = Buffer.alloc(DATAGRAM_HEAD_BYTES_MAX)
  readonly #fresh = new FreshIds()
  readonly #droppedIn: Cell
  readonly #droppedOut: Cell

  constructor(options: DatagramGateOptions) {
    this.#options = options
    const dropped = options.metrics.counter(FAMILIES.datagramsDropped)
    this.#droppedIn = dropped.cell({ direction: 'in' })
    this.#droppedOut = dropped.cell({ direction: 'out' })
  }

  /** `beside`: another acceptor of this process still has the port. Without `sessionOf` datagrams are placed by peer. */
  async open(listener: ListenerSpec, sessionOf: SessionOf | undefined, beside = false): Promise<Opened<Socket>[]> {
    const opened = await openDatagramSockets(listener.host, listener.port, beside)
    this.#sockets[listener.index] = opened.map(({ socket }) => socket)
    for (const [index, { socket }] of opened.entries()) {
      socket.on('message', (payload, from) => this.#onMessage(listener, index, sessionOf, payload, from))
      socket.on('error', (error) => this.#options.log.error('net.udp_failed', errorFields(error)))
    }
    return opened
  }

  /** A shard's answer. */
  reply(record: Buffer): void {
    const route = decodeRoute(record, 0)
    const socket = this.#sockets[route.listener]?.[route.socket]
    if (socket === undefined || socket.getSendQueueSize() > SEND_QUEUE_BYTES_MAX) {
      this.#droppedOut.value++
      return
    }
    // A copy: the record lies in a ring, and the kernel may take the datagram later.
    const payload = Buffer.from(record.subarray(routeBytes(record, 0)))
    add(this.#options.figures, FIGURE.bytesOut, payload.length)
    socket.send(payload, route.port, route.address, (error) => {
      if (error !== null) this.#droppedOut.value++
    })
  }

  close(): void {
    for (const sockets of this.#sockets) for (const socket of sockets ?? []) socket.close()
    this.#sockets.length = 0
  }

  #onMessage(
    listener: ListenerSpec,
    socket: number,
    sessionOf: SessionOf | undefined,
    payload: Buffer,
    from: RemoteInfo,
  ): void {
    const { desk, mesh, figures } = this.#options
    add(figures, FIGURE.bytesIn, payload.length)
    const { address, port } = from
    // A legal way to say "do not answer" [RFC 768]; Node's send would throw on it.
    if (port === 0) {
      this.#droppedIn.value++
      return
    }
    const session = this.#keyOf(sessionOf, payload) ?? peerKey(address, port)
    const headBytes = encodeRoute(this.#head, { listener: listener.index, socket, address, port, session })
    const shard = headBytes === 0 ? -1 : desk.shardFor(session, listener.serviceIndex)
    if (shard < 0) {
      this.#droppedIn.value++
      return
    }
    const to = threadOfSeat(shard)
    const sent = mesh.send(to, 'data', RECORD.datagram, this.#head, headBytes, payload, 0, payload.length)
    if (!sent) this.#droppedIn.value++
  }

  /** A datagram is whole: where more is wanted there is no key. */
  #keyOf(sessionOf: SessionOf | undefined, payload: Buffer): string | undefined {
    if (sessionOf === undefined) return undefined
    const found = sessionOf(payload, 0, payload.length, this.#fresh.next())
    if (found.state !== 'key' || Buffer.byteLength(found.key) > DATAGRAM_SESSION_BYTES_MAX) return undefined
    return found.key
  }
}
