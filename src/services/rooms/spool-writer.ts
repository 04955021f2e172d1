// Writes one content to its spool file as it comes: what arrives while a write is under way waits in one piece, up to a
// limit. Knows the file by its path only, so it can go on in another thread.
//
//     opening ──▶ idle ◀──▶ writing ──▶ closed
//                   └── the disk did not do it ──▶ failed
import { close, open, write } from 'node:fs'
import { appended } from '../../lib/bytes.ts'
import { SPOOL_FILE_MODE } from './spool-directory.ts'

/** More that waits holds its sender up. */
export const WRITE_WAITING_BYTES_MAX = 512 * 1024

export class SpoolWriter {
  readonly path: string
  /** On disk. */
  written: number
  readonly #changed: () => void
  #phase: 'opening' | 'idle' | 'writing' | 'closed' = 'opening'
  #descriptor: number | undefined
  /** What waits; and a buffer of an earlier write, so that a long content needs two in all. */
  #waiting: Buffer | undefined
  #waitingBytes = 0
  #spare: Buffer | undefined
  #error: unknown
  #closed: (() => void) | undefined

  /** `changed` is called whenever something may go on. `resumed`: it goes on with a file that has so much already. */
  constructor(path: string, changed: () => void, resumed?: number) {
    this.path = path
    this.written = resumed ?? 0
    this.#changed = changed
    // A new one must not be there: nobody else's file is written to.
    open(path, resumed === undefined ? 'wx' : 'r+', SPOOL_FILE_MODE, (error, descriptor) => {
      this.#descriptor = descriptor
      this.#done(error)
    })
  }

  /** Why the content is lost; undefined: it is not. */
  get error(): unknown {
    return this.#error
  }

  /** Its sender must wait. */
  get isFull(): boolean {
    return this.#waitingBytes >= WRITE_WAITING_BYTES_MAX
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    return this.#phase === 'idle' || this.#phase === 'closed'
  }

  /** Copies. */
  push(chunk: Buffer): void {
    if (this.#error !== undefined || this.#closed !== undefined) return
    this.#waiting = appended(this.#waiting ?? this.#takeSpare(), this.#waitingBytes, chunk, 0, chunk.length)
    this.#waitingBytes += chunk.length
    if (this.#phase === 'idle') this.#write(this.#waiting)
  }

  /** Lets go of the file when what is under way has ended; what waits is not written. */
  close(closed: () => void): void {
    this.#closed = closed
    this.#waiting = undefined
    this.#waitingBytes = 0
    this.#spare = undefined
    if (this.#phase === 'idle') this.#close()
    else if (this.#phase === 'closed') closed()
  }

  #write(bytes: Buffer): void {
    const length = this.#waitingBytes
    this.#waiting = undefined
    this.#waitingBytes = 0
    this.#phase = 'writing'
    this.#writeFrom(bytes, 0, length)
  }

  #writeFrom(bytes: Buffer, from: number, end: number): void {
    write(this.#descriptor as number, bytes, from, end - from, this.written, (error, count) => {
      if (error === null) this.written += count
      if (error === null && from + count < end) this.#writeFrom(bytes, from + count, end)
      else {
        this.#spare = bytes
        this.#done(error)
      }
    })
  }

  #takeSpare(): Buffer | undefined {
    const spare = this.#spare
    this.#spare = undefined
    return spare
  }

  #done(error: unknown): void {
    this.#error ??= error ?? undefined
    this.#phase = 'idle'
    if (this.#closed !== undefined) this.#close()
    else if (this.#error !== undefined) this.#waiting = undefined
    else if (this.#waiting !== undefined) this.#write(this.#waiting)
    this.#changed()
  }

  #close(): void {
    this.#phase = 'closed'
    const closed = this.#closed
    if (this.#descriptor === undefined) closed?.()
    // Whatever the answer is, the descriptor is gone.
    else close(this.#descriptor, () => closed?.())
    this.#descriptor = undefined
  }
}
