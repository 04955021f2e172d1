// What went wrong on the way to Redis, or there, as the store's own codes. Clients of services get to see the problem: it
// names no address.
import { type ErrorDetails, PolyloopError } from '../lib/errors.ts'
import type { StoreOperation } from './store.ts'
import { constraintError, type StoreErrorCode } from './store-engine.ts'

export const SERVER_AWAY = 'the server of the store is away'
export const SERVER_LOST = 'the server of the store was lost before it answered'

/** Where Redis says that there is no room: its memory, or the disk of its log. */
const FULL = /\bOOM command not allowed|No space left on device/
/** What Redis says of itself behind what a script threw. */
const SCRIPT_PLACE = /,? script: [0-9a-f]{40}, on @.*$/s

/** A thrown value as the store throws it. */
export function redisFailure(error: unknown, operation: StoreOperation): unknown {
  if (!(error instanceof PolyloopError)) return error
  const reason = error.details.problem
  switch (error.code) {
    case 'BRIDGE_DOWN':
      return failure('STORE_FAILED', { operation, problem: SERVER_AWAY, reason })
    case 'BRIDGE_LOST':
      return failure('STORE_LOST', { operation, problem: SERVER_LOST, reason })
    case 'BRIDGE_TIMEOUT':
      return failure('STORE_TIMEOUT', { operation, waitedMs: error.details.waitedMs, reason })
    case 'BRIDGE_BUSY':
      return failure('STORE_BUSY', { operation, problem: reason })
    case 'BRIDGE_REFUSED': {
      const problem = String(reason).replace(SCRIPT_PLACE, '')
      return failure(FULL.test(problem) ? 'STORE_FULL' : 'STORE_FAILED', { operation, problem })
    }
    // Of an answer. Of a call the bridge says how long it is.
    case 'MESSAGE_TOO_LARGE':
      return reason === undefined ? error : failure('STORE_FAILED', { operation, problem: reason })
    default:
      return error
  }
}

export function constraintFailure(problem: string, operation: StoreOperation): PolyloopError {
  return failure('STORE_CONSTRAINT', { operation, ...constraintError(problem).details })
}

function failure(code: StoreErrorCode, details: ErrorDetails): PolyloopError {
  return new PolyloopError(code, details)
}
