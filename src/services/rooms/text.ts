// Every text that the server itself says in a room, and what it says it in.
import { CLIENT_HEADER_BYTES_MAX, encodeFrame, MESSAGE_TYPE } from './descriptor.ts'
import { encodeHeader, RECIPIENT_UNITS_MAX } from './message-header.ts'
import { USER_NAME_CHARACTERS_MAX } from './user-name.ts'

/** Who speaks when the server does; nobody can have the name. */
export const SERVER_NAME = 'server'

export const TEXT = {
  fileName: 'File name is not acceptable',
  notUtf8: 'Text is not valid UTF-8',
  headerTooLong: `Header is longer than ${CLIENT_HEADER_BYTES_MAX} bytes`,
  spoolFull: 'Server storage is full',
} as const

export function unknownRecipientText(name: string): string {
  // Cut by characters, not by UTF-16 units: half of one would be a second `_`.
  const cut = Array.from(name.slice(0, RECIPIENT_UNITS_MAX)).slice(0, USER_NAME_CHARACTERS_MAX)
  return `User ${cut.map((one) => (/^[A-Za-z0-9_]$/.test(one) ? one : '_')).join('')} is not in the room`
}

export function unknownTypeText(type: number): string {
  return `Message type ${type} is not accepted`
}

export function contentTooLargeText(bytesMax: number): string {
  return `Content is larger than ${bytesMax} bytes`
}

/** A text of the server as a frame. `timestamp` in RFC 3339. */
export function serverFrame(timestamp: string, text: string): Buffer {
  return encodeFrame(MESSAGE_TYPE.utf8, encodeHeader(timestamp, SERVER_NAME), text)
}
