// What follows from the failures of one actor: how long it pauses, and when it has failed too often. Pure.

export interface FailureLimits {
  readonly failuresMax: number
  readonly windowMs: number
  readonly coolDownMs: number
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
}

export interface Verdict {
  /** The failures that still count, the new one included. */
  readonly failuresMs: number[]
  readonly stopped: boolean
  /** The pause before the next message, or the cool-down. */
  readonly pauseMs: number
}

export function judge(failuresMs: readonly number[], nowMs: number, limits: FailureLimits): Verdict {
  const recent = [...failuresMs.filter((atMs) => nowMs - atMs < limits.windowMs), nowMs]
  if (recent.length >= limits.failuresMax) return { failuresMs: recent, stopped: true, pauseMs: limits.coolDownMs }
  const pauseMs = Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** (recent.length - 1))
  return { failuresMs: recent, stopped: false, pauseMs }
}
