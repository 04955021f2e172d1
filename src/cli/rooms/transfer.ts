// A file on its way, in or out, as people see it. Pure.
export interface Transfer {
  readonly direction: 'in' | 'out'
  /** Safe to be shown. */
  readonly name: string
  /** Who sends it; undefined for this client. */
  readonly from: string | undefined
  readonly totalBytes: number
  doneBytes: number
}

const BAR_CELLS = 24
/** The bar behind the name has to be on the terminal, too. */
const NAME_CHARACTERS_MAX = 28
const UNITS = ['B', 'KiB', 'MiB', 'GiB'] as const

/** `↓ a.bin from ada ████████░░░░ 66 % of 12.0 MiB`. */
export function transferText({ direction, name, from, totalBytes, doneBytes }: Transfer): string {
  const share = totalBytes === 0 ? 1 : doneBytes / totalBytes
  const full = Math.floor(share * BAR_CELLS)
  const bar = '█'.repeat(full) + '░'.repeat(BAR_CELLS - full)
  const who = from === undefined ? '' : ` from ${from}`
  const short = name.length > NAME_CHARACTERS_MAX ? `${name.slice(0, NAME_CHARACTERS_MAX - 1).toWellFormed()}…` : name
  return `${direction === 'in' ? '↓' : '↑'} ${short}${who} ${bar} ${Math.floor(share * 100)} % of ${sizeText(totalBytes)}`
}

/** `12 B`, `1.5 MiB`: for people, so rounded. */
export function sizeText(bytes: number): string {
  let unit = 0
  let amount = bytes
  for (; amount >= 1024 && unit < UNITS.length - 1; unit++) amount /= 1024
  return `${unit === 0 ? amount : amount.toFixed(1)} ${UNITS[unit]}`
}
