// Takes the log of a runtime in the test's own process.
import { Writable } from 'node:stream'
import type { LogLine } from './server.ts'

export class CapturedLog extends Writable {
  text = ''

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }

  /** Lines of an event so far. */
  logged(event: string): LogLine[] {
    const lines = this.text.split('\n').filter((line) => line !== '')
    return lines.map((line) => JSON.parse(line) as LogLine).filter((line) => line.event === event)
  }
}
