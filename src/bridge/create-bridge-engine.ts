// Which engine: the one place that knows them all.
import type { Clock } from '../lib/clock.ts'
import type { RedisAddress } from '../lib/redis-address.ts'
import type { Logger } from '../observe/logger.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import type { EngineFactory } from './bridge-engine.ts'
import { LocalEngine } from './local-engine.ts'
import { RedisEngine } from './redis-engine.ts'
import type { RedisLimits } from './redis-options.ts'

/** What the local bridge may keep in memory, keys and logs: guessed, much more than tokens and short histories need. */
export const LOCAL_MEMORY_BYTES_MAX = 256 * 1024 * 1024

export interface BridgeEngineOptions {
  /** Undefined: the host is alone. */
  readonly address: RedisAddress | undefined
  readonly limits: RedisLimits
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly log: Logger
  /** 0 to 1, for pauses. Default Math.random. */
  readonly random?: () => number
}

/** Never throws, and never waits for a server: an engine without one refuses calls, and tries for ever. */
export function createBridgeEngine(options: BridgeEngineOptions): EngineFactory {
  const { address, limits, clock, wheel, random = Math.random } = options
  const local = { clock, wheel, memoryBytesMax: LOCAL_MEMORY_BYTES_MAX, readBytesMax: limits.readBytesMax }
  return (events) =>
    address === undefined ? new LocalEngine(local, events) : new RedisEngine({ ...options, address, random }, events)
}
