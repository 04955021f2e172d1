// Figures as people read them. The same rules as src/cli/figure-text.ts: a test holds the two against each other.

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `0`, `12`, `1,234,567`. */
export function countText(value) {
  return Math.round(value).toLocaleString('en-US')
}

/** `0`, `850 µs`, `1.2 ms`, `3.4 s`. */
export function secondsText(seconds) {
  if (seconds <= 0) return '0'
  if (seconds < 0.9995e-3) return `${Math.max(1, Math.round(seconds * 1e6))} µs`
  if (seconds < 0.9995) return `${digits(seconds * 1e3)} ms`
  return `${digits(seconds)} s`
}

/** `0 B`, `1.5 KiB`, `24 MiB`. */
export function bytesText(bytes) {
  let value = bytes
  let unit = 0
  while (value >= 1_000 && unit < SIZES.length - 1) {
    value /= 1_024
    unit++
  }
  return `${unit === 0 ? Math.round(value) : digits(value)} ${SIZES[unit]}`
}

/** 0 to 1 as `0%` to `100%`. */
export function shareText(share) {
  return `${Math.round(Math.min(1, Math.max(0, share)) * 100)}%`
}

/** `45 s`, `12 min 05 s`, `3 h 07 min`, `2 d 05 h`. */
export function ageText(seconds) {
  const [minutes, hours, days] = [60, 3_600, 86_400].map((unit) => Math.floor(seconds / unit))
  if (minutes === 0) return `${Math.floor(seconds)} s`
  if (hours === 0) return `${minutes} min ${two(seconds % 60)} s`
  return days === 0 ? `${hours} h ${two(minutes % 60)} min` : `${days} d ${two(hours % 24)} h`
}

/** For the axes of charts: `0`, `800`, `12k`, `3.5M`. */
export function shortCountText(value) {
  if (value < 1_000) return String(Math.round(value * 10) / 10)
  return value < 1e6 ? `${Math.round(value / 100) / 10}k` : `${Math.round(value / 1e5) / 10}M`
}

function digits(value) {
  return value < 9.95 ? value.toFixed(1) : String(Math.round(value))
}

function two(value) {
  return String(Math.floor(value)).padStart(2, '0')
}
