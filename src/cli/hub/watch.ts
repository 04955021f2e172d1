// One run of `polyloop hub`: connects, subscribes, prints what comes, and does what is typed, until one side ends it.
import type { Readable } from 'node:stream'
import { printable } from '../chat-packet.ts'
import { LineSplitter } from '../load/line.ts'
import { problemOf } from '../problem.ts'
import { closedText, HubConnection } from './connection.ts'
import { type Frame, stringsOf } from './frame.ts'
import type { FramePrinter } from './printer.ts'
import { type HubTarget, shownUrl } from './target.ts'
import { LINE_BYTES_MAX, parseTyped } from './typed-command.ts'

export interface WatchOptions {
  readonly target: HubTarget
  readonly channels: readonly string[]
  readonly printer: FramePrinter
  /** Frames as they come and go, and where failures come from. */
  readonly verbose: boolean
  /** Commands come from here. */
  readonly stdin: Readable | undefined
  readonly signal: AbortSignal
}

/** Resolves with why it failed; undefined: it did not. */
export async function watchHub(options: WatchOptions): Promise<string | undefined> {
  const { target, printer, channels, stdin, signal, verbose } = options
  const watch = new Watch(options)
  printer.progress(`Connecting to ${shownUrl(target)}`)
  try {
    await using connection = await HubConnection.open(target, {
      signal,
      received: (frame, raw, isBinary) => watch.received(frame, raw, isBinary),
      ...(verbose ? { sent: (text: string) => printer.progress(`Sent ${printable(text)}`) } : {}),
    })
    watch.connection = connection
    if (channels.length > 0) connection.send('subscribe', { channels })
    if (stdin !== undefined) void watch.obey(stdin, connection)
    const end = await connection.ended
    // Nothing is typed any more, and an open stdin would keep the process.
    stdin?.destroy()
    printer.progress(`Disconnected: ${closedText(end)}`)
    if (watch.failure !== undefined) throw watch.failure
    return watch.hasQuit || signal.aborted || end.isGood ? undefined : closedText(end)
  } catch (error) {
    stdin?.destroy()
    if (verbose && error instanceof Error) printer.problem(error.stack ?? error.message)
    return problemOf(error)
  }
}

class Watch {
  connection: HubConnection | undefined
  hasQuit = false
  /** Of writing. */
  failure: Error | undefined
  readonly #options: WatchOptions

  constructor(options: WatchOptions) {
    this.#options = options
  }

  received(frame: Frame | undefined, raw: Buffer, isBinary: boolean): void {
    const { printer, verbose } = this.#options
    if (this.failure !== undefined) return
    if (verbose) {
      const shown = isBinary ? `${raw.length} binary bytes` : printable(raw.toString('utf8'))
      printer.progress(`Received ${shown}`)
    }
    if (frame === undefined) {
      printer.problem(`a frame of ${raw.length} bytes is none that a hub sends`)
      return
    }
    this.#tell(frame)
    try {
      if (!printer.frame(frame, () => this.connection?.resume())) this.connection?.pause()
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error(String(error))
      void this.connection?.close()
    }
  }

  /** Until stdin or the connection ends. */
  async obey(stdin: Readable, connection: HubConnection): Promise<void> {
    const { printer } = this.#options
    const lines: string[] = []
    const splitter = new LineSplitter(LINE_BYTES_MAX, false, {
      received: (bytes, start, end) => void lines.push(bytes.toString('utf8', start, end)),
      garbled: () => printer.problem(`a line has more than ${LINE_BYTES_MAX} bytes`),
    })
    try {
      for await (const chunk of stdin) {
        const bytes = chunk as Buffer
        splitter.push(bytes, bytes.length)
        for (const line of lines.splice(0)) await this.#typed(line, connection)
      }
      const newline = Buffer.from('\n')
      splitter.push(newline, newline.length)
      for (const line of lines) await this.#typed(line, connection)
    } catch (error) {
      // What the end of the connection does to stdin is no failure of stdin.
      if (!stdin.destroyed) printer.problem(problemOf(error))
    }
    this.hasQuit = true
    await connection.close()
  }

  async #typed(line: string, connection: HubConnection): Promise<void> {
    await connection.room()
    const command = parseTyped(line)
    if (command.kind === 'problem') this.#options.printer.problem(command.text)
    if (!connection.isOpen) return
    if (command.kind === 'send') connection.send(command.type, command.members)
    if (command.kind !== 'quit') return
    this.hasQuit = true
    void connection.close()
  }

  #tell(frame: Frame): void {
    const { printer } = this.#options
    const { type, client_id: clientId, user_id: userId } = frame
    if (type === 'connected') {
      printer.progress('Connected')
      printer.progress(`Client ID: ${printable(clientId)}`)
      printer.progress(`User: ${userId === null || userId === undefined ? 'None' : printable(userId)}`)
    } else if (type === 'subscribed') {
      const [channels, denied] = [stringsOf(frame.channels), stringsOf(frame.denied)]
      if (channels.length > 0) printer.progress(`Subscribed to ${printable(channels.join(', '))}`)
      if (denied.length > 0) printer.progress(`Denied: ${printable(denied.join(', '))}`)
    } else if (type === 'unsubscribed') {
      printer.progress(`Unsubscribed from ${printable(stringsOf(frame.channels).join(', '))}`)
    }
  }
}
