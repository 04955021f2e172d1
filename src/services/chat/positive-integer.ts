// Ids and counts where they are text: in paths, queries, tokens and names of actors.

/** At most sixteen digits: a safe integer is checked for behind it. */
const POSITIVE = /^[1-9]\d{0,15}$/

/** A positive integer in decimal; undefined for anything else. */
export function positiveInteger(text: unknown): number | undefined {
  if (typeof text !== 'string' || !POSITIVE.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}
