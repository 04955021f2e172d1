// Durations and sizes as people write them. Parsers answer undefined for what they do not understand: the caller
// knows which key or flag to name.

const DURATION_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const
const SIZE_BYTES = { GiB: 1024 ** 3, MiB: 1024 ** 2, KiB: 1024, B: 1 } as const
const NANOSECONDS = { s: 1e9, ms: 1e6, µs: 1e3, ns: 1 } as const

const DURATION = /^(\d+(?:\.\d+)?) ?(ms|s|m|h)?$/
const SIZE = /^(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB)?$/

/**
 * `250ms`, `10s`, `5m`, `2h`, or a number of seconds (`0.25`, `'10'`) → whole milliseconds. A positive duration that
 * would round to 0 is refused, because 0 often means "off".
 */
export function parseDuration(value: string | number): number | undefined {
  const found = DURATION.exec(String(value))
  if (found === null) return undefined
  const amount = Number(found[1])
  const ms = Math.round(amount * DURATION_MS[(found[2] ?? 's') as keyof typeof DURATION_MS])
  if (!Number.isSafeInteger(ms) || (ms === 0 && amount > 0)) return undefined
  return ms
}

/** `512B`, `64KiB`, `1MiB`, `2GiB`, or a number of bytes → bytes. KB and MB are refused: they mean different things. */
export function parseSize(value: string | number): number | undefined {
  const found = SIZE.exec(String(value))
  if (found === null) return undefined
  const bytes = Number(found[1]) * SIZE_BYTES[(found[2] ?? 'B') as keyof typeof SIZE_BYTES]
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Whole milliseconds → the shortest notation that `parseDuration` reads back as the same number: `90s`, `5m`, `250ms`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  return inLargestWhole(ms, DURATION_MS)
}

/** Whole bytes → the shortest notation that `parseSize` reads back as the same number: `10MiB`, `1000B`. */
export function formatSize(bytes: number): string {
  return inLargestWhole(bytes, SIZE_BYTES)
}

/** Nanoseconds → the largest of ns, µs, ms, s that gives at least 1, without trailing zeros: `412.07µs`, `1.9032ms`. */
export function formatNanoseconds(nanoseconds: number): string {
  const whole = Math.round(nanoseconds)
  for (const [unit, factor] of Object.entries(NANOSECONDS)) if (whole >= factor) return `${whole / factor}${unit}`
  return `${whole}ns`
}

function inLargestWhole(amount: number, units: Readonly<Record<string, number>>): string {
  for (const [unit, factor] of Object.entries(units)) {
    if (amount >= factor && amount % factor === 0) return `${amount / factor}${unit}`
  }
  return `${amount}${Object.keys(units).at(-1)}`
}
