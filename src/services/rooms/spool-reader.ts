// The spool files that connections of one shard read: opened once, however many read them, and read once per chunk for
// readers that are level.
import { close, open, read } from 'node:fs'
import type { SpooledContent } from './room-record.ts'

export const CHUNK_BYTES = 128 * 1024
/** Of one file, for readers that come a little later. */
const CHUNKS_KEPT_MAX = 4

/** `chunk` undefined: the disk did not give it. */
export type ChunkGiven = (chunk: Buffer | undefined, error: unknown) => void

export class SpoolReader {
  readonly content: SpooledContent
  /** Connections that read it. */
  readers = 0
  readonly #ended: () => void
  readonly #chunks = new Map<number, Buffer>()
  readonly #asked = new Map<number, ChunkGiven[]>()
  #descriptor: number | undefined
  #isOpening = true
  #error: unknown

  constructor(content: SpooledContent, ended: () => void) {
    this.content = content
    this.#ended = ended
    open(content.path, 'r', (error, descriptor) => {
      this.#isOpening = false
      this.#descriptor = descriptor
      this.#error = error ?? undefined
      for (const at of this.#asked.keys()) this.#read(at)
      this.#endIfIdle()
    })
  }

  /** The chunk that begins at `at`, at once or later. It never changes, and others get it too. */
  chunk(at: number, given: ChunkGiven): void {
    const known = this.#chunks.get(at)
    if (known !== undefined) {
      given(known, undefined)
      return
    }
    const asked = this.#asked.get(at)
    if (asked !== undefined) asked.push(given)
    else {
      this.#asked.set(at, [given])
      if (!this.#isOpening) this.#read(at)
    }
  }

  /** One reader less. */
  leave(): void {
    this.readers--
    this.#endIfIdle()
  }

  #read(at: number): void {
    if (this.#descriptor === undefined) {
      queueMicrotask(() => this.#give(at, undefined, this.#error))
      return
    }
    const bytes = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, this.content.bytes - at))
    this.#readInto(bytes, 0, at)
  }

  #readInto(bytes: Buffer, from: number, at: number): void {
    read(this.#descriptor as number, bytes, from, bytes.length - from, at + from, (error, count) => {
      if (error !== null || count === 0) this.#give(at, undefined, error ?? new Error('the spool file is too short'))
      else if (from + count < bytes.length) this.#readInto(bytes, from + count, at)
      else this.#give(at, bytes, undefined)
    })
  }

  #give(at: number, chunk: Buffer | undefined, error: unknown): void {
    const asked = this.#asked.get(at) ?? []
    this.#asked.delete(at)
    if (chunk !== undefined) {
      this.#chunks.set(at, chunk)
      for (const oldest of this.#chunks.keys()) {
        if (this.#chunks.size <= CHUNKS_KEPT_MAX) break
        this.#chunks.delete(oldest)
      }
    }
    for (const given of asked) given(chunk, error)
    this.#endIfIdle()
  }

  /** Nobody reads it, and nothing is under way. */
  #endIfIdle(): void {
    if (this.readers > 0 || this.#isOpening || this.#asked.size > 0) return
    const descriptor = this.#descriptor
    this.#descriptor = undefined
    this.#chunks.clear()
    // Whatever the answer is, the descriptor is gone.
    if (descriptor !== undefined) close(descriptor, () => {})
    this.#ended()
  }
}

/** By the number of the file. */
export class SpoolReaders {
  readonly #open = new Map<number, SpoolReader>()

  /** Give it back with `leave`. */
  enter(content: SpooledContent): SpoolReader {
    let reader = this.#open.get(content.file)
    // A file of an earlier room may have had the number.
    if (reader === undefined || reader.content.path !== content.path) {
      const made = new SpoolReader(content, () => {
        if (this.#open.get(content.file) === made) this.#open.delete(content.file)
      })
      this.#open.set(content.file, made)
      reader = made
    }
    reader.readers++
    return reader
  }
}
