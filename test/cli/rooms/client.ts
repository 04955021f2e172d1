// The client in this process, without a terminal: what it is told to say, what it printed, how it ended.
import { PassThrough } from 'node:stream'
import { type RoomsClientOptions, runRoomsClient } from '../../../src/cli/rooms-client.ts'
import { waitUntil } from '../../harness/wait.ts'

export class Client implements AsyncDisposable {
  out = ''
  err = ''
  readonly stdin = new PassThrough()
  readonly status: Promise<number>
  readonly #interrupt = new AbortController()

  constructor(options: RoomsClientOptions) {
    const append = (name: 'out' | 'err') => ({
      write: (text: string): void => {
        this[name] += text
      },
    })
    const { signal } = this.#interrupt
    const io = { stdin: this.stdin, stdout: append('out'), stderr: append('err'), signal, terminal: undefined }
    this.status = runRoomsClient(options, io)
  }

  says(pattern: RegExp): Promise<RegExpExecArray> {
    return waitUntil(`${pattern} in: ${this.out}${this.err}`, () => pattern.exec(this.out) ?? undefined)
  }

  complains(pattern: RegExp): Promise<RegExpExecArray> {
    return waitUntil(`${pattern} in: ${this.err}`, () => pattern.exec(this.err) ?? undefined)
  }

  interrupt(): void {
    this.#interrupt.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.interrupt()
    await this.status
  }
}
