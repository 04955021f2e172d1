// Waiting for what should become true, with a deadline and a name: a test that fails by waiting says for what.

const POLL_MS = 10
const DEADLINE_MS = 10_000

/** Polls until `predicate` answers something other than false or undefined, and answers that. */
export async function waitUntil<T>(
  what: string,
  predicate: () => T | Promise<T>,
  deadlineMs = DEADLINE_MS,
): Promise<Exclude<T, false | undefined>> {
  const untilMs = performance.now() + deadlineMs
  for (;;) {
    const value = await predicate()
    if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>
    if (performance.now() > untilMs) throw new Error(`not in ${deadlineMs} ms: ${what}`)
    await pause(POLL_MS)
  }
}

/** The answer of a promise, or an error that says what did not come. */
export async function within<T>(what: string, answer: PromiseLike<T>, deadlineMs = DEADLINE_MS): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`not in ${deadlineMs} ms: ${what}`)), deadlineMs)
  try {
    return await Promise.race([answer, promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Only to prove that something does not happen meanwhile. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
