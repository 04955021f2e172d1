// Statements about what must hold. A failed one is a bug of the runtime: it ends the thread, and only it.

export class AssertionError extends Error {
  override name = 'AssertionError'
}

export function assert(condition: boolean, mustHold: string): asserts condition {
  if (!condition) throw new AssertionError(mustHold)
}

/** The `default:` of a switch over a closed union: a type error when a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`)
}
