// What went wrong in SQLite or the file system, as the store's own codes.
import { failureOf, type StoreErrorCode, type StoreFailure } from './store-engine.ts'

// Primary result codes of SQLite [sqlite.org/rescode.html]; the low byte of the extended ones.
const BUSY = 5
const LOCKED = 6
const CORRUPT = 11
const FULL = 13
const TOO_BIG = 18
const CONSTRAINT = 19
const MISMATCH = 20
const RANGE = 25
const NOT_A_DATABASE = 26
const FOREIGN_KEY_EXTENDED = 787

const CODES: ReadonlyMap<number, StoreErrorCode> = new Map([
  [BUSY, 'STORE_LOCKED'],
  [LOCKED, 'STORE_LOCKED'],
  [CORRUPT, 'STORE_CORRUPT'],
  [NOT_A_DATABASE, 'STORE_CORRUPT'],
  [FULL, 'STORE_FULL'],
  [CONSTRAINT, 'STORE_CONSTRAINT'],
])

/** What is wrong with one call and not with the database: SQLite undid its statement, the transaction goes on. */
const OF_ONE_CALL: ReadonlySet<number> = new Set([CONSTRAINT, TOO_BIG, MISMATCH, RANGE])

/** The extended result code; undefined: it is no error of SQLite. */
function resultCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : undefined
}

export function isForeignKeyError(error: unknown): boolean {
  return resultCode(error) === FOREIGN_KEY_EXTENDED
}

/** False: the transaction cannot be trusted any more. */
export function isOfOneCall(error: unknown): boolean {
  const code = resultCode(error)
  return code === undefined || OF_ONE_CALL.has(code & 0xff)
}

/** A thrown value as an outcome. */
export function sqliteFailure(error: unknown): StoreFailure {
  const code = resultCode(error)
  if (code !== undefined) {
    return { ok: false, code: CODES.get(code & 0xff) ?? 'STORE_FAILED', problem: (error as Error).message }
  }
  const failure = failureOf(error)
  // Of the file system: the folder could not be made.
  const isFull = error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
  return isFull ? { ...failure, code: 'STORE_FULL' } : failure
}
