// One process of a cluster on this machine, a host or its Redis: started, watched line by line, started again when it ends
// by itself, as a service manager would, and ended. Knows nothing of what it runs.
//
//     starting ──its line of readiness──▶ ready ──ends──▶ waiting ──RESTART_MS──▶ starting
//        ├── ends before that, but was ready once before: waiting
//        └── ends before it was ever ready: given up      stop(), kill(): ending, from anywhere; then ended
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'

const START_MS_MAX = 60_000
/** The pause before it starts again: long enough to see what the others do without it. */
export const RESTART_MS = 2_000
/** Last lines that are kept for when it ends. */
const LINES_KEPT = 10

export interface MemberOptions {
  readonly name: string
  readonly line: readonly [string, ...string[]]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Gets everything it writes; begun anew by this process. */
  readonly logFile: string
  isReady(line: string): boolean
  onLine(line: string): void
  onState(text: string): void
}

type State = 'idle' | 'starting' | 'ready' | 'waiting' | 'ending' | 'ended'

export class Member {
  readonly #options: MemberOptions
  readonly #log: WriteStream
  #state: State = 'idle'
  /** Its line and its surroundings are good: whatever ends it now, it can start. */
  #wasReady = false
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #lines: string[] = []

  constructor(options: MemberOptions) {
    this.#options = options
    this.#log = createWriteStream(options.logFile)
    // A log that cannot be written is no reason to end a cluster.
    this.#log.on('error', (error) => options.onState(`${options.logFile}: ${error.message}`))
  }

  get name(): string {
    return this.#options.name
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Newest last. */
  get lastLines(): readonly string[] {
    return this.#lines
  }

  /** Answers whether it became ready. */
  async start(): Promise<boolean> {
    this.#state = 'starting'
    this.#lines = []
    const [file, ...given] = this.#options.line
    // A process group of its own: Ctrl-C reaches the tool alone, which ends its members in their order.
    const child = spawn(file, given, {
      detached: true,
      env: this.#options.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const startMs = performance.now()
    const isReady = await new Promise<boolean>((resolve) => {
      const deadline = setTimeout(() => child.kill('SIGKILL'), START_MS_MAX)
      this.#exited = new Promise((exited) => {
        const end = (reason: string): void => {
          clearTimeout(deadline)
          resolve(false)
          exited()
          this.#onEnd(reason)
        }
        let problem: string | undefined
        child.once('error', ({ message }) => (problem = message))
        // Behind its last line.
        child.once('close', (status, signal) => end(problem ?? signal ?? `exit status ${status}`))
      })
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.#keep(line)
          this.#options.onLine(line)
          if (this.#state !== 'starting' || !this.#options.isReady(line)) return
          clearTimeout(deadline)
          this.#state = 'ready'
          this.#wasReady = true
          resolve(true)
        })
      }
    })
    if (isReady) this.#say(`ready after ${((performance.now() - startMs) / 1_000).toFixed(1)} s, process ${child.pid}`)
    return isReady
  }

  /** Asks it to end, and ends it after so long. Answers whether it ended by itself, unless there was nothing to end. */
  async stop(graceMs: number): Promise<boolean> {
    const isRunning = this.#state === 'starting' || this.#state === 'ready' || this.#state === 'ending'
    this.#state = 'ending'
    clearTimeout(this.#timer)
    let isClean = true
    if (isRunning) {
      this.#child?.kill('SIGTERM')
      const deadline = setTimeout(() => this.kill(), graceMs)
      await this.#exited
      clearTimeout(deadline)
      isClean = this.#child?.exitCode === 0
    }
    this.#state = 'ended'
    // Also when it could not be written.
    await new Promise((resolve) => this.#log.end(resolve))
    return isClean
  }

  /** At once; it does not start again. */
  kill(): void {
    if (this.#state !== 'starting' && this.#state !== 'ready' && this.#state !== 'ending') return
    this.#state = 'ending'
    this.#child?.kill('SIGKILL')
  }

  #onEnd(reason: string): void {
    if (this.#state === 'ending') return
    this.#state = this.#wasReady ? 'waiting' : 'ended'
    if (!this.#wasReady) {
      this.#say(`ended before it was ready (${reason}); ${this.#options.logFile} has its log`)
      return
    }
    this.#say(`ended (${reason}); starts again in ${RESTART_MS / 1_000} s`)
    this.#timer = setTimeout(() => void this.start(), RESTART_MS)
  }

  #keep(line: string): void {
    this.#log.write(`${line}\n`)
    this.#lines.push(line)
    if (this.#lines.length > LINES_KEPT) this.#lines.shift()
  }

  #say(text: string): void {
    this.#options.onState(`${this.name}: ${text}`)
  }
}
