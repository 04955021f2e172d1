// The pause before something is tried again: doubled with each attempt in vain up to a ceiling, half of it by chance, so
// that many who failed together do not come back together. Pure.

/** `attempt`: those in vain before this one, from 0. `random`: 0 to 1. */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: () => number): number {
  const fullMs = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30))
  return fullMs * (0.5 + random() / 2)
}
