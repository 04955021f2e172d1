// What a hub sends, taken apart for the tools: frames of text, and binary ones as something to show. Pure.
import { gunzipSync } from 'node:zlib'
import { parseBinary } from '../../services/hub/binary-message.ts'

export type Frame = Readonly<Record<string, unknown>>

/** COMPRESSED_JSON of a hub has at most as much. */
const INFLATED_BYTES_MAX = 16 * 1024 * 1024

/** Undefined: it is not a JSON object. */
export function parseFrame(text: string): Frame | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Frame) : undefined
  } catch {
    // There is no other way to ask.
    return undefined
  }
}

/** A compressed event as the event; any other message as `{"type":"binary",…}`; undefined: it is neither. */
export function parseBinaryFrame(bytes: Buffer): Frame | undefined {
  const message = parseBinary(bytes)
  if ('problem' in message) return undefined
  const { type, metadata, payload } = message
  if (type !== 'COMPRESSED_JSON') {
    return { type: 'binary', message_type: type, metadata, payload_length: payload.length }
  }
  try {
    return parseFrame(gunzipSync(payload, { maxOutputLength: INFLATED_BYTES_MAX }).toString())
  } catch {
    // Whatever is wrong with it, it is none.
    return undefined
  }
}

/** An event of a channel: those have no type. */
export function isEvent({ type, channel }: Frame): boolean {
  return type === undefined && typeof channel === 'string'
}

/** The strings of what should be an array of them. */
export function stringsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}
