// Records of the room as a shard got them, parsed once for all its members. Most of what is said is for everybody: then
// every member is given the same bytes.
import { decodeRecords, RECORD_KIND, type RoomRecord } from './room-record.ts'

export class Batch {
  readonly bytes: Uint8Array
  readonly records: readonly RoomRecord[]
  /** Connections for which a record means more than its frame. */
  readonly subjects: readonly number[]
  readonly contentBytes: number
  readonly #isPlain: boolean
  #whole: Uint8Array | undefined

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.records = decodeRecords(bytes)
    this.subjects = this.records.filter(({ subject }) => subject !== 0).map(({ subject }) => subject)
    this.contentBytes = this.records.reduce((sum, record) => sum + record.contentBytes, 0)
    this.#isPlain = this.records.every(({ kind, spooled }) => kind !== RECORD_KIND.private && spooled === undefined)
  }

  get position(): number {
    return this.records.at(-1)?.position ?? 0
  }

  /** All frames in one piece, if they are for everybody and lie in memory. */
  get whole(): Uint8Array | undefined {
    if (!this.#isPlain) return undefined
    const [first] = this.records
    this.#whole ??=
      this.records.length === 1 && first !== undefined
        ? first.frame
        : Buffer.concat(this.records.map(({ frame }) => frame))
    return this.#whole
  }
}
