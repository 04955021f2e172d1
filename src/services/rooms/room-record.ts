// What the room tells all shards, as bytes of its topic: a frame, whom it is for, and what a shard has to know of it. The
// relay may glue several together, so each begins with its length. Pure.
//
//    0 u32  bytes of the record          16 f64  position: bytes of records so far, this one included
//    4 u32  epoch of the room            24 f64  subject: who came or left, or the one a message is for
//    8 u8   kind                         32 f64  second one a message is for; 0: none
//   10 u16  bytes of the path            40 f64  content bytes
//   12 u32  number of the spool file     48      path, then the frame: without its content, if that is in the file

export const RECORD_KIND = { message: 0, private: 1, joined: 2, left: 3 } as const
export type RecordKind = (typeof RECORD_KIND)[keyof typeof RECORD_KIND]

const HEAD_BYTES = 48

/** Content that lies on disk. */
export interface SpooledContent {
  readonly file: number
  readonly path: string
  readonly bytes: number
}

export interface RoomRecord {
  readonly epoch: number
  readonly kind: RecordKind
  readonly position: number
  /** A connection: who came or left, or the one a private message is for. 0: nobody. */
  readonly subject: number
  /** A private message is for this one, too. 0: nobody. */
  readonly second: number
  readonly contentBytes: number
  readonly spooled: SpooledContent | undefined
  readonly frame: Buffer
}

export interface NewRecord {
  readonly epoch: number
  readonly kind: RecordKind
  /** Bytes of records before this one. */
  readonly before: number
  readonly subject?: number
  readonly second?: number
  readonly contentBytes?: number
  readonly spooled?: SpooledContent | undefined
}

/** With room for a frame of `frameBytes` at `frameStart`. */
export function encodeRecord(record: NewRecord, frameBytes: number): { bytes: Buffer; frameStart: number } {
  const { spooled } = record
  const path = spooled?.path ?? ''
  const pathBytes = Buffer.byteLength(path)
  const frameStart = HEAD_BYTES + pathBytes
  const length = frameStart + frameBytes
  const bytes = Buffer.allocUnsafe(length)
  bytes.writeUInt32LE(length, 0)
  bytes.writeUInt32LE(record.epoch, 4)
  bytes.writeUInt16LE(record.kind, 8)
  bytes.writeUInt16LE(pathBytes, 10)
  bytes.writeUInt32LE(spooled?.file ?? 0, 12)
  bytes.writeDoubleLE(record.before + length, 16)
  bytes.writeDoubleLE(record.subject ?? 0, 24)
  bytes.writeDoubleLE(record.second ?? 0, 32)
  bytes.writeDoubleLE(record.contentBytes ?? spooled?.bytes ?? 0, 40)
  bytes.write(path, HEAD_BYTES)
  return { bytes, frameStart }
}

/** All records of `bytes`, which come from `encodeRecord`; their frames are views. */
export function decodeRecords(bytes: Uint8Array): RoomRecord[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const records: RoomRecord[] = []
  for (let at = 0; at < buffer.length; ) {
    const length = buffer.readUInt32LE(at)
    const pathEnd = at + HEAD_BYTES + buffer.readUInt16LE(at + 10)
    const contentBytes = buffer.readDoubleLE(at + 40)
    const file = buffer.readUInt32LE(at + 12)
    const path = buffer.toString('utf8', at + HEAD_BYTES, pathEnd)
    records.push({
      epoch: buffer.readUInt32LE(at + 4),
      kind: buffer.readUInt16LE(at + 8) as RecordKind,
      position: buffer.readDoubleLE(at + 16),
      subject: buffer.readDoubleLE(at + 24),
      second: buffer.readDoubleLE(at + 32),
      contentBytes,
      spooled: file === 0 ? undefined : { file, path, bytes: contentBytes },
      frame: buffer.subarray(pathEnd, at + length),
    })
    at += length
  }
  return records
}
