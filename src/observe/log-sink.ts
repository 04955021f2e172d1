// Main's end of the log: takes the lines of all threads and writes them to one stream, pretty on a terminal. Never
// waits: what a stuck reader leaves behind is bounded, beyond it lines are dropped and counted.
import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { prettyFactory } from 'pino-pretty'
import { type Clock, systemClock } from '../lib/clock.ts'

/** Characters that may wait for a slow reader: some 20,000 lines. */
export const LOG_QUEUE_CHARACTERS_MAX = 4 * 1024 * 1024

/** How long `close` waits for a reader. */
export const LOG_FLUSH_DEADLINE_MS = 1000

export interface LogStream extends Pick<Writable, 'write' | 'on'> {
  readonly fd?: number
  readonly isTTY?: boolean
  hasColors?(): boolean
}

export interface LogSinkOptions {
  /** `auto`: on a terminal. */
  readonly pretty: boolean | 'auto'
  /** Usually process.stdout. */
  readonly stream: LogStream
  readonly clock?: Clock
}

export class LogSink {
  readonly #stream: LogStream
  /** What is written to while the process lives. */
  readonly #writer: Pick<Writable, 'write' | 'on'>
  readonly #format: (lines: string) => string
  readonly #clock: Clock
  #queue: string[] = []
  /** Of the queue and of the chunk that is being written. */
  #waitingCharacters = 0
  #state: 'idle' | 'scheduled' | 'writing' | 'broken' = 'idle'
  #dropped = 0
  #droppedReported = 0
  #idleWaiters: (() => void)[] = []
  readonly #listeners: ((lines: string) => void)[] = []

  constructor(options: LogSinkOptions) {
    const terminal = options.stream.isTTY === true
    const pretty = options.pretty === 'auto' ? terminal : options.pretty
    this.#format = pretty ? prettyFormat(terminal && options.stream.hasColors?.() === true) : (lines) => lines
    this.#stream = options.stream
    // Of Node's own streams a pipe does not block and a file is never stuck, but a terminal stopped with Ctrl-S blocks
    // its writer, and main would stop watching the shards. So a terminal is written by libuv's thread pool.
    const { fd } = options.stream
    this.#writer = terminal && fd !== undefined ? createWriteStream('', { fd, autoClose: false }) : options.stream
    this.#clock = options.clock ?? systemClock
    this.#writer.on('error', this.#onError)
  }

  /** Lines that were dropped because nobody read the stream, since the start. */
  get dropped(): number {
    return this.#dropped
  }

  /** One JSON line or several, each with its newline; they are kept or dropped together. Never throws, never waits. */
  readonly write = (lines: string): void => {
    for (const listener of this.#listeners) listener(lines)
    if (this.#state === 'broken' || this.#waitingCharacters + lines.length > LOG_QUEUE_CHARACTERS_MAX) {
      this.#dropped += linesOf(lines).length
      return
    }
    this.#queue.push(lines)
    this.#waitingCharacters += lines.length
    this.#schedule()
  }

  /** Hears all lines that come from now on, also those that nobody reads in time. Must neither throw nor write lines. */
  listen(listener: (lines: string) => void): void {
    this.#listeners.push(listener)
  }

  /** Writes what waits at once: for the process's `exit` event, after which nothing can be waited for. */
  writeNow(): void {
    if (this.#state === 'broken' || this.#queue.length === 0) return
    // A stream keeps its order. Two ways to a terminal do not, and behind a stuck chunk the process would not exit.
    if (this.#state === 'writing' && this.#writer !== this.#stream) return
    this.#stream.write(this.#takeChunk())
  }

  /** True when all lines were written, false when the reader did not take them in time. */
  async flush(deadlineMs = LOG_FLUSH_DEADLINE_MS): Promise<boolean> {
    if (this.#isSettled()) return this.#state === 'idle'
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#idleWaiters.push(resolve)
    const timer = setTimeout(resolve, deadlineMs)
    await promise
    clearTimeout(timer)
    return this.#state === 'idle'
  }

  /** Flushes; later lines are dropped. The stream stays open, and watched: a late EPIPE must not end the process. */
  async close(): Promise<void> {
    await this.flush()
    this.#state = 'broken'
  }

  #schedule(): void {
    if (this.#state !== 'idle') return
    this.#state = 'scheduled'
    // Lines of one turn leave in one system call.
    setImmediate(this.#writeChunk)
  }

  readonly #writeChunk = (): void => {
    if (this.#state !== 'scheduled') return
    this.#state = 'writing'
    const characters = this.#waitingCharacters
    // Only one chunk is with the stream at a time: what waits here can still be counted, bounded and written at exit.
    this.#writer.write(this.#takeChunk(), () => {
      if (this.#state !== 'writing') return
      this.#waitingCharacters -= characters
      this.#state = 'idle'
      this.#reportDropped()
      if (this.#queue.length > 0) this.#schedule()
      else this.#wakeWaiters()
    })
  }

  #takeChunk(): string {
    const chunk = this.#format(this.#queue.join(''))
    this.#queue = []
    return chunk
  }

  #reportDropped(): void {
    const lines = this.#dropped - this.#droppedReported
    if (lines === 0) return
    this.#droppedReported = this.#dropped
    const time = new Date(this.#clock.wallMs()).toISOString()
    this.write(`${JSON.stringify({ level: 'warn', time, thread: 'main', lines, event: 'observe.log_dropped' })}\n`)
  }

  // Nobody reads any more (EPIPE), for example because the terminal is gone. The server goes on, its log does not.
  readonly #onError = (): void => {
    this.#dropped += linesOf(this.#queue.join('')).length
    this.#queue = []
    this.#state = 'broken'
    this.#wakeWaiters()
  }

  #isSettled(): boolean {
    return this.#state === 'idle' || this.#state === 'broken'
  }

  #wakeWaiters(): void {
    for (const wake of this.#idleWaiters) wake()
    this.#idleWaiters = []
  }
}

export function createLogSink(options: LogSinkOptions): LogSink {
  return new LogSink(options)
}

/** The lines of a text whose every line ends in a newline, with their newlines. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n/g) ?? []
}

function prettyFormat(colorize: boolean): (lines: string) => string {
  const format = prettyFactory({
    colorize,
    singleLine: true,
    messageKey: 'event',
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    errorLikeObjectKeys: [],
  })
  // JSON escapes the C0 controls only; the C1 ones, and DEL, reach a terminal as commands too.
  return (lines) =>
    linesOf(lines.replace(/[\x7f-\x9f]/g, '\ufffd'))
      .map((line) => format(line))
      .join('')
}
