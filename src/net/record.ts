// What travels in rings between the acceptor and shards, and between shards: kinds and byte layouts. Numbers are never
// reused.
//
//   datagram, reply   u16 listener | u8 socket | u8 address length | u16 port | u16 session length | address, latin1 |
//                     session key, UTF-8 (empty in a reply) | payload
//   ended             f64 connection id
//   send, sendHere    u16 slot | u16 hint | f64 connection id | u8 binary | payload
//   close, closeHere  u16 slot | u16 hint | f64 connection id | u16 code | reason, UTF-8
//   elsewhere         u16 slot | u16 0 | f64 connection id | u16 thread | u8 gone
//   moved             f64 connection id | u16 seat
//   holding           u32 batch
//
// send, close and elsewhere are addressed to a slot: routed. The hint is the seat where the reference was made;
// sendHere and closeHere come from the owner of the slot to the thread that has the connection.
// Kinds from 16 on are those of actors and topics (actor/record.ts, actor/topic-record.ts).

/** Counts the changes of what these bytes mean, here and in actor/: threads of different layouts cannot talk. */
export const RECORD_LAYOUT = 3

export const RECORD = {
  datagram: 1,
  reply: 2,
  ended: 3,
  send: 4,
  close: 5,
  moved: 6,
  sendHere: 7,
  closeHere: 8,
  elsewhere: 9,
  holding: 10,
} as const

/** Longest textual address: IPv6 with an embedded IPv4 address and a zone. */
const ADDRESS_BYTES_MAX = 64
/** Longest session key of a datagram; with a longer one it is placed by its peer. */
export const DATAGRAM_SESSION_BYTES_MAX = 1024
const ROUTE_BYTES = 8
export const DATAGRAM_HEAD_BYTES_MAX = ROUTE_BYTES + ADDRESS_BYTES_MAX + DATAGRAM_SESSION_BYTES_MAX

/** The way of one datagram: which socket, and the peer's address. */
export interface Route {
  readonly listener: number
  /** The listener's socket: one per local address. */
  readonly socket: number
  readonly address: string
  readonly port: number
  /** The session key it was placed by. On the way back nobody asks. */
  readonly session: string
}

/** Writes the head of a datagram into `target`; answers its length, 0 if the address or the session key is too long. */
export function encodeRoute(target: Buffer, route: Route): number {
  const addressBytes = route.address.length
  const sessionBytes = Buffer.byteLength(route.session)
  if (addressBytes > ADDRESS_BYTES_MAX || sessionBytes > DATAGRAM_SESSION_BYTES_MAX) return 0
  target.writeUInt16LE(route.listener, 0)
  target[2] = route.socket
  target[3] = addressBytes
  target.writeUInt16LE(route.port, 4)
  target.writeUInt16LE(sessionBytes, 6)
  target.write(route.address, ROUTE_BYTES, 'latin1')
  if (sessionBytes > 0) target.write(route.session, ROUTE_BYTES + addressBytes)
  return ROUTE_BYTES + addressBytes + sessionBytes
}

export function decodeRoute(bytes: Buffer, offset: number): Route {
  const session = offset + ROUTE_BYTES + (bytes[offset + 3] as number)
  return {
    listener: bytes.readUInt16LE(offset),
    socket: bytes[offset + 2] as number,
    address: bytes.toString('latin1', offset + ROUTE_BYTES, session),
    port: bytes.readUInt16LE(offset + 4),
    session: bytes.toString('utf8', session, offset + routeBytes(bytes, offset)),
  }
}

/** How long the head at `offset` is; the payload follows. */
export function routeBytes(bytes: Buffer, offset: number): number {
  return ROUTE_BYTES + (bytes[offset + 3] as number) + bytes.readUInt16LE(offset + 6)
}
