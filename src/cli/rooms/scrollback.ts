// The lines of the room as rows of a terminal: wrapped to its width, bounded, and a position in them. Pure: it knows no
// terminal, only how wide a text is on one.
import type { RoomLine, Span } from './room-line.ts'

export const SCROLLBACK_LINES_MAX = 5_000

type Row = Span[]

const PIECES = /\n|[^\S\n]+|\S+/g
const GRAPHEMES = new Intl.Segmenter()

export class Scrollback {
  readonly #widthOf: (text: string) => number
  readonly #linesMax: number
  #columns: number
  #lines: RoomLine[] = []
  #rows: Row[] = []
  /** Rows of the newest that are below what is shown; 0 follows the room. */
  #below = 0

  constructor(columns: number, widthOf: (text: string) => number, linesMax = SCROLLBACK_LINES_MAX) {
    this.#columns = Math.max(1, columns)
    this.#widthOf = widthOf
    this.#linesMax = linesMax
  }

  get below(): number {
    return this.#below
  }

  add(line: RoomLine): void {
    this.#lines.push(line)
    const rows = wrap(line, this.#columns, this.#widthOf)
    this.#rows.push(...rows)
    // Who reads older lines keeps them where they are.
    if (this.#below > 0) this.#below += rows.length
    if (this.#lines.length > this.#linesMax) {
      const [oldest] = this.#lines
      this.#lines.shift()
      if (oldest !== undefined) this.#rows.splice(0, wrap(oldest, this.#columns, this.#widthOf).length)
    }
  }

  resize(columns: number): void {
    if (columns === this.#columns || columns < 1) return
    this.#columns = columns
    this.#rows = this.#lines.flatMap((line) => wrap(line, columns, this.#widthOf))
    this.#below = 0
  }

  /** Positive: towards older lines. */
  scroll(rows: number, height: number): void {
    this.#below = Math.max(0, Math.min(this.#below + rows, this.#rows.length - height))
  }

  /** At most `height` rows, oldest first. */
  visible(height: number): readonly Row[] {
    // What was read may be forgotten by now.
    this.scroll(0, height)
    const end = this.#rows.length - this.#below
    return this.#rows.slice(Math.max(0, end - height), end)
  }
}

/** Between words where possible, inside a word that is wider than a row. */
export function wrap(line: RoomLine, columns: number, widthOf: (text: string) => number): Row[] {
  let row: Row = []
  const rows = [row]
  let used = 0
  const begin = (): void => {
    row = []
    rows.push(row)
    used = 0
  }
  const put = (text: string, width: number, { tone }: Span): void => {
    const last = row.at(-1)
    if (last?.tone === tone) row[row.length - 1] = { text: last.text + text, tone }
    else row.push({ text, tone })
    used += width
  }
  for (const span of line) {
    for (const [piece] of span.text.matchAll(PIECES)) {
      if (piece === '\n') {
        begin()
        continue
      }
      const width = widthOf(piece)
      if (used + width <= columns) {
        put(piece, width, span)
        continue
      }
      if (used > 0) begin()
      // Space between two rows is not shown.
      if (piece.trim() === '') continue
      if (width <= columns) put(piece, width, span)
      else {
        for (const { segment } of GRAPHEMES.segment(piece)) {
          const each = widthOf(segment)
          if (used + each > columns) begin()
          put(segment, each, span)
        }
      }
    }
  }
  return rows
}

/** The part of an input line that is shown around its cursor, and the column of the cursor in it. */
export function inputWindow(
  text: string,
  cursor: number,
  columns: number,
  widthOf: (text: string) => number,
): { readonly shown: string; readonly column: number } {
  const before = Array.from(GRAPHEMES.segment(text.slice(0, cursor)), ({ segment }) => segment)
  let column = widthOf(text.slice(0, cursor))
  let from = 0
  // The cursor itself needs a column.
  while (column >= columns && from < before.length) column -= widthOf(before[from++] ?? '')
  return { shown: before.slice(from).join('') + text.slice(cursor), column }
}
