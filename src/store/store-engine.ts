// What does the operations of a store, batch by batch, in the store's thread. Knows nothing of threads and records.
import { type ErrorCode, PolyloopError, textOf } from '../lib/errors.ts'
import type { StoreOperation, StoreOperations } from './store.ts'

export interface StoreCall {
  readonly operation: StoreOperation
  readonly argument: unknown
}

export type StoreErrorCode = Extract<ErrorCode, `STORE_${string}`>

export interface StoreFailure {
  readonly ok: false
  readonly code: StoreErrorCode
  /** Why, for people: SQLite's text, mostly. */
  readonly problem: string
}

export type StoreOutcome = { readonly ok: true; readonly value: unknown } | StoreFailure

export interface StoreEngine {
  /**
   * Does the calls in their order, all writes of them in one transaction, and answers each: when it is over, what is `ok`
   * is durable. Never throws or rejects, and is not called again before it is over.
   */
  run(calls: readonly StoreCall[]): readonly StoreOutcome[] | Promise<readonly StoreOutcome[]>
  close(): void | Promise<void>
}

const WRITES: { readonly [Name in StoreOperation]: boolean } = {
  addMessage: true,
  messages: false,
  recentMessages: false,
  chat: false,
  chatsOf: false,
  chatIdsOf: false,
  createChat: true,
  createUser: true,
  putState: true,
  getState: false,
  removeState: true,
}

export function isWrite(operation: StoreOperation): boolean {
  return WRITES[operation]
}

/** Does one call. What the operation throws comes out. */
export function perform(operations: StoreOperations, { operation, argument }: StoreCall): StoreOutcome {
  const method = operations[operation] as (argument: unknown) => unknown
  return { ok: true, value: method.call(operations, argument) }
}

/** What an operation throws when its argument contradicts what is stored. */
export function constraintError(problem: string): PolyloopError {
  return new PolyloopError('STORE_CONSTRAINT', { problem })
}

/** A thrown value as an outcome. */
export function failureOf(error: unknown): StoreFailure {
  if (error instanceof PolyloopError && error.code.startsWith('STORE_')) {
    return { ok: false, code: error.code as StoreErrorCode, problem: String(error.details.problem) }
  }
  return { ok: false, code: 'STORE_FAILED', problem: error instanceof Error ? error.message : textOf(error) }
}
