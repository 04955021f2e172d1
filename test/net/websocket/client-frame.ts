// What a client, honest or not, puts on the wire: masked frames with every bit under the test's control.

export interface ClientFrame {
  readonly opcode: number
  readonly payload?: Uint8Array | string
  readonly fin?: boolean
  /** The three reserved bits as a number: 4 is RSV1. */
  readonly rsv?: number
  /** Four bytes; default a fixed mask that is not symmetric. */
  readonly mask?: Uint8Array
  readonly masked?: boolean
  /** Default: the shortest form that holds the length. */
  readonly lengthForm?: 7 | 16 | 64
  /** Default: the payload's true length. */
  readonly declaredBytes?: number | bigint
}

const DEFAULT_MASK = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d)

export function encodeClientFrame(frame: ClientFrame): Buffer {
  const payload = typeof frame.payload === 'string' ? Buffer.from(frame.payload) : (frame.payload ?? Buffer.alloc(0))
  const declared = BigInt(frame.declaredBytes ?? payload.length)
  const form = frame.lengthForm ?? (declared < 126n ? 7 : declared < 65_536n ? 16 : 64)
  const masked = frame.masked ?? true
  const mask = masked ? (frame.mask ?? DEFAULT_MASK) : new Uint8Array(0)
  const lengthBytes = form === 7 ? 0 : form === 16 ? 2 : 8
  const header = Buffer.alloc(2 + lengthBytes)
  header[0] = ((frame.fin ?? true) ? 0x80 : 0) | ((frame.rsv ?? 0) << 4) | frame.opcode
  header[1] = (masked ? 0x80 : 0) | (form === 7 ? Number(declared & 0x7fn) : form === 16 ? 126 : 127)
  if (form === 16) header.writeUInt16BE(Number(declared & 0xffffn), 2)
  if (form === 64) header.writeBigUInt64BE(BigInt.asUintN(64, declared), 2)
  const body = Buffer.from(payload)
  if (masked) for (let i = 0; i < body.length; i++) body[i] = (body[i] ?? 0) ^ (mask[i & 3] ?? 0)
  return Buffer.concat([header, mask, body])
}

/** The payload of a close frame. */
export function closePayload(code: number, reason: Uint8Array | string = ''): Buffer {
  return Buffer.concat([Buffer.from([code >>> 8, code & 0xff]), Buffer.from(reason as Uint8Array)])
}
