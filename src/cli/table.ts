// A table for a terminal: columns as wide as what they hold. Pure.

export interface Column {
  readonly title: string
  /** Numbers stand right. */
  readonly right?: boolean
}

/** Lines without trailing spaces; the first are the titles. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => (row[index] ?? '').length)),
  )
  const lineOf = (cells: readonly string[]): string =>
    columns
      .map(({ right }, index) => {
        const [cell, width] = [cells[index] ?? '', widths[index] ?? 0]
        return right === true ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd()
  return [lineOf(columns.map(({ title }) => title)), ...rows.map(lineOf)]
}
