// What travels in rings between the acceptor and shards, and between shards: kinds and byte layouts. Numbers are never
// reused.
//
//   datagram, reply   u16 listener | u8 socket | u8 address length | u16 port | address, latin1 | payload
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
export const RECORD_LAYOUT = 1

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
const ROUTE_BYTES = 6
export const DATAGRAM_HEAD_BYTES_MAX = ROUTE_BYTES + ADDRESS_BYTES_MAX

/** The way of one datagram: which socket, and the peer's address. */
export interface Route {
  readonly listener: number
  /** The listener's socket: one per local address. */
  readonly socket: number
  readonly address: string
  readonly port: number
}

/** Writes the head of a datagram into `target`; answers its length, 0 if the address is too long. */
export function encodeRoute(target: Buffer, route: Route): number {
  const addressBytes = route.address.length
  if (addressBytes > ADDRESS_BYTES_MAX) return 0
  target.writeUInt16LE(route.listener, 0)
  target[2] = route.socket
  target[3] = addressBytes
  target.writeUInt16LE(route.port, 4)
  target.write(route.address, ROUTE_BYTES, 'latin1')
  return ROUTE_BYTES + addressBytes
}

export function decodeRoute(bytes: Buffer, offset: number): Route {
  return {
    listener: bytes.readUInt16LE(offset),
    socket: bytes[offset + 2] as number,
    address: bytes.toString('latin1', offset + ROUTE_BYTES, offset + routeBytes(bytes, offset)),
    port: bytes.readUInt16LE(offset + 4),
  }
}

/** How long the head at `offset` is; the payload follows. */
export function routeBytes(bytes: Uint8Array, offset: number): number {
  return ROUTE_BYTES + (bytes[offset + 3] as number)
}
