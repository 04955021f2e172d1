// One question for all who ask at the same time. An answer that is on its way is too old for who asks now: the next
// question is theirs, and there is never more than one of each.

/** `ask` must not reject. */
export function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let current: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | undefined
  return () => {
    if (next !== undefined) return next
    const asked = current.then(() => {
      next = undefined
      return ask()
    })
    next = asked
    current = asked
    return asked
  }
}
