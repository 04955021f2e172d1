// Main's side of a thread that does calls for all others, the store's or the bridge's: its start, and its last flush.
import type { MessagePort } from 'node:worker_threads'
import { threadLabel } from '../lib/thread.ts'
import type { Logger } from '../observe/logger.ts'
import { controlOf, type Remote } from './control.ts'
import type { Supervisor } from './supervisor.ts'
import type { CallControl } from './thread-data.ts'
import { type ThreadSpawner, tryCall } from './thread-spawner.ts'

export interface CallLineOptions {
  readonly log: Logger
  readonly spawner: ThreadSpawner
  readonly supervisor: () => Supervisor
  readonly timeoutMs: () => number
}

export class CallLine {
  readonly thread: number
  readonly #options: CallLineOptions
  #control: Remote<CallControl> | undefined
  #isRunning = false

  constructor(thread: number, options: CallLineOptions) {
    this.thread = thread
    this.#options = options
  }

  /** While its thread lives. */
  get control(): Remote<CallControl> | undefined {
    return this.#control
  }

  /** It was started; should it be dead, its successor comes. */
  get isRunning(): boolean {
    return this.#isRunning
  }

  /** Starts the thread, unless it was started before. Rejects, with nothing of it left, when that fails. */
  async start(): Promise<void> {
    if (this.#isRunning) return
    const supervisor = this.#options.supervisor()
    try {
      await supervisor.start(this.thread)
      this.#isRunning = true
    } catch (error) {
      await supervisor.end(this.thread)
      throw error
    }
  }

  /** Has a thread begin that was spawned. */
  async begin(port: MessagePort): Promise<void> {
    const control = controlOf<CallControl>(port)
    await control.start()
    this.#control = control
  }

  down(): void {
    this.#control = undefined
  }

  /** Has it do what waits, and close what it has open. False: it has died, or does not answer in time. */
  async close(graceMs: number): Promise<boolean> {
    if (!this.#isRunning) return true
    const { log, spawner, timeoutMs } = this.#options
    const closed = this.#control?.close().then(() => true)
    const answer = closed && spawner.answerOf(this.thread, closed)
    return (await tryCall(log, 'close', threadLabel(this.thread), graceMs + timeoutMs(), answer)) === true
  }
}
