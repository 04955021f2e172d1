// The 16 bytes in front of every frame of a room, and the types of frames. Pure; both ends of a connection use it.
//
//     0        2            4            8                       16
//     ├────────┼────────────┼────────────┼───────────────────────┼───────────┬─────────────┐
//     │  type  │ header (H) │ reserved 0 │      content (C)      │ H bytes   │ C bytes     │
//     └────────┴────────────┴────────────┴───────────────────────┴───────────┴─────────────┘
//        u16        u16          u32            u64, all little-endian

export const DESCRIPTOR_BYTES = 16
/** The longest header that a descriptor can announce. */
export const HEADER_BYTES_MAX = 0xffff
/** The longest header that a server takes. */
export const CLIENT_HEADER_BYTES_MAX = 4_096
/** What a frame before the login may have; it is ignored. */
export const LOGIN_CONTENT_BYTES_MAX = 64 * 1024

export const MESSAGE_TYPE = {
  login: 1,
  logout: 2,
  usernameExists: 3,
  badUsername: 4,
  badLogin: 5,
  image: 6,
  utf8: 7,
  file: 8,
  voice: 9,
} as const

export type MessageType = (typeof MESSAGE_TYPE)[keyof typeof MESSAGE_TYPE]

/** A RangeError on what does not fit its field. */
export function encodeDescriptor(type: number, headerBytes: number, contentBytes: number | bigint): Buffer {
  const descriptor = Buffer.allocUnsafe(DESCRIPTOR_BYTES)
  writeDescriptor(descriptor, 0, type, headerBytes, contentBytes)
  return descriptor
}

/** A RangeError on what does not fit its field. */
export function writeDescriptor(
  target: Buffer,
  at: number,
  type: number,
  headerBytes: number,
  contentBytes: number | bigint,
): void {
  target.writeUInt16LE(type, at)
  target.writeUInt16LE(headerBytes, at + 2)
  target.writeUInt32LE(0, at + 4)
  target.writeBigUInt64LE(BigInt(contentBytes), at + 8)
}

/** A whole frame in one piece; a string is sent as UTF-8. A RangeError on a header over HEADER_BYTES_MAX. */
export function encodeFrame(type: number, header: string | Uint8Array = '', content: string | Uint8Array = ''): Buffer {
  const headerBytes = byteLengthOf(header)
  const contentBytes = byteLengthOf(content)
  const frame = Buffer.allocUnsafe(DESCRIPTOR_BYTES + headerBytes + contentBytes)
  writeDescriptor(frame, 0, type, headerBytes, contentBytes)
  put(frame, DESCRIPTOR_BYTES, header)
  put(frame, DESCRIPTOR_BYTES + headerBytes, content)
  return frame
}

function byteLengthOf(part: string | Uint8Array): number {
  return typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength
}

function put(frame: Buffer, at: number, part: string | Uint8Array): void {
  if (typeof part === 'string') frame.write(part, at)
  else frame.set(part, at)
}
