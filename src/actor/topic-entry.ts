// One message of a topic as homes and queues keep it, and many of them packed into one piece of bytes.
//
//   packed    (f64 offset | f64 time, ms | u32 body bytes | u16 key bytes | u8 text | u8 0 | body) …
//
// The body is key and payload, as they stand in a record: nothing is taken apart on the way.

export interface TopicEntry {
  readonly offset: number
  /** On the clock of the process. */
  readonly atMs: number
  readonly text: boolean
  readonly keyBytes: number
  /** Key, then payload. */
  readonly body: Uint8Array
}

/** What an entry takes beside its body, packed; memory is counted with it. */
export const ENTRY_BYTES = 24

export function packedBytes(entry: TopicEntry): number {
  return ENTRY_BYTES + entry.body.length
}

/** Writes the entry at `at` and answers where it ends. */
export function packEntry(target: Buffer, at: number, entry: TopicEntry): number {
  target.writeDoubleLE(entry.offset, at)
  target.writeDoubleLE(entry.atMs, at + 8)
  target.writeUInt32LE(entry.body.length, at + 16)
  target.writeUInt16LE(entry.keyBytes, at + 20)
  target[at + 22] = entry.text ? 1 : 0
  target[at + 23] = 0
  target.set(entry.body, at + ENTRY_BYTES)
  return at + ENTRY_BYTES + entry.body.length
}

export function packEntries(entries: readonly TopicEntry[]): Buffer {
  let bytes = 0
  for (const entry of entries) bytes += packedBytes(entry)
  // Not from the pool: a structured clone of pooled memory would copy all of the pool.
  const packed = Buffer.allocUnsafeSlow(bytes)
  let at = 0
  for (const entry of entries) at = packEntry(packed, at, entry)
  return packed
}

/** The entries packed from `start` on; their bodies are views. */
export function unpackEntries(bytes: Uint8Array, start = 0): TopicEntry[] {
  const packed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries: TopicEntry[] = []
  for (let at = start; at < packed.length; ) {
    const bodyStart = at + ENTRY_BYTES
    const end = bodyStart + packed.readUInt32LE(at + 16)
    entries.push({
      offset: packed.readDoubleLE(at),
      atMs: packed.readDoubleLE(at + 8),
      text: packed[at + 22] === 1,
      keyBytes: packed.readUInt16LE(at + 20),
      body: packed.subarray(bodyStart, end),
    })
    at = end
  }
  return entries
}
