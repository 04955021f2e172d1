// The room's books of what lies on disk: how much of the spool is given away, who sends a file, and who still has to
// read it. A file that nobody needs is named in `unneeded`, for whoever removes it. Plain state; touches no disk.
import type { SpooledContent } from './room-record.ts'

export interface SpoolFile {
  readonly number: number
  readonly path: string
  /** Given to it; what it has, once it is whole. */
  bytes: number
  /** The connection that sends it. */
  readonly sender: number
  /** Where that is; undefined: the file is whole. */
  life: string | undefined
  /** Connections that have not read it. */
  readonly readers: Set<number>
}

export interface FrozenLedger {
  readonly files: readonly SpoolFile[]
  readonly last: number
}

export class SpoolLedger {
  /** Given away. */
  bytes = 0
  readonly #bytesMax: number
  readonly #pathOf: (file: number) => string
  readonly #files = new Map<number, SpoolFile>()
  #last = 0
  #unneeded: string[] = []

  constructor(bytesMax: number, pathOf: (file: number) => string, frozen?: FrozenLedger) {
    this.#bytesMax = bytesMax
    this.#pathOf = pathOf
    if (frozen === undefined) return
    this.#last = frozen.last
    for (const file of frozen.files) {
      this.#files.set(file.number, file)
      this.bytes += file.bytes
    }
  }

  freeze(): FrozenLedger {
    const frozen = { files: [...this.#files.values()], last: this.#last }
    this.bytes = 0
    return frozen
  }

  /** Undefined: the spool is full. */
  open(sender: number, life: string, bytes: number): SpooledContent | undefined {
    if (this.bytes + bytes > this.#bytesMax) return undefined
    const number = ++this.#last
    const path = this.#pathOf(number)
    this.#files.set(number, { number, path, bytes, sender, life, readers: new Set() })
    this.bytes += bytes
    return { file: number, path, bytes }
  }

  grow(number: number, bytes: number): boolean {
    const file = this.#files.get(number)
    if (file?.life === undefined || this.bytes + bytes > this.#bytesMax) return false
    file.bytes += bytes
    this.bytes += bytes
    return true
  }

  /** It is whole, and these have to read it. */
  complete(number: number, bytes: number, readers: Iterable<number>): void {
    const file = this.#files.get(number)
    if (file === undefined) return
    this.bytes += bytes - file.bytes
    file.bytes = bytes
    file.life = undefined
    for (const reader of readers) file.readers.add(reader)
    this.#look(file)
  }

  /** Another's file stays: a shard may speak of one that an earlier room had given it. */
  abandon(sender: number, number: number): void {
    const file = this.#files.get(number)
    if (file?.life !== undefined && file.sender === sender) this.#remove(file)
  }

  read(reader: number, number: number): void {
    const file = this.#files.get(number)
    if (file?.readers.delete(reader) === true) this.#look(file)
  }

  /** A member is gone. What it was sending its shard abandons, when nothing writes to it any more. */
  left(reader: number): void {
    for (const file of this.#files.values()) if (file.readers.delete(reader)) this.#look(file)
  }

  /** A member is gone, and nothing writes what it was sending. */
  senderGone(sender: number): void {
    for (const file of this.#files.values()) if (file.sender === sender && file.life !== undefined) this.#remove(file)
  }

  moved(sender: number, life: string): void {
    for (const file of this.#files.values()) {
      if (file.sender === sender && file.life !== undefined) file.life = life
    }
  }

  /** A shard's thread is gone, and whatever its connections were sending. */
  lifeGone(life: string): void {
    for (const file of this.#files.values()) if (file.life === life) this.#remove(file)
  }

  /** Paths that have become unneeded since the last call. */
  takeUnneeded(): readonly string[] {
    if (this.#unneeded.length === 0) return this.#unneeded
    const paths = this.#unneeded
    this.#unneeded = []
    return paths
  }

  #look(file: SpoolFile): void {
    if (file.life === undefined && file.readers.size === 0) this.#remove(file)
  }

  #remove(file: SpoolFile): void {
    this.#files.delete(file.number)
    this.bytes -= file.bytes
    this.#unneeded.push(file.path)
  }
}
