// The client without a terminal: each line of stdin is said, each line of the room is printed, the end of stdin leaves.
import type { Readable } from 'node:stream'
import { LineSplitter } from '../load/line.ts'
import type { TextSink } from '../load/progress.ts'
import { parseInput, TEXT_BYTES_MAX } from './input.ts'
import { plainText, type RoomLine } from './room-line.ts'
import type { RoomSession, RoomView } from './session.ts'

export interface LineModeStreams {
  readonly stdin: Readable
  readonly stdout: TextSink
  readonly stderr: TextSink
}

export class LineMode implements RoomView {
  readonly #streams: LineModeStreams

  constructor(streams: LineModeStreams) {
    this.#streams = streams
  }

  line(line: RoomLine): void {
    this.#streams.stdout.write(`${plainText(line)}\n`)
  }

  notice(line: RoomLine): void {
    this.#streams.stderr.write(`${plainText(line)}\n`)
  }

  moved(): void {}

  /** Until stdin ends and what it said has come back, or the session ends. Answers why that ended, if it was not us. */
  async run(session: RoomSession): Promise<string | undefined> {
    const { stdin } = this.#streams
    void session.ended.then(() => stdin.destroy())
    const lines: string[] = []
    const splitter = new LineSplitter(TEXT_BYTES_MAX, false, {
      received: (bytes, start, end) => void lines.push(bytes.toString('utf8', start, end).replace(/\r$/, '')),
      garbled: () => this.#complain(`a line has more than ${TEXT_BYTES_MAX} bytes`),
    })
    try {
      for await (const chunk of stdin) {
        const bytes = chunk as Buffer
        splitter.push(bytes, bytes.length)
        for (const line of lines.splice(0)) await this.#say(session, line)
      }
      const end = Buffer.from('\n')
      splitter.push(end, end.length)
      for (const line of lines) await this.#say(session, line)
      await session.settled()
    } catch (error) {
      // What the end of the session does to stdin is no failure of stdin.
      if (!stdin.destroyed) throw error
    }
    await session.leave()
    return await session.ended
  }

  async #say(session: RoomSession, line: string): Promise<void> {
    const intent = parseInput(line)
    if (intent.kind === 'problem') this.#complain(intent.text)
    else if (intent.kind === 'text') await session.text(intent.text, intent.to)
    else if (intent.kind === 'file') await session.file(intent.type, intent.path)
  }

  #complain(text: string): void {
    this.#streams.stderr.write(`rooms-client: ${text}\n`)
  }
}
