// By whom the connections of rooms are placed: the user that the first Login names. Pure and never throwing; runs on the
// acceptor.
import type { SessionKey } from '../../net/session-key.ts'
import { CLIENT_HEADER_BYTES_MAX, DESCRIPTOR_BYTES, LOGIN_CONTENT_BYTES_MAX, MESSAGE_TYPE } from './descriptor.ts'
import { userNameOf } from './user-name.ts'

const NONE: SessionKey = { state: 'none' }
const MORE: SessionKey = { state: 'more' }

export function sessionOfStream(head: Uint8Array, start: number, end: number): SessionKey {
  const bytes = Buffer.from(head.buffer, head.byteOffset + start, end - start)
  if (bytes.length >= 2 && bytes.readUInt16LE(0) !== MESSAGE_TYPE.login) return NONE
  if (bytes.length < DESCRIPTOR_BYTES) return MORE
  const headerBytes = bytes.readUInt16LE(2)
  // It will be refused.
  if (headerBytes > CLIENT_HEADER_BYTES_MAX || bytes.readBigUInt64LE(8) > LOGIN_CONTENT_BYTES_MAX) return NONE
  if (bytes.length < DESCRIPTOR_BYTES + headerBytes) return MORE
  const name = userNameOf(bytes.subarray(DESCRIPTOR_BYTES, DESCRIPTOR_BYTES + headerBytes))
  return name === undefined ? NONE : { state: 'key', key: `room-user:${name}` }
}
