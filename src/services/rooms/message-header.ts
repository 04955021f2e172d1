// The headers of messages: what a client's says, and what the server's is made of. Pure.
import { isUtf8 } from 'node:buffer'
import { fileNameOf, fileNameOfBytes } from './file-name.ts'

const OPEN = 0x7b
/**
 * Of a recipient, in UTF-16 units: 32 characters are shown of one that is not there, and each may take two. A name is
 * shorter, so what was cut is still nobody's.
 */
export const RECIPIENT_UNITS_MAX = 64

export interface MessageHeader {
  /** Undefined: everybody. Cut, but not checked: it is looked up, and shown only cleaned. */
  readonly to: string | undefined
  /** Undefined: none was given, or it is not acceptable. */
  readonly fileName: string | undefined
}

const EMPTY: MessageHeader = { to: undefined, fileName: undefined }

/** What the header of a message says. `isFile`: what is no such object is the name. */
export function parseMessageHeader(bytes: Buffer, isFile: boolean): MessageHeader {
  if (bytes.length === 0) return EMPTY
  const members = objectOf(bytes)
  if (members === undefined || !isText(members.to) || !isText(members.filename))
    return isFile ? { to: undefined, fileName: fileNameOfBytes(bytes) } : EMPTY
  const { to, filename } = members
  return {
    // Turns to the room are not to be filled with names that nobody has.
    to: typeof to === 'string' && to !== '' ? to.slice(0, RECIPIENT_UNITS_MAX) : undefined,
    fileName: typeof filename === 'string' ? fileNameOf(filename) : undefined,
  }
}

/** The members of a JSON object; undefined if it is none. */
export function objectOf(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  // Most are names: no exception for those.
  if (!mayBeObject(bytes) || !isUtf8(bytes)) return undefined
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined
  } catch {
    // There is no other way to ask; the answer is that it is none.
    return undefined
  }
}

/** The server's: names in it need no escape, because those that would are not accepted. */
export function encodeHeader(timestamp: string, from: string, fileName?: string, to?: string): string {
  const file = fileName === undefined ? '' : `,"filename":"${fileName}"`
  const recipient = to === undefined ? '' : `,"to":"${to}"`
  return `{"timestamp":"${timestamp}","from":"${from}"${file}${recipient}}`
}

function mayBeObject(bytes: Buffer): boolean {
  for (const byte of bytes) {
    if (byte === OPEN) return true
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return false
  }
  return false
}

function isText(value: unknown): boolean {
  return value === undefined || value === null || typeof value === 'string'
}
