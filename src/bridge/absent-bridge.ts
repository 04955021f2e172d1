// The bridge of a thread without one: every call fails with BRIDGE_ABSENT.
import { PolyloopError } from '../lib/errors.ts'
import type { Bridge, ChannelSubscription } from './bridge.ts'
import { OPERATIONS } from './bridge-record.ts'

function absent(operation: string): Promise<never> {
  return Promise.reject(new PolyloopError('BRIDGE_ABSENT', { operation }))
}

function subscribe(): ChannelSubscription {
  const confirmed = absent('subscribe')
  // Who does not look at it is not to die of it.
  confirmed.catch(() => {})
  return { confirmed, position: undefined, end: () => {} }
}

export const ABSENT_BRIDGE: Bridge = Object.freeze({
  ...Object.fromEntries(OPERATIONS.map((operation) => [operation, () => absent(operation)])),
  subscribe,
}) as unknown as Bridge
