// Long topic payloads travel in pieces, because a record between threads is bounded: cut here, and put together again on
// every shard. Pieces of several payloads may mix. What is not complete in time, or too much, is dropped.
//
//   piece   u8 2 | u8 text | 16 bytes id | u32 index | u32 count | bytes      big-endian
import { randomBytes } from 'node:crypto'
import { PIECE_KIND } from './event.ts'

const ID_BYTES = 16
const HEAD_BYTES = 2 + ID_BYTES + 8
/** A quarter of what `ring.messageMax` allows by default. */
export const PIECE_BYTES = 240 * 1024
/** Longest payload: a binary message of 16 MiB with its heads. */
export const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024 + 1024
const PIECES_MAX = Math.ceil(PAYLOAD_BYTES_MAX / PIECE_BYTES)
/** Payloads of one channel that are being put together; beyond it the oldest is given up. */
const OPEN_MAX = 16
const OPEN_MS_MAX = 30_000

interface Open {
  readonly isText: boolean
  readonly pieces: Buffer[]
  readonly count: number
  readonly sinceMs: number
}

/** The payload itself where it is short; else its pieces. */
export function cut(payload: string | Buffer): readonly (string | Buffer)[] {
  const bytes = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
  if (bytes <= PIECE_BYTES) return [payload]
  const all = typeof payload === 'string' ? Buffer.from(payload) : payload
  const id = randomBytes(ID_BYTES)
  const count = Math.ceil(all.length / PIECE_BYTES)
  return Array.from({ length: count }, (_, index) => {
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUInt8(PIECE_KIND, 0)
    head.writeUInt8(typeof payload === 'string' ? 1 : 0, 1)
    head.set(id, 2)
    head.writeUInt32BE(index, 2 + ID_BYTES)
    head.writeUInt32BE(count, 6 + ID_BYTES)
    return Buffer.concat([head, all.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES)])
  })
}

export function isPiece(payload: Buffer): boolean {
  return payload.length > HEAD_BYTES && payload[0] === PIECE_KIND
}

export class Assembly {
  readonly #open = new Map<string, Open>()

  /** The whole payload with its last piece; undefined before. */
  take(piece: Buffer, nowMs: number): { readonly payload: Buffer; readonly isText: boolean } | undefined {
    const id = piece.toString('latin1', 2, 2 + ID_BYTES)
    const index = piece.readUInt32BE(2 + ID_BYTES)
    const count = piece.readUInt32BE(6 + ID_BYTES)
    if (index === 0) this.#begin(id, { isText: piece[1] === 1, pieces: [], count, sinceMs: nowMs })
    const open = this.#open.get(id)
    // Its beginning is not kept any more, or a piece is missing.
    if (open === undefined || open.count !== count || open.pieces.length !== index) {
      this.#open.delete(id)
      return undefined
    }
    open.pieces.push(piece.subarray(HEAD_BYTES))
    if (open.pieces.length < count) return undefined
    this.#open.delete(id)
    return { payload: Buffer.concat(open.pieces), isText: open.isText }
  }

  #begin(id: string, open: Open): void {
    if (open.count > PIECES_MAX) return
    for (const [known, { sinceMs }] of this.#open) {
      if (this.#open.size >= OPEN_MAX || open.sinceMs - sinceMs > OPEN_MS_MAX) this.#open.delete(known)
      else break
    }
    this.#open.set(id, open)
  }
}
