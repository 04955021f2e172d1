// Figures as people read them: rounded, short, of a bounded width. Exact notations are in lib/units.ts.

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `0`, `12`, `1,234,567`. */
export function countText(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** `0`, `850 µs`, `1.2 ms`, `12 ms`, `3.4 s`: two or three digits. */
export function secondsText(seconds: number): string {
  if (seconds <= 0) return '0'
  if (seconds < 0.9995e-3) return `${Math.max(1, Math.round(seconds * 1e6))} µs`
  if (seconds < 0.9995) return `${digits(seconds * 1e3)} ms`
  return `${digits(seconds)} s`
}

/** `0 B`, `1.5 KiB`, `24 MiB`. */
export function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1_000 && unit < SIZES.length - 1) {
    value /= 1_024
    unit++
  }
  return `${unit === 0 ? Math.round(value) : digits(value)} ${SIZES[unit]}`
}

/** 0 to 1 as `0%` to `100%`. */
export function shareText(share: number): string {
  return `${Math.round(Math.min(1, Math.max(0, share)) * 100)}%`
}

/** `45 s`, `12 min 05 s`, `3 h 07 min`, `2 d 05 h`. */
export function ageText(seconds: number): string {
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600), Math.floor(seconds / 86_400)]
  if (minutes === 0) return `${Math.floor(seconds)} s`
  if (hours === 0) return `${minutes} min ${two(seconds % 60)} s`
  return days === 0 ? `${hours} h ${two(minutes % 60)} min` : `${days} d ${two(hours % 24)} h`
}

/** A bar of `width` characters, filled in eighths of a character. */
export function barText(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8)
  const full = '█'.repeat(eighths >> 3)
  const part = (eighths & 7) === 0 ? '' : (PARTS[eighths & 7] ?? '')
  return (full + part).padEnd(width, '·')
}

const PARTS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

function digits(value: number): string {
  return value < 9.95 ? value.toFixed(1) : String(Math.round(value))
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, '0')
}
