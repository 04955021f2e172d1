// How long to wait before the next attempt to connect.

const DELAY_MS_MAX = 60_000
const JITTER = 0.2

/** `delay × 2^(attempt − 1)`, at most a minute, ±20 % so that clients of one server do not come back together. */
export function backoffMs(attempt: number, delayMs: number, random: () => number): number {
  const pauseMs = Math.min(delayMs * 2 ** (attempt - 1), DELAY_MS_MAX)
  return pauseMs * (1 - JITTER + 2 * JITTER * random())
}
