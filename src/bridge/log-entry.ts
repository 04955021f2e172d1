// An entry of a log as its channel brings it:
//
//   f64 epoch | f64 offset | payload            little-endian
//
// Doubles, because that is what a Redis script counts in (redis-script.ts writes the same bytes).

export const LOG_ENTRY_HEAD_BYTES = 16

export interface PublishedEntry {
  readonly epoch: number
  readonly offset: number
  /** A view of what was decoded. */
  readonly payload: Buffer
}

export function encodeLogEntry(epoch: number, offset: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(LOG_ENTRY_HEAD_BYTES + payload.length)
  bytes.writeDoubleLE(epoch, 0)
  bytes.writeDoubleLE(offset, 8)
  bytes.set(payload, LOG_ENTRY_HEAD_BYTES)
  return bytes
}

/** Undefined: somebody else published on the channel of the log. */
export function decodeLogEntry(bytes: Buffer): PublishedEntry | undefined {
  if (bytes.length < LOG_ENTRY_HEAD_BYTES) return undefined
  const epoch = bytes.readDoubleLE(0)
  const offset = bytes.readDoubleLE(8)
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(offset) || epoch < 1 || offset < 1) return undefined
  return { epoch, offset, payload: bytes.subarray(LOG_ENTRY_HEAD_BYTES) }
}
