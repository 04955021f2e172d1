// What the Redis engine can be told, with its defaults.
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { RedisAddress } from '../lib/redis-address.ts'
import type { Logger } from '../observe/logger.ts'
import type { TimerWheel } from '../timer/wheel.ts'

export interface RedisLimits {
  /** From the first byte to a connection that can be used. */
  readonly connectTimeoutMs: number
  /** Each connection is probed so often. */
  readonly pingMs: number
  /** Without a byte for so long behind a probe, a connection is given up. */
  readonly pingTimeoutMs: number
  /** Pause before a new connection: doubled each time, half of it by chance, so that hosts do not come all at once. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** Calls that the server has not answered, and their bytes; one more fails with BRIDGE_BUSY. */
  readonly outboxCallsMax: number
  readonly outboxBytesMax: number
  /** Payloads of one answer of `read`. */
  readonly readBytesMax: number
  /** How often a Cluster is asked who has which slots, beside each time that a node says it has not. */
  readonly clusterRefreshMs: number
}

// A server that hangs is found within 5 s: at most pingMs until the probe, and the first probe after pingTimeoutMs.
export const REDIS_LIMITS: RedisLimits = {
  connectTimeoutMs: 5_000,
  pingMs: 1_000,
  pingTimeoutMs: 3_500,
  backoffMinMs: 100,
  backoffMaxMs: 5_000,
  outboxCallsMax: 65_536,
  outboxBytesMax: 64 * 1024 * 1024,
  readBytesMax: 900_000,
  clusterRefreshMs: 5_000,
}

/** Before the next attempt to connect. */
export function pauseMsOf(attempt: number, { limits, random }: Pick<RedisEngineOptions, 'limits' | 'random'>): number {
  return backoffMs(attempt, limits.backoffMinMs, limits.backoffMaxMs, random)
}

/** What is answered when it is on disk. */
export interface DiskOptions {
  /** Beside the server itself: replicas that have it on disk, too. */
  readonly replicas: number
  /** Without that in so long, a call fails with BRIDGE_TIMEOUT. */
  readonly timeoutMs: number
}

export interface RedisEngineOptions {
  readonly address: RedisAddress
  readonly limits: RedisLimits
  readonly clock: Clock
  readonly wheel: TimerWheel
  readonly log: Logger
  /** 0 to 1, for the pauses. */
  readonly random: () => number
  /** For `script` with `onDisk`. */
  readonly disk?: DiskOptions | undefined
  /** The server keeps what nobody may lose: it is looked at whether it can. */
  readonly keepsStore?: boolean
}
