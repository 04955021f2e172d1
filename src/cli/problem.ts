// Why something failed, for people: in the words of whoever refused it.
import { PolyloopError } from '../lib/errors.ts'

export function problemOf(error: unknown): string {
  if (error instanceof PolyloopError && typeof error.details.problem === 'string') return error.details.problem
  return error instanceof Error ? error.message : String(error)
}
