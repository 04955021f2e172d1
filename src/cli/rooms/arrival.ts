// What comes from the server: the answer to the login, then messages and files. Files go to disk as they come: the next
// bytes are looked at when the last are written, so a slow disk slows the connection, and nothing piles up here.

import { HEADER_BYTES_MAX, MESSAGE_TYPE } from '../../services/rooms/descriptor.ts'
import { type FrameCourse, FrameParser, type FrameSink } from '../../services/rooms/frame-parser.ts'
import { problemOf } from '../problem.ts'
import { fileLine, type MessageHeader, moveLine, parseHeader, type RoomLine, type Said, textLine } from './room-line.ts'
import { safeLines, safeText } from './safe-text.ts'
import { SavedFile, safeNameOf } from './saved-file.ts'
import { sizeText, type Transfer } from './transfer.ts'

/** Of a longer text the beginning is shown. */
const TEXT_SHOWN_BYTES_MAX = 64 * 1024
/** Who speaks for the server itself; nobody else can have that name. */
const SERVER = 'server'
const FALLBACK_NAMES: Readonly<Record<number, string>> = {
  [MESSAGE_TYPE.file]: 'file',
  [MESSAGE_TYPE.image]: 'image',
  [MESSAGE_TYPE.voice]: 'voice',
}

export interface ArrivalListener {
  /** The type that answers the login; undefined when it is no answer to a login. */
  login(type: number | undefined): void
  line(line: RoomLine): void
  notice(text: string, tone: 'notice' | 'problem'): void
  /** A message of this client came back, or the server told why not. */
  answered(): void
  /** A transfer has begun, moved on, or ended. */
  moved(): void
}

export interface ArrivalOptions {
  readonly own: string
  readonly saveDirectory: string
  readonly contentBytesMax: number
  readonly transfers: Set<Transfer>
  wallMs(): number
}

/** What becomes of the content of the frame that arrives. */
type Course = 'drop' | 'move' | 'text' | 'file'

export class Arrival implements FrameSink {
  readonly #options: ArrivalOptions
  readonly #listener: ArrivalListener
  readonly #parser = new FrameParser(this, { headerBytesMax: HEADER_BYTES_MAX })
  #tasks: Promise<void> = Promise.resolve()
  #isLoggedIn = false
  #type = 0
  #contentBytes = 0
  #course: Course = 'drop'
  #header: MessageHeader | undefined
  #text: Buffer[] = []
  #textBytes = 0
  #file: SavedFile | undefined
  #transfer: Transfer | undefined

  constructor(options: ArrivalOptions, listener: ArrivalListener) {
    this.#options = options
    this.#listener = listener
  }

  /** Resolves when all of it is where it belongs; `bytes` must stay as they are until then. */
  async push(bytes: Buffer): Promise<void> {
    let at = 0
    while (at < bytes.length) {
      at += this.#parser.push(bytes, at)
      await this.#tasks
    }
  }

  /** The connection is over: a file that is not complete is taken away. */
  async abandon(): Promise<void> {
    this.#parser.stop()
    await this.#tasks
    if (this.#file !== undefined) await this.#lose('the connection ended')
  }

  begin(type: number, headerBytes: number, contentBytes: bigint): FrameCourse {
    this.#course = 'drop'
    this.#type = type
    this.#contentBytes = Number(contentBytes)
    if (this.#isLoggedIn) return 'take'
    const isBare = headerBytes === 0 && contentBytes === 0n
    this.#isLoggedIn = isBare && type === MESSAGE_TYPE.login
    this.#listener.login(isBare ? type : undefined)
    return this.#isLoggedIn ? 'skip' : 'stop'
  }

  header(bytes: Buffer): void {
    const header = parseHeader(bytes, this.#options.wallMs())
    this.#header = header
    if (header === undefined) {
      this.#listener.notice('the server sent a message that says not who it is from', 'problem')
      return
    }
    switch (this.#type) {
      case MESSAGE_TYPE.login:
      case MESSAGE_TYPE.logout:
        this.#course = 'move'
        break
      case MESSAGE_TYPE.utf8:
        this.#course = 'text'
        break
      case MESSAGE_TYPE.file:
      case MESSAGE_TYPE.image:
      case MESSAGE_TYPE.voice:
        this.#beginFile(header)
        break
      default:
        this.#listener.notice(`the server sent a message of the unknown type ${this.#type}`, 'problem')
    }
  }

  content(chunk: Buffer): void {
    if (this.#course === 'text' && this.#textBytes < TEXT_SHOWN_BYTES_MAX) {
      // A copy: the view is valid only during the call.
      const shown = Buffer.from(chunk.subarray(0, TEXT_SHOWN_BYTES_MAX - this.#textBytes))
      this.#text.push(shown)
      this.#textBytes += shown.length
    } else if (this.#course === 'file') this.#later(() => this.#save(chunk))
  }

  end(): void {
    const header = this.#header
    if (header === undefined) return
    this.#header = undefined
    const said = this.#saidBy(header)
    const isAnswer = this.#type !== MESSAGE_TYPE.login && (header.from === this.#options.own || header.from === SERVER)
    if (this.#course === 'file') {
      const { filename } = header
      this.#later(() => this.#finish(said, filename))
    } else if (this.#course === 'move') {
      this.#listener.line(moveLine(said, this.#type === MESSAGE_TYPE.login ? 'joined' : 'left'))
    } else if (this.#course === 'text') this.#listener.line(textLine(said, this.#takeText()))
    if (isAnswer) this.#later(async () => this.#listener.answered())
  }

  #saidBy({ timeMs, from, to }: MessageHeader): Said {
    const { own } = this.#options
    return { timeMs, from: safeText(from), to: to === undefined ? undefined : safeText(to), own }
  }

  /** In order, and nothing more is looked at until it is done. */
  #later(task: () => Promise<void>): void {
    this.#tasks = this.#tasks.then(task)
    this.#parser.hold()
  }

  #takeText(): string {
    const text = safeLines(Buffer.concat(this.#text))
    const rest = this.#contentBytes - this.#textBytes
    this.#text = []
    this.#textBytes = 0
    return rest > 0 ? `${text} … (${sizeText(rest)} more)` : text
  }

  // ---- files ----

  #beginFile(header: MessageHeader): void {
    const { contentBytesMax, saveDirectory, transfers } = this.#options
    const name = safeNameOf(header.filename ?? '', FALLBACK_NAMES[this.#type] ?? 'file')
    const size = this.#contentBytes
    this.#course = 'file'
    if (size > contentBytesMax) {
      this.#listener.notice(`${safeText(name)} of ${sizeText(size)} is too large, and not saved`, 'problem')
      return
    }
    this.#later(async () => {
      try {
        this.#file = await SavedFile.create(saveDirectory, name)
        this.#transfer = {
          direction: 'in',
          name: safeText(name),
          from: safeText(header.from),
          totalBytes: size,
          doneBytes: 0,
        }
        transfers.add(this.#transfer)
        this.#listener.moved()
      } catch (error) {
        this.#listener.notice(`${safeText(name)} is not saved: ${problemOf(error)}`, 'problem')
      }
    })
  }

  async #save(chunk: Buffer): Promise<void> {
    if (this.#file === undefined || this.#transfer === undefined) return
    try {
      await this.#file.write(chunk)
      this.#transfer.doneBytes += chunk.length
      this.#listener.moved()
    } catch (error) {
      await this.#lose(problemOf(error))
    }
  }

  async #finish(said: Said, filename: string | undefined): Promise<void> {
    const file = this.#file
    const shown = safeText(filename ?? file?.name ?? '')
    if (file !== undefined) {
      try {
        await file.finish()
        this.#forget()
        this.#listener.line(fileLine(said, this.#type, shown))
        this.#listener.notice(`saved ${safeText(file.path)}`, 'notice')
        return
      } catch (error) {
        await this.#lose(problemOf(error))
      }
    }
    this.#listener.line(fileLine(said, this.#type, shown))
  }

  async #lose(reason: string): Promise<void> {
    const file = this.#file
    if (file === undefined) return
    this.#forget()
    let rest = ''
    try {
      await file.discard()
    } catch (error) {
      rest = `; what there is of it stays: ${problemOf(error)}`
    }
    this.#listener.notice(`${safeText(file.name)} is not saved: ${safeText(reason)}${rest}`, 'problem')
  }

  #forget(): void {
    this.#file = undefined
    if (this.#transfer !== undefined) this.#options.transfers.delete(this.#transfer)
    this.#transfer = undefined
    this.#listener.moved()
  }
}
