// A tool of the command line as a process, with a Redis in its environment.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { waitUntil, within } from '../harness/wait.ts'

const bin = join(import.meta.dirname, '../../bin/polyloop.js')
const TOOL_MS_MAX = 30_000

/** A tool as a process, and what it has written so far. */
export class Tool implements AsyncDisposable {
  out = ''
  err = ''
  readonly #child: ChildProcess
  readonly #closed: Promise<[number | null]>

  constructor(redisUrl: string, ...line: readonly string[]) {
    const environment = { PATH: process.env.PATH, REDIS_URL: redisUrl }
    this.#child = spawn(process.execPath, [bin, ...line], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#closed = once(this.#child, 'close') as Promise<[number | null]>
    this.#child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      this.out += part
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      this.err += part
    })
  }

  says(pattern: RegExp): Promise<RegExpExecArray> {
    return waitUntil(`${pattern} in: ${this.out}${this.err}`, () => pattern.exec(this.out) ?? undefined, TOOL_MS_MAX)
  }

  async status(): Promise<number | null> {
    const [status] = await within('the end of the tool', this.#closed, TOOL_MS_MAX)
    return status
  }

  interrupt(): Promise<number | null> {
    this.#child.kill('SIGINT')
    return this.status()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}
