// The `prefixed` mode of echo, for one connection: cuts the stream into lines and writes each behind its prefix. Pure
// but for the output it is given.
import { appended } from '../../lib/bytes.ts'

/** A line without an end is echoed in pieces of this size, each as a line of its own. */
export const LINE_BYTES_MAX = 64 * 1024
const NEWLINE = 0x0a
const NEWLINE_BYTES = Buffer.from('\n')

export interface LineOutput {
  write(bytes: Uint8Array, start?: number, end?: number): void
  /** True when no further line may be written now. */
  readonly blocked: boolean
}

export class LineEcho {
  readonly #prefix: Buffer
  // The bytes of a line whose end has not come; allocated for as long as there is one.
  #part: Buffer | undefined
  #partBytes = 0

  /** `part`: what `freeze` answered where this connection was before. */
  constructor(serial: number, part?: Uint8Array) {
    this.#prefix = Buffer.from(`[Conn ${serial}] `)
    if (part !== undefined && part.length > 0) this.#keep(Buffer.from(part), 0, part.length)
  }

  /** The bytes of a line whose end has not come. */
  freeze(): Uint8Array {
    return new Uint8Array(this.#part?.subarray(0, this.#partBytes) ?? [])
  }

  /** Echoes the lines of `bytes`; answers how many bytes were taken, fewer than all if the output got blocked. */
  push(bytes: Buffer, output: LineOutput): number {
    let start = 0
    while (start < bytes.length) {
      const roomBytes = LINE_BYTES_MAX - this.#partBytes
      const found = bytes.indexOf(NEWLINE, start)
      const end = found === -1 ? bytes.length : found
      if (end - start > roomBytes) {
        this.#echo(bytes, start, start + roomBytes, output)
        start += roomBytes
      } else if (found === -1) {
        this.#keep(bytes, start, end)
        return bytes.length
      } else {
        this.#echo(bytes, start, end, output)
        start = end + 1
      }
      if (output.blocked) return start
    }
    return start
  }

  /** The peer ended: a last line without its end is echoed too. */
  end(output: LineOutput): void {
    if (this.#partBytes > 0) this.#echo(NEWLINE_BYTES, 0, 0, output)
  }

  #echo(bytes: Buffer, start: number, end: number, output: LineOutput): void {
    output.write(this.#prefix)
    if (this.#part !== undefined) {
      output.write(this.#part, 0, this.#partBytes)
      this.#part = undefined
      this.#partBytes = 0
    }
    if (end > start) output.write(bytes, start, end)
    output.write(NEWLINE_BYTES)
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    this.#part = appended(this.#part, this.#partBytes, bytes, start, end)
    this.#partBytes += end - start
  }
}
