// The client on a terminal: title, lines of the room, transfers, input line. terminal-kit draws (cells, colours, only what
// changed); Node's readline reads the keys and edits the line, which it does without a screen.
import { createInterface, type Interface, type Key } from 'node:readline'
import type { Readable } from 'node:stream'
import { Writable } from 'node:stream'
import type { ScreenBuffer, Terminal } from 'terminal-kit'
import { HELP, parseInput } from './input.ts'
import { noticeLine, type RoomLine, type Tone } from './room-line.ts'
import { inputWindow, Scrollback } from './scrollback.ts'
import type { RoomSession, RoomView } from './session.ts'
import { transferText } from './transfer.ts'

/** Between two pictures; text that comes faster is drawn together. */
const DRAW_MS = 30
/** A lone Esc is told from the beginning of a key's sequence by the pause after it; a guess that slow networks need. */
const ESCAPE_MS = 200
const PROMPT = '> '

const TONES: Readonly<Record<Tone, ScreenBuffer.Attributes>> = {
  own: { color: 'yellow', bgDefaultColor: true },
  other: { color: 'blue', bgDefaultColor: true },
  move: { color: 'red', bgDefaultColor: true },
  plain: { defaultColor: true, bgDefaultColor: true },
  notice: { color: 'gray', bgDefaultColor: true },
  problem: { color: 'magenta', bgDefaultColor: true },
}
const TITLE: ScreenBuffer.Attributes = { defaultColor: true, bgDefaultColor: true, inverse: true }
const TRANSFER: ScreenBuffer.Attributes = { color: 'cyan', bgDefaultColor: true }

type TerminalKit = typeof import('terminal-kit')

export interface ScreenStreams {
  readonly stdin: Readable
  readonly stdout: Writable
  /** Of the environment. */
  readonly term: string | undefined
}

export class Screen implements RoomView {
  readonly #kit: TerminalKit
  readonly #terminal: Terminal
  readonly #streams: ScreenStreams
  readonly #title: string
  readonly #wallMs: () => number
  readonly #scrollback: Scrollback
  #buffer: ScreenBuffer | undefined
  #input: Interface | undefined
  #session: RoomSession | undefined
  #drawing: NodeJS.Timeout | undefined

  private constructor(kit: TerminalKit, streams: ScreenStreams, title: string, wallMs: () => number) {
    this.#kit = kit
    this.#streams = streams
    this.#title = title
    this.#wallMs = wallMs
    this.#terminal = kit.createTerminal({
      stdin: streams.stdin as NodeJS.ReadStream,
      stdout: streams.stdout as NodeJS.WriteStream,
      generic: /^[\w-]+?(?=-256color|$)/.exec(streams.term ?? '')?.[0] ?? 'xterm',
      // No terminal of its own: what all of them understand is enough.
      appId: '',
      appName: '',
      isTTY: true,
    })
    this.#scrollback = new Scrollback(this.#terminal.width, kit.stringWidth)
  }

  /** The library is loaded here: nobody else needs it. */
  static async create(streams: ScreenStreams, title: string, wallMs: () => number): Promise<Screen> {
    const { default: kit } = await import('terminal-kit')
    return new Screen(kit, streams, title, wallMs)
  }

  line(line: RoomLine): void {
    this.#scrollback.add(line)
    this.#drawSoon()
  }

  notice(line: RoomLine): void {
    this.line(line)
  }

  moved(): void {
    this.#drawSoon()
  }

  /** Until the user leaves, or the session ends. Answers why that ended, if it was not us. */
  async run(session: RoomSession): Promise<string | undefined> {
    const { stdin, stdout } = this.#streams
    this.#session = session
    const leave = (): void => void session.leave()
    let isGone = false
    const gone = (): void => {
      isGone = true
      // Stays set: nothing is drawn any more.
      clearTimeout(this.#drawing)
      leave()
    }
    const input = createInterface({
      input: stdin,
      // What readline would draw is drawn by this screen.
      output: new Writable({ write: (_chunk, _encoding, done) => done() }),
      terminal: true,
      historySize: 0,
      escapeCodeTimeout: ESCAPE_MS,
      prompt: '',
    })
    this.#input = input
    input.on('line', (line) => this.#say(session, line))
    input.on('SIGINT', leave)
    input.on('close', leave)
    // A terminal that is gone fails at being given back.
    input.on('error', gone)
    stdin.on('end', gone)
    // A stopped process would leave its picture behind.
    input.on('SIGTSTP', () => {})
    const onKey = (_text: string | undefined, key: Key): void => this.#onKey(key, leave)
    const onResize = (): void => this.#drawSoon()
    stdin.on('keypress', onKey)
    stdout.on('resize', onResize)
    this.#terminal.fullscreen(true)
    this.line(noticeLine(this.#wallMs(), `${HELP}; Up and Down scroll, Esc quits`, 'notice'))
    try {
      return await session.ended
    } finally {
      clearTimeout(this.#drawing)
      this.#input = undefined
      stdin.off('keypress', onKey)
      stdout.off('resize', onResize)
      stdin.off('end', gone)
      if (!isGone) {
        input.close()
        this.#terminal.styleReset()
        this.#terminal.fullscreen(false)
        this.#terminal.hideCursor(false)
      }
    }
  }

  #say(session: RoomSession, line: string): void {
    const intent = parseInput(line)
    // Who speaks wants to see the answer.
    this.#scrollback.scroll(Number.NEGATIVE_INFINITY, 0)
    if (intent.kind === 'problem') this.notice(noticeLine(this.#wallMs(), intent.text, 'problem'))
    else if (intent.kind === 'text') void session.text(intent.text, intent.to)
    else if (intent.kind === 'file') void session.file(intent.type, intent.path)
    this.#drawSoon()
  }

  #onKey(key: Key, leave: () => void): void {
    const page = Math.max(1, this.#listHeight() - 1)
    const rows = { up: 1, down: -1, pageup: page, pagedown: -page }[key.name ?? '']
    if (key.name === 'escape') leave()
    else if (rows !== undefined) this.#scrollback.scroll(rows, this.#listHeight())
    this.#drawSoon()
  }

  #listHeight(): number {
    return Math.max(0, this.#terminal.height - 2 - (this.#session?.transfers.size ?? 0))
  }

  #drawSoon(): void {
    this.#drawing ??= setTimeout(() => {
      this.#drawing = undefined
      if (this.#input !== undefined) this.#draw(this.#input)
    }, DRAW_MS)
  }

  #draw({ line, cursor }: Interface): void {
    const { width, height } = this.#terminal
    let buffer = this.#buffer
    if (buffer?.width !== width || buffer.height !== height) {
      buffer = new this.#kit.ScreenBuffer({ dst: this.#terminal, width, height })
      this.#buffer = buffer
      this.#scrollback.resize(width)
    }
    const screen = buffer
    const put = (x: number, y: number, attr: ScreenBuffer.Attributes, text: string): void =>
      screen.put({ x, y, attr, wrap: false, dx: 1, dy: 0 }, text)
    // With a colour: an unfilled cell is a transparent one, and leaves what the terminal shows there.
    screen.fill({ attr: TONES.plain })
    const { below } = this.#scrollback
    const more = below === 0 ? '' : `  (${below} more below)`
    put(0, 0, TITLE, `${this.#title}${more}`.padEnd(width))
    const listHeight = this.#listHeight()
    for (const [index, row] of this.#scrollback.visible(listHeight).entries()) {
      let x = 0
      for (const { text, tone } of row) {
        put(x, index + 1, TONES[tone], text)
        x += this.#kit.stringWidth(text)
      }
    }
    let y = 1 + listHeight
    for (const transfer of this.#session?.transfers ?? []) put(0, y++, TRANSFER, transferText(transfer))
    const { shown, column } = inputWindow(line, cursor, width - PROMPT.length, this.#kit.stringWidth)
    put(0, height - 1, TONES.plain, PROMPT + shown)
    screen.moveTo(PROMPT.length + column, height - 1)
    screen.draw({ delta: true })
    screen.drawCursor()
  }
}
