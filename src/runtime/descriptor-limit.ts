// How many connections the limit of open files allows. Without descriptors Node neither accepts nor hands over, and
// says so to nobody; a limit of our own refuses in time, with an answer, a log line and a counter.
import { readFileSync } from 'node:fs'

/** Descriptors of the process itself: listeners, logs, modules, and some for each thread's event loop. */
const RESERVE = 64
const RESERVE_PER_THREAD = 16
/** Of the rest: a handover needs a second descriptor for a moment, outbound connections have none of their own limit. */
const SHARE = 0.95

/** `limits` is the text of /proc/self/limits; undefined where there is none. */
export function connectionsAllowed(limits: string | undefined, threads: number): number {
  const [, soft = ''] = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? '') ?? []
  if (!/^\d+$/.test(soft)) return Number.POSITIVE_INFINITY
  return Math.max(1, Math.floor((Number(soft) - RESERVE - RESERVE_PER_THREAD * threads) * SHARE))
}

export function processLimits(): string | undefined {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    // Not Linux: the configured limit has to do.
    return undefined
  }
}
