// The store of a thread without one: every call fails with STORE_ABSENT.
import { PolyloopError } from '../lib/errors.ts'
import type { Store } from './store.ts'
import { OPERATIONS } from './store-record.ts'

export const ABSENT_STORE: Store = Object.freeze({
  isShared: false,
  ...Object.fromEntries(
    OPERATIONS.map((operation) => [operation, () => Promise.reject(new PolyloopError('STORE_ABSENT', { operation }))]),
  ),
}) as unknown as Store
